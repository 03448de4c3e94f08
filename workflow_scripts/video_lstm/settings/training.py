"""Models and how they are trained: optimisers, encoder-decoders, classifiers."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from video_lstm.settings.base import (
    Fraction,
    Positive,
    Probability,
    Section,
    Stream,
    merged,
)

VariantName = Literal[
    "autoencoder",
    "conditional_autoencoder",
    "future_predictor",
    "conditional_future_predictor",
    "composite",
    "composite_conditional_future",
]
FUSED: VariantName = "composite"
"""The variant whose classifiers of several streams are fused (table 4)."""
ClassifierName = Literal["single_frame", "lstm_baseline"] | VariantName
BaselineRepresentation = Literal["percepts", "movement", "random"]
"""What pretrained encoders are compared with: the mean percept; its mean absolute movement (stream
`motion` only); an encoder with random weights."""
Labels = Annotated[int, Field(ge=1)] | Literal["all"]


class TrainingSettings(Section):
    """The optimiser and its schedule."""

    steps: Positive = 10_000
    """Parameter updates."""
    batch_size: Positive = 128
    """Sequences per update."""
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Probability = 0.9
    """Momentum of `sgd` and `rmsprop`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """On weight matrices; never on biases or peepholes."""
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Linear rise of the learning rate."""
    decay_every: Positive = 10_000
    """Steps between the decays of schedule `step`."""
    decay_factor: Fraction = 0.9
    """Factor of a decay of schedule `step`."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Bound of the global norm of the gradient of the mean loss per sequence and frame value."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of matrix products; cell states and sums stay float32. `tf32` needs a GPU,
    `bfloat16` a GPU or a CPU with bfloat16 instructions (AVX-512, AMX); other devices use
    float32."""
    validate_every: Positive | None = None
    """Steps between looks at the validation sequences; null looks twenty times in a training."""
    early_stopping_patience: Positive | None = 5
    """Early stopping: training ends after so many looks in a row without an improvement; null
    trains to the end. The weights of the best look are kept in any case."""


class EncoderDecoderSettings(Section):
    """An encoder-decoder and how it is trained (paper, section 2)."""

    hidden_size: Positive = 2048
    """LSTM units of a layer, or channels of a ConvLSTM's."""
    num_layers: Positive = 1
    input_frames: Positive = 16
    """Frames that the encoder reads."""
    future_frames: Positive = 13
    """Frames that are predicted."""
    forget_bias: float = 0.0
    """Start of the forget gates' biases (paper: 0)."""
    output_bias: Literal["zero", "mean_frame"] = "mean_frame"
    """Start of the outputs' biases: 0 (paper), or the mean training frame, from which small models
    and short trainings get much further."""
    patch_size: Positive | None = None
    """Makes the layers ConvLSTMs (Shi et al. 2015), which read grey square frames as maps with a
    channel for every pixel of a patch of this side; null: LSTMs (paper)."""
    kernel_size: Positive = 5
    """Side of a ConvLSTM's kernels, odd."""
    readout_first: bool = False
    """The first output is read from the copied state, with no step before it (the authors' first
    code)."""
    scheduled_sampling: Probability = 0.0
    """Scheduled sampling: how often a conditional decoder is fed its own output in
    training instead of the true frame."""
    scheduled_sampling_warmup: Probability = 0.0
    """Share of training in which `scheduled_sampling` rises linearly from 0; at 0 it is there from
    the first step."""
    input_lr_scale: Probability = 1.0
    """What share of the learning rate the encoder's weights for the frames have; a small one helps
    where frames have many values that are alike, as neighbouring pixels are."""
    feedback_lr_scale: Probability = 1.0
    """What share of the learning rate a conditional decoder's weights for the previous frame have;
    a small one helps where frames have many values (docs/reproduction.md)."""
    num_processes: Positive = 1
    """Processes that share each batch, every one on a GPU of its own where there are GPUs."""
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> Self:
        if self.training.batch_size % self.num_processes:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} is no multiple of num_processes "
                f"{self.num_processes}"
            )
        return self

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} has no middle; kernels are odd")
        return self


class PatchEncoderDecoderSettings(EncoderDecoderSettings):
    """Encoder-decoders of image patches."""

    num_layers: Positive = 2
    subtract_mean: bool = False
    """Read each sequence, and predict it, around the mean of the frames that are seen of it, so
    that the brightness of a patch takes no learning."""


class PerceptEncoderDecoderSettings(EncoderDecoderSettings):
    """Encoder-decoders of percepts."""

    num_layers: Positive = 2
    """The paper's recognition models have two (section 3.4)."""
    videos: list[Literal["unlabelled", "training"]] = ["unlabelled", "training"]
    """What they learn from: the unlabelled pile, the labelled sets' training videos (without their
    labels), or both. Test videos are never used."""
    validation_fraction: Fraction = 0.1
    """Share of the videos, of the unlabelled and of the training videos each, that is kept for
    validation: training stops by it, and keeps the best weights."""


class CapacitySettings(Section):
    """Autoencoders of Moving MNIST of several sizes (lab report, section 3.2).

    What is not said here is as in `pretraining.mnist`.
    """

    hidden_sizes: list[Positive] = [500, 1500, 2500]
    """LSTM units of a layer, a model each."""
    num_layers: Positive = 1
    training: TrainingSettings = TrainingSettings(
        optimizer="rmsprop", momentum=0.0, learning_rate=1e-4
    )


