"""Settings of models and their training: optimisers, encoder-decoders, classifiers."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, NonNegativeFloat, model_validator

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
    """Optimiser, learning rate schedule and early stopping of a training."""

    steps: Positive = 10_000
    """Number of parameter updates."""
    batch_size: Positive = 128
    """Sequences (flow stacks, for the flow convnet) per update; lower it if memory runs out."""
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    """Optimisation algorithm."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate, reached after the warm-up."""
    momentum: Probability = 0.9
    """Momentum of `sgd` and `rmsprop`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of weight matrices; biases and peephole weights have none."""
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    """Learning rate after the warm-up: `constant`, multiplied by `decay_factor` every `decay_every`
    steps (`step`), or decayed to 0 along half a cosine (`cosine`)."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Number of steps in which the learning rate rises linearly from 0."""
    decay_every: Positive = 10_000
    """Steps between two decays of the learning rate; schedule `step` only."""
    decay_factor: Fraction = 0.9
    """Factor by which the learning rate decays; schedule `step` only."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients are clipped to this global norm; null never clips. The loss is the mean per
    sequence and frame value."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of matrix products; cell states and sums stay float32. `tf32` needs a GPU,
    `bfloat16` a GPU or a CPU with bfloat16 instructions (AVX-512, AMX); other devices use
    float32."""
    validate_every: Positive | None = None
    """Steps between two evaluations on the validation set; null evaluates 20 times per training."""
    early_stopping_patience: Positive | None = 5
    """Training stops after this many evaluations in a row without an improvement of the validation
    loss; null never stops early. The weights with the lowest validation loss are kept in any
    case."""


class EncoderDecoderSettings(Section):
    """An LSTM or ConvLSTM encoder-decoder and its training (paper, section 2)."""

    hidden_size: Positive = 2048
    """LSTM units per layer (paper: 2048), or channels per layer of a ConvLSTM."""
    num_layers: Positive = 1
    """Number of layers of the encoder and of each decoder."""
    input_frames: Positive = 16
    """Number of frames that the encoder reads (paper: 16, Moving MNIST 10)."""
    future_frames: Positive = 13
    """Number of future frames that are predicted (paper: 13, Moving MNIST 10)."""
    forget_bias: float = 0.0
    """Initial bias of the forget gates (paper: 0)."""
    output_bias: Literal["zero", "mean_frame"] = "mean_frame"
    """Initial bias of the output layer: `zero` (paper), or `mean_frame`, the mean training frame,
    with which small models and short trainings get lower errors."""
    patch_size: Positive | None = None
    """Side in pixels of the patches that a ConvLSTM (Shi et al. 2015) splits square grey frames
    into, one channel per pixel of a patch. null makes the layers LSTMs (paper)."""
    kernel_size: Positive = 5
    """Side of the ConvLSTM kernels; odd."""
    readout_first: bool = False
    """Compute a decoder's first output directly from the copied encoder state, as the authors'
    first code does; false takes an LSTM step before it."""
    scheduled_sampling: Probability = 0.0
    """Probability that a conditional decoder gets its own output instead of the true frame as input
    in training (scheduled sampling); 0 is teacher forcing (paper)."""
    scheduled_sampling_warmup: Probability = 0.0
    """Fraction of the training steps in which `scheduled_sampling` rises linearly from 0; 0 applies
    the full probability from the first step."""
    input_lr_scale: Probability = 1.0
    """Learning rate of the encoder's input weights, relative to `training.learning_rate`; a small
    factor helps where frame values are strongly correlated, as pixels are."""
    feedback_lr_scale: Probability = 1.0
    """Learning rate of a conditional decoder's weights for the previous frame, relative to
    `training.learning_rate`; a small factor helps where frames have many values
    (docs/reproduction.md)."""
    output_lr_scale: NonNegativeFloat = 1.0
    """Learning rate of the decoders' output layers, relative to `training.learning_rate`; on Moving
    MNIST a factor of 3 lowers both errors (docs/reproduction.md)."""
    num_processes: Positive = 1
    """Number of processes that each batch is split over, each on its own GPU if there are GPUs;
    must divide `training.batch_size`."""
    training: TrainingSettings = TrainingSettings()
    """Training of the encoder-decoders."""

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> Self:
        if self.training.batch_size % self.num_processes:
            raise ValueError(
                f"expected training.batch_size to be a multiple of num_processes "
                f"({self.num_processes}), found {self.training.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, found {self.kernel_size}")
        return self


