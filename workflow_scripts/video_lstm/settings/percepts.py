"""Settings of optical flow, of RGB percepts, and of the convnet that extracts flow percepts."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Positive, Section
from video_lstm.settings.training import TrainingSettings


class BroxSettings(Section):
    """Brox optical flow, with the parameter names of OpenCV's CUDA implementation. The defaults of
    that (scale factor 0.8, 5 and 10 iterations) take 1.5 times as long, for an error that is 1%
    smaller. `brox: fast` stands for `inner_iterations: 2` and `scale_factor: 0.7`, which takes 0.7
    of the time, for an error that is 15% larger (benchmarks/flow.py, tuning pairs).
    """

    alpha: Annotated[float, Field(gt=0)] = 0.197
    """Weight of the smoothness term."""
    gamma: Annotated[float, Field(ge=0)] = 50.0
    """Weight of the gradient constancy term, relative to grey value constancy."""
    scale_factor: Annotated[float, Field(gt=0, lt=1)] = 0.75
    """Scale between neighbouring levels of the image pyramid."""
    inner_iterations: Positive = 4
    """Fixed-point iterations per pyramid level."""
    outer_iterations: Positive = 150
    """Maximum number of pyramid levels; no level has a side of less than 16 pixels."""
    solver_iterations: Positive = 8
    """Iterations of the linear solver (SOR) per fixed-point iteration."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return {"scale_factor": 0.7, "inner_iterations": 2} if value == "fast" else value


class FlowSettings(Section):
    """Optical flow between consecutive frames (paper, section 3.1)."""

    method: Literal["brox", "dis", "farneback", "tvl1"] = "dis"
    """`brox` (paper) is implemented here; `dis`, `farneback` and `tvl1` are OpenCV's."""
    brox: BroxSettings = BroxSettings()
    """Parameters of method `brox`, or `fast`."""
    batch_size: Positive = 32
    """Frame pairs processed at once; lower it if memory runs out."""
    height: Positive = 240
    """Height in pixels of the frames that flow is computed on."""
    width: Positive = 320
    """Width in pixels. Frames are scaled to cover height x width, then cropped around the
    centre."""
    bound: Annotated[float, Field(gt=0)] = 20.0
    """Displacements are clipped to +-bound pixels, then quantised to 8 bits (Simonyan & Zisserman
    2014)."""
    codec: Literal["png", "jpeg"] = "png"
    """Image format in which flow is stored. `png` is lossless: 13 kB per flow field at 320 x 240.
    `jpeg` (Simonyan & Zisserman 2014) takes 5.4 kB, with errors of up to 0.9 pixels instead of 0.08
    (benchmarks/flow_storage.py)."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95
    """JPEG quality for codec `jpeg`."""

    def used(self) -> Self:
        """Return a copy in which settings that its method and codec do not use are defaults."""
        unused = {"brox": self.method != "brox", "jpeg_quality": self.codec != "jpeg"}
        return type(self)(**self.model_dump(exclude={name for name in unused if unused[name]}))


class PerceptSettings(Section):
    """RGB percepts: activations of a convnet trained on ImageNet (paper, section 3.1)."""

    network: str = "efficientnet-lite0"
    """`efficientnet-lite0` (weights are installed with it), `vgg16` (the paper's; needs `weights`),
    or `torchvision:NAME` or `timm:NAME` if that package is installed."""
    weights: str | None = None
    """Path of your weights, .safetensors or .pth with torchvision's parameter names; null takes the
    weights that come with the network's package."""
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """Expected SHA-256 of the weights file; null skips the check."""
    layer: str | None = None
    """Name of the module whose output is the percept. Default: fc6 after the ReLU for VGG-16
    (`classifier.1`, as in the paper), the last feature map for EfficientNet (`_swish`), the input
    of the classifier for networks of torchvision and timm, pooled as these networks do it."""
    pooling: Literal["average", "max", "flatten", "token"] = "average"
    """How a feature map or the tokens of a transformer are reduced to a vector; `flatten` keeps all
    positions, `token` takes the first token, often the class token. Has no effect on layers whose
    output is a vector."""
    height: Positive = 240
    """Height in pixels of the frames before `crop_size` is applied."""
    width: Positive = 320
    """Width in pixels. Frames are scaled to cover height x width, then cropped around the
    centre."""
    crop_size: Positive = 224
    """Side in pixels of the central square crop that the network gets as input."""
    batch_size: Positive = 32
    """Frames per forward pass; lower it if memory runs out."""
    backend: Literal["auto", "torch", "onnx"] = "auto"
    """Library that runs the network; `auto` takes torch on a GPU and ONNX Runtime on a CPU."""
    features: str | None = None
    """Folder of frame features that you have already; they replace the network, whose settings then
    have no effect. The video CLASS/a.mp4 of data set NAME has them in NAME/CLASS/a.npy or a.h5:
    (frames, values), one row for each frame at `video.frame_rate`; unlabelled videos in
    unlabelled/."""

    def used(self) -> Self:
        """Return a copy in which settings that features of the user replace are defaults."""
        return self if self.features is None else type(self)(features=self.features)

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_size > min(self.height, self.width):
            raise ValueError(
                f"crop_size {self.crop_size} does not fit into {self.height}x{self.width} "
                "(height x width)"
            )
        return self


class FlowConvnetSettings(Section):
    """The temporal stream convnet (Simonyan & Zisserman 2014), trained on the flow of labelled
    videos.
    """

    channels: list[Positive] = [96, 256, 512, 512, 512]
    """Output channels of the five convolutions; the default is CNN-M-2048's."""
    fc6: Positive = 4096
    """Size of the fully connected layer fc6, whose activations are the flow percepts."""
    fc7: Positive = 2048
    """Size of the fully connected layer fc7, between fc6 and the softmax."""
    crop_size: Annotated[int, Field(ge=16)] = 224
    """Side in pixels of the random square crop in training, at most the flow's height and width.
    Smaller crops are downsampled less, so the last feature map keeps about the same size."""
    normalization: Literal["local_response", "batch", "none"] = "local_response"
    """`local_response` normalises after the first convolution, as the original does; `batch`
    normalises after each and trains small convnets in far fewer steps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Dropout probability of fc6 and fc7."""
    hold_out_validation: bool = False
    """Train without the validation videos (`finetuning.validation_fraction`), so that the weights
    of fused streams are chosen on videos that no stream was trained on. By default the convnet is
    trained on all training videos of a split, as in the paper; the weights may then favour flow."""
    training: TrainingSettings = TrainingSettings(
        steps=80_000,
        batch_size=256,
        optimizer="sgd",
        learning_rate=1e-2,
        schedule="step",
        decay_every=50_000,
        decay_factor=0.1,
        weight_decay=5e-4,
        max_grad_norm=None,
    )
