"""Settings of data sets: video files, splits, frame rate, and the demo's videos."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Fraction, Positive, Section

Action = Literal[
    "bend", "straighten", "sit", "stand", "jack", "jump", "walk", "run", "wave1", "wave2"
]

UNLABELLED = "unlabelled"
"""Name of the unlabelled videos in the paths of artifacts."""


class VideoSettings(Section):
    """Decoding of videos into frames."""

    frame_rate: Annotated[float, Field(gt=0)] | None = 30.0
    """Frame rate in frames per second; frames are selected by time stamp (paper: about 30). null
    takes every frame of each file."""
    min_frames: Positive = 2
    """Videos with fewer frames at that rate are excluded."""


class FractionSplits(Section):
    """Random splits: a fraction of the videos of each class is used for testing."""

    by: Literal["fraction"]
    """Selects this kind of split."""
    test_fraction: Fraction = 0.33
    """Fraction of the videos of each class that is used for testing."""
    num_splits: Positive = 1
    """Number of independent random splits."""


class GroupSplits(Section):
    """Splits by a group in the file name, such as the subject: the videos of a group are all for
    training or all for testing.
    """

    by: Literal["group"]
    """Selects this kind of split."""
    pattern: str
    """Regular expression with a named group `(?P<group>...)` that finds the group in a file
    name."""
    test_groups: list[list[str]] | Positive
    """Test groups of each split, or the number of test groups of a random split."""
    num_splits: Positive = 1
    """Number of random splits, if `test_groups` is a number."""

    @model_validator(mode="after")
    def _pattern_names_the_group(self) -> Self:
        try:
            named = "group" in re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(
                f"expected a regular expression as pattern, found an invalid one ({error})"
            ) from error
        if not named:
            raise ValueError("expected a named group in pattern, as in '(?P<group>[a-z]+)_'")
        return self


class ListSplits(Section):
    """Splits from text files that list videos, one path relative to `root` per line."""

    by: Literal["list"]
    """Selects this kind of split."""
    train: list[str]
    """Files that list the training videos, one per split."""
    test: list[str]
    """Files that list the test videos, one per split."""

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.train) != len(self.test) or not self.train:
            raise ValueError("expected train and test to list one file per split each")
        return self


class VideoSource(Section):
    """Location of a data set's videos, and its splits."""

    kind: Literal["folders", "ucf101", "hmdb51", "unlabelled"] = "folders"
    """Layout of the files: `folders` (ROOT/CLASS/video), `ucf101` and `hmdb51` (the official
    downloads), `unlabelled` (any folder tree)."""
    root: str
    """Folder of the videos; for `folders`, the one that contains the class folders."""
    lists: str | None = None
    """Folder of the official split lists of `ucf101` and `hmdb51`; null looks for it next to
    `root`."""
    splits: Annotated[FractionSplits | GroupSplits | ListSplits, Field(discriminator="by")] = (
        FractionSplits(by="fraction")
    )
    """Training and test splits of `folders`; `ucf101` and `hmdb51` use their official splits."""
    follow_links: bool = False
    """Whether to follow symbolic links below `root`; needed for git-annex and DataLad, whose files
    are links."""


class LabelledSet(VideoSource):
    """A data set of videos with class labels."""

    kind: Literal["folders", "ucf101", "hmdb51"] = "folders"
    """Layout of the files: `folders` (ROOT/CLASS/video), or `ucf101` or `hmdb51` as the official
    downloads unpack."""
    use_splits: list[Positive] = [1]
    """Numbers of the splits to run, from 1; results are averaged over them."""
    small_set_labels: Positive | None = None
    """Labelled videos per class in the small training set of table 3; null takes the paper's 10
    (UCF-101) and 4 (HMDB-51), and 10 for other data sets."""
    num_shards: Positive = 1
    """Number of jobs that probing and extraction are split into; raise it for large data sets or
    many cores. A new or changed video reruns its own shard only."""

    @property
    def num_small_set_labels(self) -> int:
        """Labelled videos per class in the small training set of table 3 (paper, section 3.5)."""
        return self.small_set_labels or {"hmdb51": 4}.get(self.kind, 10)

    @property
    def num_splits(self) -> int:
        """Number of splits that the data set has."""
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
            raise ValueError(
                f"expected use_splits between 1 and {self.num_splits}, the number of splits, "
                f"found {beyond}"
            )
        return self


class UnlabelledSet(Section):
    """Videos without labels, in any folder tree."""

    root: str
    """Folder of the videos; all videos below it are used."""
    follow_links: bool = False
    """Whether to follow symbolic links below `root`."""
    clip_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Length in seconds of the clips that are sampled at random (paper: 10, section 3.1)."""
    hours: Annotated[float, Field(gt=0)] = 300.0
    """Total hours of clips to sample, at most the length of all videos (paper: 300, section
    3.1)."""
    num_shards: Positive = 1
    """Number of jobs that probing and extraction are split into. Clips are sampled from all videos
    together, so a new or changed video reruns all shards."""


class DemoSettings(Section):
    """Synthetic videos that the workflow renders to demonstrate itself."""

    videos_per_class: Positive = 24
    """Number of labelled videos of each action."""
    labelled_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Length of each labelled video in seconds."""
    unlabelled_videos: Positive = 16
    """Number of unlabelled videos."""
    unlabelled_seconds: Annotated[float, Field(gt=0)] = 12.0
    """Length of each unlabelled video in seconds."""
    actions: list[Action] | None = None
    """Actions to render; null renders all."""
