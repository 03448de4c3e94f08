"""Multinomial logistic regression, by SciPy's L-BFGS."""

import numpy as np


def fit_logistic_regression(
    features: np.ndarray, labels: np.ndarray, classes: int, c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases that minimise c * (sum of the cross-entropies) + |weights|^2 / 2.

    Args:
        features: (n, D), on a common scale.
        labels: (n,) int.
        classes: K.
        c: inverse strength of the regularisation, scikit-learn's `C`; biases are not regularised.

    Returns:
        (K, D) and (K,) float64: the logits are features @ weights.T + biases.
    """
    # Here: half a second, which classifiers that start at random do without.
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    features, rows = np.asarray(features, np.float64), np.arange(len(labels))
    size = classes * features.shape[1]

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, biases = parameters[:size].reshape(classes, -1), parameters[size:]
        log_probabilities = log_softmax(features @ weights.T + biases, axis=1)
        errors = np.exp(log_probabilities)
        errors[rows, labels] -= 1
        value = -c * log_probabilities[rows, labels].sum() + 0.5 * np.square(weights).sum()
        gradient = c * errors.T @ features + weights, c * errors.sum(0)
        return value, np.concatenate([part.ravel() for part in gradient])

    start = np.zeros(size + classes)
    best = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return best[:size].reshape(classes, -1), best[size:]
