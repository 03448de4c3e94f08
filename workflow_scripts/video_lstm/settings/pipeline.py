"""The whole configuration, with all its sections."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from video_lstm.settings.base import Section, Stream
from video_lstm.settings.percepts import FlowConvnetSettings, FlowSettings, PerceptSettings
from video_lstm.settings.sequences import MNISTSettings, PatchSettings
from video_lstm.settings.training import (
    CapacitySettings,
    ConvLSTMSettings,
    FinetuningSettings,
    PretrainingSettings,
    UnlabelledHoursSettings,
)
from video_lstm.settings.videos import (
    UNLABELLED,
    DemoSettings,
    LabelledSet,
    UnlabelledSet,
    VideoSettings,
)


class Settings(Section):
    """The whole configuration."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of all data, weights and batches; the same seed gives the same results."""
    datasets: dict[str, LabelledSet] = Field(min_length=1)
    """Labelled data sets, each under a name of your choice (small letters, digits)."""
    unlabelled: UnlabelledSet
    """Unlabelled videos for pretraining."""
    streams: list[Stream] = ["rgb", "flow1"]
    """Percepts to train on: `rgb` (frames), `motion` (RGB percepts minus their mean over the input
    frames, which leaves what moves), `flow1` (optical flow of one frame pair), `flow10` (stacks of
    10 flow fields). The paper uses `rgb`, `flow1` and `flow10`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` uses a GPU if there is one. `cuda` requires one: set it where jobs run on other
    machines than Snakemake, as on a cluster."""
    # Parameters of no rule: a change of these reruns nothing.
    checkpoint_seconds: PositiveFloat = Field(default=60.0, exclude=True)
    """Seconds between two checkpoints of a training; an interrupted job resumes from the last
    one."""
    tensorboard: bool = Field(default=False, exclude=True)
    """Write training curves to results/tensorboard during training; needs `pip install
    tensorboard`."""
    demo: DemoSettings | None = None
    """Demo videos to render into results/demo; null if you use your own videos."""
    video: VideoSettings = VideoSettings()
    """Decoding of videos into frames."""
    flow: FlowSettings = FlowSettings()
    """Optical flow."""
    percepts: PerceptSettings = PerceptSettings()
    """RGB percepts."""
    flow_convnet: FlowConvnetSettings = FlowConvnetSettings()
    """Convnet that extracts flow percepts."""
    mnist: MNISTSettings = MNISTSettings()
    """Moving MNIST."""
    patches: PatchSettings = PatchSettings()
    """Image patches."""
    pretraining: PretrainingSettings = PretrainingSettings()
    """Unsupervised training of encoder-decoders."""
    capacity: CapacitySettings = CapacitySettings()
    """Autoencoders of several sizes: `snakemake capacity`."""
    convlstm: ConvLSTMSettings = ConvLSTMSettings()
    """ConvLSTM compared with LSTMs: `snakemake convlstm`."""
    unlabelled_hours: UnlabelledHoursSettings = UnlabelledHoursSettings()
    """Accuracy by hours of unlabelled video: `snakemake unlabelled_hours`."""
    finetuning: FinetuningSettings = FinetuningSettings()
    """Supervised fine-tuning of classifiers."""

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        if self.mnist.image_size % self.convlstm.patch_size:
            raise ValueError(
                f"convlstm.patch_size: expected a divisor of mnist.image_size "
                f"({self.mnist.image_size}), found {self.convlstm.patch_size}"
            )
        return self

    @model_validator(mode="after")
    def _hours_compare_what_is_trained(self) -> Self:
        compared = self.unlabelled_hours
        if not compared.hours:
            return self
        if compared.variant not in self.pretraining.variants:
            raise ValueError(
                f"unlabelled_hours.variant: expected one of pretraining.variants, found "
                f"{compared.variant}"
            )
        if compared.stream not in (None, *self.streams):
            raise ValueError(
                f"unlabelled_hours.stream: expected one of streams, found {compared.stream}"
            )
        if "unlabelled" not in self.pretraining.percepts.videos:
            raise ValueError(
                "unlabelled_hours.hours: expected 'unlabelled' in pretraining.percepts.videos"
            )
        if 0 in compared.hours and self.pretraining.percepts.videos == ["unlabelled"]:
            raise ValueError(
                "unlabelled_hours.hours: expected 'training' in pretraining.percepts.videos, as "
                "0 hours leave no other videos to train on"
            )
        return self

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.datasets:
            if not re.fullmatch(r"[a-z][a-z0-9]*", name) or name in (
                UNLABELLED,
                "mnist",
                "patches",
            ):
                raise ValueError(
                    f"datasets.{name}: expected a name of small letters and digits, other than "
                    f"'{UNLABELLED}', 'mnist' and 'patches'"
                )
        return self
