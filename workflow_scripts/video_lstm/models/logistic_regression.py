"""Multinomial logistic regression with L-BFGS."""

import numpy as np


def fit_logistic_regression(
    features: np.ndarray, labels: np.ndarray, classes: int, c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a multinomial logistic regression: minimise c * sum(cross-entropies) + |weights|^2 / 2.

    Args:
        features: (n, D), standardised.
        labels: (n,) int.
        classes: K, number of classes.
        c: Inverse regularisation strength, scikit-learn's `C`; biases are not regularised.

    Returns:
        Weights (K, D) and biases (K,), float64; the logits are features @ weights.T + biases.
    """
    # Importing SciPy takes half a second, and not every classifier needs it.
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    features, rows = np.asarray(features, np.float64), np.arange(len(labels))
    size = classes * features.shape[1]

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, biases = parameters[:size].reshape(classes, -1), parameters[size:]
        log_probabilities = log_softmax(features @ weights.T + biases, axis=1)
        residuals = np.exp(log_probabilities)
        residuals[rows, labels] -= 1
        value = -c * log_probabilities[rows, labels].sum() + 0.5 * np.square(weights).sum()
        gradients = c * residuals.T @ features + weights, c * residuals.sum(0)
        return value, np.concatenate([gradient.ravel() for gradient in gradients])

    initial = np.zeros(size + classes)
    fit = minimize(objective, initial, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return fit[:size].reshape(classes, -1), fit[size:]
