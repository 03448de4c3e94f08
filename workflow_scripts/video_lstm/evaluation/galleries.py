"""Galleries of test videos with their nearest training videos, by percepts and by an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.evaluation.representation_classifiers import (
    RETRIEVAL,
    rank_by_similarity,
    standardise_features,
)
from video_lstm.evaluation.representation_scores import read_representations
from video_lstm.evaluation.representation_summaries import read_representation_scores
from video_lstm.video.clips import Clip, read_clips
from video_lstm.video.labelled_videos import read_labelled_videos
from video_lstm.video.split_parts import TEST, TRAIN


@dataclass(frozen=True)
class Gallery:
    """Some test videos of a split and their nearest training videos.

    Attributes:
        dataset: Name of the labelled set.
        split: Number of the split.
        stream: Stream of the percepts.
        classes: Names of all classes, by number.
        num_test_videos: Number of test videos of the split.
        clips: Clips of the videos in the gallery: n test videos, then their neighbours.
        class_names: Class of each of `clips`.
        features: Standardised features of the test videos, (n, size) float32, by representation:
            "percepts" or an encoder's variant.
        neighbours: (n, count) int rows of `clips`, the nearest first, by representation.
    """

    dataset: str
    split: int
    stream: str
    classes: list[str]
    num_test_videos: int
    clips: list[Clip]
    class_names: list[str]
    features: dict[str, np.ndarray]
    neighbours: dict[str, np.ndarray]

    @property
    def num_queries(self) -> int:
        """Number of test videos in the gallery."""
        return len(next(iter(self.features.values())))

    @property
    def metadata(self) -> dict[str, list[str]]:
        """Classes and paths of the test videos in the gallery."""
        videos = [clip.video for clip in self.clips[: self.num_queries]]
        return {"class": self.class_names[: self.num_queries], "video": videos}


def draw_queries(
    labels: np.ndarray, count: int, seed: int, distinct_classes: bool = False
) -> np.ndarray:
    """Draw test videos for a gallery, independently of how well they are recognised.

    Args:
        labels: (n,) int classes of the test videos.
        count: Maximal number of videos.
        seed: Random seed of the run.
        distinct_classes: Whether to draw at most one video of each class.

    Returns:
        (count,) int rows of `labels`, in ascending order.
    """
    rows = np.random.default_rng([seed, len(labels)]).permutation(len(labels))
    if distinct_classes:
        rows = rows[np.sort(np.unique(labels[rows], return_index=True)[1])]
    return np.sort(rows[:count])


def read_gallery(
    representations: Sequence[Path],
    videos: Path,
    clips: Sequence[Path],
    scores: Path,
    *,
    num_queries: int,
    num_neighbours: int,
    seed: int,
    distinct_classes: bool = False,
) -> Gallery:
    """Read a gallery of random test videos of a data set.

    Args:
        representations: Artifacts of schema `representations`, of the percepts and of an encoder,
            of the same split and stream.
        videos: Index of the labelled set.
        clips: Clip artifacts of all shards.
        scores: Scores of these representations (CSV); the gallery uses the part of each that was
            chosen for retrieval on validation videos.
        num_queries: Maximal number of test videos.
        num_neighbours: Maximal number of training videos for each.
        seed: Random seed of the run.
        distinct_classes: Whether to draw at most one test video of each class.

    Raises:
        UserError: The files are not of the same data set, split and stream, or `scores` lacks a
            representation.
    """
    candidates = [read_representations(path) for path in representations]
    keys = {(item.dataset, item.split, item.stream) for item in candidates}
    if len(keys) != 1 or candidates[0].dataset != videos.stem:
        raise UserError(
            f"{representations[0]}: expected representations of one split and stream of "
            f"'{videos.stem}', found {sorted(keys)}; name files of the same data set, split and "
            "stream"
        )
    labelled, all_clips = read_labelled_videos(videos, candidates[0].split), read_clips(clips)
    [test, test_clips], [train, train_clips] = (
        labelled.match_clips(part, [clip.name for clip in all_clips]) for part in (TEST, TRAIN)
    )
    queries = draw_queries(labelled.labels[test], num_queries, seed, distinct_classes)
    score_table = read_representation_scores(scores)
    score_table = score_table[score_table["measure"] == RETRIEVAL[-1]]
    parts = score_table.groupby("variant")["part"].first()
    features, neighbours = {}, {}
    for item in candidates:
        if item.variant not in parts:
            raise UserError(
                f"{scores}: expected scores of '{item.variant}', found those of "
                f"{list(parts.index)}; run score_representations"
            )
        train_rows, test_rows = (
            labelled.match_clips(part, item.names)[1] for part in (TRAIN, TEST)
        )
        values = standardise_features(item.parts[parts[item.variant]], train_rows)
        features[item.variant] = values[test_rows[queries]]
        neighbours[item.variant] = rank_by_similarity(
            values[train_rows], features[item.variant], num_neighbours
        )
    neighbour_rows, rows = np.unique(np.stack(list(neighbours.values())), return_inverse=True)
    rows = len(queries) + rows.reshape(len(candidates), len(queries), -1)
    return Gallery(
        *keys.pop(),
        labelled.classes,
        len(test),
        [all_clips[row] for row in (*test_clips[queries], *train_clips[neighbour_rows])],
        [
            labelled.classes[label]
            for label in labelled.labels[[*test[queries], *train[neighbour_rows]]]
        ],
        features,
        dict(zip(features, rows, strict=True)),
    )
