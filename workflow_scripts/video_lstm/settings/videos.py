"""Videos: which there are, how they are cut into splits, and how files become frames."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Fraction, Positive, Section

Action = Literal[
    "bend", "straighten", "sit", "stand", "jack", "jump", "walk", "run", "wave1", "wave2"
]

UNLABELLED = "unlabelled"
"""The name under which the pile of unlabelled videos is kept among the artifacts."""


class VideoSettings(Section):
    """How files become frames."""

    frame_rate: Annotated[float, Field(gt=0)] | None = 30.0
    """Frames per second that clips are made of, picked by time stamp (the paper's percepts are at
    about 30); null takes every frame of a file as it is."""
    min_frames: Positive = 2
    """A video with fewer frames, at that rate, is left out and the index says so."""


class FractionSplits(Section):
    """Splits drawn at random: a share of every class is for testing."""

    by: Literal["fraction"]
    test_fraction: Fraction = 0.33
    """Share of the videos of each class that are test videos."""
    num_splits: Positive = 1
    """How many independent splits are drawn."""


class GroupSplits(Section):
    """Splits by a group in the file name, such as the subject: no group is on both sides."""

    by: Literal["group"]
    pattern: str
    """Regular expression with a named group `(?P<group>...)`, searched in the file's name."""
    test_groups: list[list[str]] | Positive
    """The test groups of each split, or how many groups a split that is drawn at random tests."""
    num_splits: Positive = 1
    """How many splits are drawn, where `test_groups` is a number."""

    @model_validator(mode="after")
    def _pattern_names_the_group(self) -> Self:
        try:
            named = "group" in re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error
        if not named:
            raise ValueError("pattern needs a named group, as in '(?P<group>[a-z]+)_'")
        return self


class ListSplits(Section):
    """Splits from files that list videos, one path relative to the root per line."""

    by: Literal["list"]
    train: list[str]
    """One file per split."""
    test: list[str]
    """One file per split."""

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.train) != len(self.test) or not self.train:
            raise ValueError("train and test need one file per split, as many of each")
        return self


class VideoSource(Section):
    """Where the videos of a data set are, and how its splits are cut."""

    kind: Literal["folders", "ucf101", "hmdb51", "unlabelled"] = "folders"
    """`folders`: ROOT/CLASS/video; `ucf101`, `hmdb51`: as the official downloads unpack;
    `unlabelled`: any tree."""
    root: str
    """The folder of the class folders, or of the pile."""
    lists: str | None = None
    """Folder of the official lists (`ucf101`, `hmdb51`); by default beside the root."""
    splits: Annotated[FractionSplits | GroupSplits | ListSplits, Field(discriminator="by")] = (
        FractionSplits(by="fraction")
    )
    """How `folders` are cut into training and test videos; the others have official splits."""
    follow_links: bool = False
    """Whether symbolic links below the root are followed, to files and folders anywhere: for
    subsets made of links, and for git-annex and DataLad, whose files are links."""


class LabelledSet(VideoSource):
    """A data set of videos with a class each."""

    kind: Literal["folders", "ucf101", "hmdb51"] = "folders"
    use_splits: list[Positive] = [1]
    """The splits that are run; results are averaged over them."""
    small_set_labels: Positive | None = None
    """Labelled videos per class of the small set of table 3; by default the paper's 10 of UCF-101
    and 4 of HMDB-51, and 10 of any other."""
    num_shards: Positive = 1
    """How many jobs probing and extraction are cut into. Which of them a video is in follows from
    its name: with a video more, only its shard is made again."""

    @property
    def small_set_labels_or_default(self) -> int:
        """Labelled videos per class of the small set of table 3 (paper, section 3.5)."""
        return self.small_set_labels or {"hmdb51": 4}.get(self.kind, 10)

    @property
    def num_splits(self) -> int:
        """How many splits the data set has."""
        if self.kind != "folders":
            return 3
        if isinstance(self.splits, ListSplits):
            return len(self.splits.train)
        if isinstance(self.splits, GroupSplits) and isinstance(self.splits.test_groups, list):
            return len(self.splits.test_groups)
        return self.splits.num_splits

    @model_validator(mode="after")
    def _splits_exist(self) -> Self:
        beyond = [n for n in self.use_splits if n > self.num_splits]
        if beyond:
            raise ValueError(f"use_splits names {beyond}, but there are {self.num_splits} splits")
        return self


class UnlabelledSet(Section):
    """A pile of videos without labels: any tree of files."""

    root: str
    """The folder; every video below it is taken."""
    follow_links: bool = False
    """Whether symbolic links below the root are followed, to files and folders anywhere."""
    clip_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Length of the random clips (paper, section 3.1)."""
    hours: Annotated[float, Field(gt=0)] = 300.0
    """How much is drawn in all, at most what the pile holds (paper, section 3.1)."""
    num_shards: Positive = 1
    """How many jobs probing and extraction are cut into. Clips are drawn over the whole pile: with
    a video more, all are made again."""


class DemoSettings(Section):
    """The synthetic videos that the pipeline renders for itself."""

    videos_per_class: Positive = 24
    """Labelled videos of each action."""
    labelled_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Length of a labelled video."""
    unlabelled_videos: Positive = 16
    """Unlabelled videos."""
    unlabelled_seconds: Annotated[float, Field(gt=0)] = 12.0
    """Length of an unlabelled video."""
    actions: list[Action] | None = None
    """A choice of the actions; null takes all."""
