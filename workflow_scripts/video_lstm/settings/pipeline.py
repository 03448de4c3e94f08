"""The whole configuration."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from video_lstm.settings.base import Section, Stream
from video_lstm.settings.percepts import FlowConvnetSettings, FlowSettings, PerceptSettings
from video_lstm.settings.sequences import MNISTSettings, PatchSettings
from video_lstm.settings.training import (
    FUSED,
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
    """Every draw follows from it."""
    datasets: dict[str, LabelledSet] = Field(min_length=1)
    """The labelled sets, by a name of yours (small letters, digits)."""
    unlabelled: UnlabelledSet
    """The pile that is learned from without labels."""
    streams: list[Stream] = ["rgb", "flow1"]
    """Which percepts: `rgb`; `motion`, the same percepts read around the mean of what is seen, so
    that they show what moves; `flow1` (single-frame flow), `flow10` (stacks of 10)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` uses a GPU where there is one; `cuda` asks for one (on a cluster, say)."""
    # Of no stage: where these change, nothing runs again.
    checkpoint_seconds: PositiveFloat = Field(default=60.0, exclude=True)
    """Seconds between the checkpoints of a training; a killed job goes on from its last."""
    tensorboard: bool = Field(default=False, exclude=True)
    """Trainings write their curves to results/tensorboard as they grow; needs the package
    tensorboard (`pip install tensorboard`), which is not locked."""
    demo: DemoSettings | None = None
    """Render the demo videos into results/demo; null where the videos are your own."""
    video: VideoSettings = VideoSettings()
    flow: FlowSettings = FlowSettings()
    percepts: PerceptSettings = PerceptSettings()
    flow_convnet: FlowConvnetSettings = FlowConvnetSettings()
    mnist: MNISTSettings = MNISTSettings()
    patches: PatchSettings = PatchSettings()
    pretraining: PretrainingSettings = PretrainingSettings()
    capacity: CapacitySettings = CapacitySettings()
    convlstm: ConvLSTMSettings = ConvLSTMSettings()
    unlabelled_hours: UnlabelledHoursSettings = UnlabelledHoursSettings()
    finetuning: FinetuningSettings = FinetuningSettings()

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        if self.mnist.image_size % self.convlstm.patch_size:
            raise ValueError(
                f"convlstm.patch_size: patches of {self.convlstm.patch_size} pixels do not fill "
                f"frames of {self.mnist.image_size}, mnist.image_size"
            )
        return self

    @model_validator(mode="after")
    def _fused_streams_have_the_same_draws(self) -> Self:
        if FUSED in self.pretraining.variants:
            draws = {
                stream: self.finetuning.settings_of(FUSED, stream, "all").num_draws
                for stream in self.streams
            }
            if len(set(draws.values())) > 1:
                raise ValueError(
                    "finetuning.overrides: streams are fused draw by draw, so expected the same "
                    f"draws of all streams where all labels are used ({FUSED}), found {draws}"
                )
        return self

    @model_validator(mode="after")
    def _hours_compare_what_is_trained(self) -> Self:
        compared = self.unlabelled_hours
        if not compared.hours:
            return self
        if compared.variant not in self.pretraining.variants:
            raise ValueError(
                f"unlabelled_hours.variant: {compared.variant} is not among pretraining.variants"
            )
        if compared.stream not in (None, *self.streams):
            raise ValueError(f"unlabelled_hours.stream: {compared.stream} is not among streams")
        if "unlabelled" not in self.pretraining.percepts.videos:
            raise ValueError(
                "unlabelled_hours: pretraining.percepts.videos has no 'unlabelled' to compare"
            )
        if 0 in compared.hours and self.pretraining.percepts.videos == ["unlabelled"]:
            raise ValueError(
                "unlabelled_hours.hours: 0 leaves nothing to learn from, as "
                "pretraining.percepts.videos has no 'training'"
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
                    f"datasets.{name}: a data set's name is small letters and digits, and none of "
                    f"'{UNLABELLED}', 'mnist', 'patches'"
                )
        return self
