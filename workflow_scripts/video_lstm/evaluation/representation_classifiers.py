"""Classification and retrieval with frozen features: nearest neighbours and a linear probe."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

RETRIEVAL = ["recall_1", "recall_5", "recall_10", "mean_average_precision"]
"""Measures of retrieval; the part of the representation is chosen by the last."""

_NEIGHBOURS = (1, 3, 5, 10, 20)
_REGULARISATION = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Values of scikit-learn's C for the probe; small values regularise more."""
_MAX_ITERATIONS = 200

Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[float]], np.ndarray]
"""Function of training features, their labels, queries and values of a setting that returns the
predicted classes of the queries, one row per value."""


def standardise_features(features: np.ndarray, training_rows: np.ndarray) -> np.ndarray:
    """Standardise features to mean 0 and deviation 1 over the training videos.

    Args:
        features: (n, size) float.
        training_rows: (m,) int, rows of the training videos.

    Returns:
        (n, size) float32; features that are constant over the training videos become 0.
    """
    mean, deviation = features[training_rows].mean(0), features[training_rows].std(0)
    is_constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(is_constant, 0, 1 / np.where(is_constant, 1, deviation))
    return ((features - mean) * scale).astype(np.float32)


def rank_by_similarity(
    training: np.ndarray, queries: np.ndarray, count: int | None = None
) -> np.ndarray:
    """Rank training videos by their cosine similarity to each query.

    Args:
        training: (m, size) float.
        queries: (n, size) float.
        count: Number of training videos to return for each query; default all.

    Returns:
        (n, count) int64 rows of `training`, the most similar first; ties in ascending order.
    """
    unit_vectors = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            for x in (queries, training)]  # fmt: skip
    return np.argsort(-(unit_vectors[0] @ unit_vectors[1].T), axis=1, kind="stable")[:, :count]


def predict_by_neighbours(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[float]
) -> np.ndarray:
    """Predict classes by a vote of the k nearest training videos, for several k.

    The weight of a vote decreases slightly with the rank, so that the nearer class wins a tie.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        counts: Numbers of neighbours k.

    Returns:
        (counts, n) int, predicted classes.
    """
    voters = labels[rank_by_similarity(training, queries, int(max(counts)))]
    votes = np.zeros((len(queries), labels.max() + 1))
    predicted = {}
    for rank, voter in enumerate(voters.T, 1):
        votes[np.arange(len(queries)), voter] += 1 + 1e-3 / rank
        predicted[rank] = votes.argmax(1)
    return np.stack([predicted[min(int(k), len(labels))] for k in counts])


def predict_by_probe(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Predict classes by multinomial logistic regression, for several C.

    If there are fewer videos than features, features are projected onto the space that the
    training videos span, which contains the solution: the same predictions in less time. lbfgs
    stops after at most 200 iterations.

    Args:
        training: (m, size) float, standardised.
        labels: (m,) int, at least two classes.
        queries: (n, size) float.
        strengths: Inverse regularisation strengths C, in ascending order; each fit starts from the
            weights of the previous one.

    Returns:
        (strengths, n) int, predicted classes.
    """
    if 2 * len(training) < training.shape[1]:
        axes = np.linalg.svd(training.astype(np.float64), full_matrices=False)[2].T
        training, queries = training @ axes, queries @ axes
    probe = LogisticRegression(max_iter=_MAX_ITERATIONS, warm_start=True)
    predicted = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            predicted.append(probe.set_params(C=strength).fit(training, labels).predict(queries))
    return np.stack(predicted)


def score_retrieval(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, query_labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Score the retrieval of training videos of the same class, for each query.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        query_labels: (n,) int, classes of the queries.

    Returns:
        (n,) float for each measure of `RETRIEVAL`: 1 if one of the 1, 5 or 10 nearest training
        videos is of the same class, else 0; and the average precision. 0 if no training video is
        of the class.
    """
    hits = labels[rank_by_similarity(training, queries)] == query_labels[:, None]
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    recalls = [hits[:, :k].any(1).astype(float) for k in (1, 5, 10)]
    average = (precision * hits).sum(1) / np.maximum(hits.sum(1), 1)
    return dict(zip(RETRIEVAL, [*recalls, average], strict=True))


def list_classifiers(max_neighbours: int) -> dict[str, tuple[Predictor, str, list[float]]]:
    """List the classifiers by measure: predictor, name and candidate values of its setting.

    Args:
        max_neighbours: Labelled videos of a class; more neighbours would be of several classes.
    """
    counts = [k for k in _NEIGHBOURS if k <= max_neighbours]
    return {
        "nearest_neighbours": (predict_by_neighbours, "k", counts),
        "linear_probe": (predict_by_probe, "C", list(_REGULARISATION)),
    }