class UnlabelledHoursSettings(Section):
    """How much unlabelled video a model needs: accuracy against hours that it was pretrained on.

    What is not said here is as in `pretraining.percepts` and `finetuning`.
    """

    hours: list[Annotated[float, Field(ge=0)]] = []
    """Hours of the unlabelled videos, a model each, beside the one of all of them; 0 leaves the
    training videos. None: nothing is compared."""
    variant: VariantName = "composite"
    """The encoder-decoder that is pretrained."""
    stream: Stream | None = None
    """By default `motion` where it is among the streams, else the first of them."""
    labels: list[Labels] = [1, 10]
    """Labelled videos per class."""


class ConvLSTMSettings(Section):
    """A ConvLSTM composite of Moving MNIST, and the LSTMs that it is compared with, which have as
    many parameters, or as much time to train (lab report, section 3.3).

    What is not said here is as in `pretraining.mnist`.
    """

    channels: Positive = 64
    """Channels of each ConvLSTM layer."""
    num_layers: Positive = 2
    """Number of layers of the ConvLSTM and of the LSTMs."""
    kernel_size: Positive = 5
    """Side of the kernels, odd."""
    patch_size: Positive = 4
    """Frames are read as maps with a channel for every pixel of a patch of this side."""
    training: TrainingSettings = TrainingSettings()
    """Training of the ConvLSTM and of the LSTMs, except the steps of the LSTM with equal time."""


class PretrainingSettings(Section):
    """Unsupervised learning: which variants, on what, and how (paper, section 2)."""

    variants: list[VariantName] = list(get_args(VariantName))
    percepts: PerceptEncoderDecoderSettings = PerceptEncoderDecoderSettings()
    mnist: EncoderDecoderSettings = EncoderDecoderSettings(
        input_frames=10, future_frames=10, num_layers=2
    )
    patches: PatchEncoderDecoderSettings = PatchEncoderDecoderSettings()


class ClassifierSettings(Section):
    """A classifier and how it is trained (paper, section 3.3)."""

    num_draws: Positive = 5
    """How often the labelled subsets are drawn and the classifiers trained."""
    block_frames: Positive = 16
    """Frames of a block."""
    block_stride: Positive = 8
    """Between the blocks of a test video."""
    softmax_init: Literal["logistic_regression", "random"] = "logistic_regression"
    """What the softmax starts from: a logistic regression on the encoder's mean output of the
    labelled videos, so that fine-tuning keeps what the encoder has learned (Kumar et al. 2022); or
    random weights (the paper, the released code)."""
    logistic_regression_c: Annotated[float, Field(gt=0)] = 0.1
    """Inverse strength of that regression's L2 regularisation."""
    encoder_lr_scale: Annotated[float, Field(ge=0)] = 1.0
    """The encoder's learning rate as a factor of the softmax's; 0 freezes the encoder."""
    dropout: Probability = 0.5
    """Between layers, never in time (Zaremba et al. 2014)."""
    training: TrainingSettings = TrainingSettings(steps=600, batch_size=64, weight_decay=1e-4)


class Override(Section):
    """Settings of some of the classifiers."""

    variants: list[ClassifierName] | None = None
    """Which classifiers; null: all."""
    streams: list[Stream] | None = None
    """Classifiers of these streams; null: all."""
    labels: list[Labels] | None = None
    """Trained on how many labelled videos per class; null: any number."""
    settings: dict[str, Any]
    """What changes for them, such as `{training: {learning_rate: 0.003}}`."""

    def applies(self, variant: str, stream: str, labels: int | str) -> bool:
        """Whether a classifier is one of these."""
        pairs = ((self.variants, variant), (self.streams, stream), (self.labels, labels))
        return all(chosen is None or value in chosen for chosen, value in pairs)


class FinetuningSettings(ClassifierSettings):
    """Supervised learning from few and many labels (paper, section 3.3)."""

    labels: list[Labels] = [1, 10, "all"]
    """Labelled training videos per class."""
    overrides: list[Override] = []
    """Settings that differ between classifiers: a learning rate for each number of labels, say.
    Where several apply, the later one counts."""
    choices: list[dict[str, Any]] = []
    """Settings to choose between, each as what it changes of these (`{training: {steps: 200}}`).
    Every classifier is first trained with each of them on a part of the training videos, and takes
    the one that does best on the rest; `snakemake choices` shows how well each does. None: nothing
    is chosen."""
    validation_fraction: Fraction = 0.2
    """Share of the training videos, in whole groups, that choices are made on: of settings, and of
    the weights by which streams are fused."""

    def settings_of(
        self, variant: str, stream: str, labels: int | str, choice: int | None = None
    ) -> ClassifierSettings:
        """The settings of one classifier.

        Args:
            variant: which.
            stream: Stream of its percepts.
            labels: labelled videos per class, or "all".
            choice: number of one of the choices; without choices, 0 is the only one.
        """
        values = self.model_dump(include=set(ClassifierSettings.model_fields))
        for override in self.overrides:
            if override.applies(variant, stream, labels):
                values = merged(values, override.settings)
        if choice is not None and self.choices:
            values = merged(values, self.choices[choice])
        return ClassifierSettings.model_validate(values)

    @model_validator(mode="after")
    def _changes_are_settings(self) -> Self:
        values = self.model_dump(include=set(ClassifierSettings.model_fields))
        for changes in (*(override.settings for override in self.overrides), *self.choices):
            ClassifierSettings.model_validate(merged(values, changes))
        return self
