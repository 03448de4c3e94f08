"""Test videos to look at, and their nearest training videos by percepts and by a representation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.evaluation.representation_scores import (
    RETRIEVAL,
    nearest,
    read_representations,
    read_scores,
    standardise,
)
from video_lstm.video.clips import Clip, read_clips
from video_lstm.video.labelled_videos import read_labelled_videos
from video_lstm.video.split_parts import TEST, TRAIN


@dataclass(frozen=True)
class Gallery:
    """Some test videos of a split, and their nearest training videos.

    Attributes:
        dataset: name of the labelled set.
        split: which one.
        stream: Stream of the percepts.
        classes: names, by number.
        total: how many test videos there are, shown or not.
        clips: Clips of all videos in the gallery: n test videos, then their neighbours.
        names: (videos,) of their classes.
        features: (n, size) float32 of the test videos, standardised; by what they are: "percepts",
            or an encoder's variant.
        neighbours: (n, count) int, rows of `clips`, the nearest first; by the same names.
    """

    dataset: str
    split: int
    stream: str
    classes: list[str]
    total: int
    clips: list[Clip]
    names: list[str]
    features: dict[str, np.ndarray]
    neighbours: dict[str, np.ndarray]

    @property
    def queries(self) -> int:
        """How many of the videos are test videos."""
        return len(next(iter(self.features.values())))

    @property
    def metadata(self) -> dict[str, list[str]]:
        """Class and path of each test video."""
        videos = [clip.video for clip in self.clips[: self.queries]]
        return {"class": self.names[: self.queries], "video": videos}


def draw_queries(
    labels: np.ndarray, count: int, seed: int, distinct_classes: bool = False
) -> np.ndarray:
    """Draw test videos to show; how well they are recognised plays no part.

    Args:
        labels: (n,) int.
        count: how many; all where there are no more.
        seed: Random seed of the run.
        distinct_classes: at most one of each class.

    Returns:
        Rows of `labels`, rising.
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
    queries: int,
    neighbours: int,
    seed: int,
    distinct_classes: bool = False,
) -> Gallery:
    """Put together what is shown of a data set.

    Args:
        representations: artifacts of one split and stream, by percepts and by an encoder.
        videos: index of the data set.
        clips: Clip artifacts of all shards.
        scores: Scores of these representations; the part that validation videos chose for retrieval
            is shown.
        queries: test videos, at most.
        neighbours: training videos of each, at most.
        seed: Random seed of the run.
        distinct_classes: at most one query of each class.

    Raises:
        UserError: the files are not of one data set, split and stream.
    """
    sides = [read_representations(path) for path in representations]
    about = {(side.dataset, side.split, side.stream) for side in sides}
    if len(about) != 1 or sides[0].dataset != videos.stem:
        raise UserError(
            f"{representations[0]}: expected representations of one split and stream of "
            f"'{videos.stem}', found those of {sorted(about)}; name files that belong together"
        )
    labelled, all_clips = read_labelled_videos(videos, sides[0].split), read_clips(clips)
    [test, test_clips], [train, train_clips] = (
        labelled.match_clips(part, [clip.name for clip in all_clips]) for part in (TEST, TRAIN)
    )
    asking = draw_queries(labelled.labels[test], queries, seed, distinct_classes)
    scored = read_scores(scores)
    scored = scored[scored["measure"] == RETRIEVAL[-1]]
    parts = scored.groupby("variant")["part"].first()
    features, answers = {}, {}
    for side in sides:
        if side.variant not in parts:
            raise UserError(
                f"{scores}: expected scores of '{side.variant}', found those of "
                f"{list(parts.index)}; run score_representations"
            )
        train_rows, test_rows = (
            labelled.match_clips(part, side.names)[1] for part in (TRAIN, TEST)
        )
        values = standardise(side.parts[parts[side.variant]], train_rows)
        features[side.variant] = values[test_rows[asking]]
        answers[side.variant] = nearest(values[train_rows], features[side.variant], neighbours)
    answering, rows = np.unique(np.stack(list(answers.values())), return_inverse=True)
    rows = len(asking) + rows.reshape(len(sides), len(asking), -1)
    return Gallery(
        *about.pop(),
        labelled.classes,
        len(test),
        [all_clips[row] for row in (*test_clips[asking], *train_clips[answering])],
        [labelled.classes[label] for label in labelled.labels[[*test[asking], *train[answering]]]],
        features,
        dict(zip(features, rows, strict=True)),
    )