class PatchEncoderDecoderSettings(EncoderDecoderSettings):
    """Encoder-decoders of image patches (paper, section 3.2)."""

    num_layers: Positive = 2
    """Number of layers of the encoder and of each decoder."""
    subtract_mean: bool = False
    """Subtract the mean of a sequence's input frames from all its frames, so that the model need
    not learn the brightness of a patch."""


class PerceptEncoderDecoderSettings(EncoderDecoderSettings):
    """Encoder-decoders of percepts (paper, section 3.3)."""

    num_layers: Positive = 2
    """Number of layers of the encoder and of each decoder (paper: 2, section 3.4)."""
    videos: list[Literal["unlabelled", "training"]] = ["unlabelled", "training"]
    """Videos to train on: the `unlabelled` videos, the `training` videos of the labelled sets
    (without their labels), or both. Test videos are never used."""
    validation_fraction: Fraction = 0.1
    """Fraction of the unlabelled and of the training videos that is held out for early stopping."""


class CapacitySettings(Section):
    """Autoencoders of Moving MNIST of several sizes (lab report, section 3.2). All other settings
    are those of `pretraining.mnist`.
    """

    hidden_sizes: list[Positive] = [500, 1500, 2500]
    """LSTM units per layer; one model is trained for each."""
    num_layers: Positive = 1
    """Number of layers of the encoder and of the decoder."""
    training: TrainingSettings = TrainingSettings(
        optimizer="rmsprop", momentum=0.0, learning_rate=1e-4
    )
    """Training of these autoencoders."""


class UnlabelledHoursSettings(Section):
    """Comparison of pretraining on different amounts of unlabelled video, by the accuracy after
    fine-tuning. All other settings are those of `pretraining.percepts` and `finetuning`.
    """

    hours: list[Annotated[float, Field(ge=0)]] = []
    """Hours of unlabelled video; one model is trained for each, next to the model trained on all of
    it. 0 trains on the labelled sets' training videos only. An empty list compares nothing."""
    variant: VariantName = "composite"
    """Encoder-decoder variant to pretrain."""
    stream: Stream | None = None
    """Stream of the percepts; null takes `motion` if it is among `streams`, else the first of
    them."""
    labels: list[Labels] = [1, 10]
    """Numbers of labelled videos per class to fine-tune on."""


class ConvLSTMSettings(Section):
    """Comparison on Moving MNIST of a ConvLSTM composite with two LSTM composites (lab report,
    section 3.3): one with the same number of parameters, and that of `pretraining.mnist`, trained
    for the same time. All other settings are those of `pretraining.mnist`.
    """

    channels: Positive = 64
    """Channels of each ConvLSTM layer."""
    num_layers: Positive = 2
    """Number of layers of the ConvLSTM and of the LSTM with as many parameters."""
    kernel_size: Positive = 5
    """Side of the ConvLSTM kernels; odd."""
    patch_size: Positive = 4
    """Side in pixels of the patches that the ConvLSTM splits frames into, one channel per pixel of
    a patch; must divide `mnist.image_size`."""
    training: TrainingSettings = TrainingSettings()
    """Training of the ConvLSTM and of the LSTM with as many parameters. The LSTM of the same
    training time is trained as `pretraining.mnist` says, for a number of steps that follows from
    the time per step of the composite there."""


class PretrainingSettings(Section):
    """Unsupervised training of encoder-decoders (paper, section 2)."""

    variants: list[VariantName] = list(get_args(VariantName))
    """Encoder-decoder variants to train; the default is all of the paper's."""
    percepts: PerceptEncoderDecoderSettings = PerceptEncoderDecoderSettings()
    """Encoder-decoders of percepts, for action recognition."""
    mnist: EncoderDecoderSettings = EncoderDecoderSettings(
        input_frames=10, future_frames=10, num_layers=2
    )
    """Encoder-decoders of Moving MNIST."""
    patches: PatchEncoderDecoderSettings = PatchEncoderDecoderSettings()
    """Encoder-decoders of image patches."""


class ClassifierSettings(Section):
    """An LSTM classifier and its training (paper, section 3.3)."""

    num_draws: Positive = 5
    """Number of times that labelled subsets are drawn and classifiers trained on them; results are
    averaged over the draws."""
    block_frames: Positive = 16
    """Number of frames in a block, the classifier's input (paper: 16)."""
    block_stride: Positive = 8
    """Number of frames from the start of one block of a test video to the start of the next
    (paper: 8)."""
    softmax_init: Literal["logistic_regression", "random"] = "logistic_regression"
    """Initial weights of the softmax layer: those of a logistic regression on the encoder's mean
    output, which protects the encoder from large early updates (Kumar et al. 2022), or `random`
    (paper)."""
    logistic_regression_c: Annotated[float, Field(gt=0)] = 0.1
    """Inverse strength (C) of the L2 regularisation of that logistic regression."""
    encoder_lr_scale: Annotated[float, Field(ge=0)] = 1.0
    """Learning rate of the encoder, relative to that of the softmax; 0 freezes the encoder."""
    dropout: Probability = 0.5
    """Dropout probability between layers, not between time steps (Zaremba et al. 2014)."""
    training: TrainingSettings = TrainingSettings(steps=600, batch_size=64, weight_decay=1e-4)
    """Training of the classifiers; `batch_size` counts blocks."""


class Override(Section):
    """Settings that apply to some classifiers only."""

    variants: list[ClassifierName] | None = None
    """Classifiers that the settings apply to; null means all."""
    streams: list[Stream] | None = None
    """Streams that the settings apply to; null means all."""
    labels: list[Labels] | None = None
    """Numbers of labelled videos per class that the settings apply to; null means all."""
    settings: dict[str, Any]
    """Settings of [finetuning](#finetuning) to change, such as `{training: {learning_rate:
    0.003}}`."""

    def applies(self, variant: str, stream: str, labels: int | str) -> bool:
        """Return whether the settings apply to a classifier."""
        pairs = ((self.variants, variant), (self.streams, stream), (self.labels, labels))
        return all(chosen is None or value in chosen for chosen, value in pairs)


class FinetuningSettings(ClassifierSettings):
    """Supervised fine-tuning of classifiers on few and many labels (paper, section 3.3)."""

    labels: list[Labels] = [1, 10, "all"]
    """Numbers of labelled training videos per class to train on."""
    overrides: list[Override] = []
    """Settings for some classifiers only, such as a learning rate for each number of labels. If
    several overrides apply, the last one wins."""
    choices: list[dict[str, Any]] = []
    """Candidate settings, each as a change of these (`{training: {steps: 200}}`). Each classifier
    uses the candidate with the highest accuracy on held-out training videos; `snakemake choices`
    tabulates the accuracies. An empty list selects nothing."""
    validation_fraction: Fraction = 0.2
    """Fraction of the training videos, in whole groups, that is held out to select among `choices`
    and to select the weights of fused streams."""

    def settings_of(
        self, variant: str, stream: str, labels: int | str, choice: int | None = None
    ) -> ClassifierSettings:
        """Return the settings of one classifier.

        Args:
            variant: Name of the classifier.
            stream: Stream of its percepts.
            labels: Labelled videos per class, or "all".
            choice: Index into `choices`; must be 0 if there are none.
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
