"""Pictures that encoder-decoders learn from: moving digits, and patches of video."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Fraction, Positive, Section


class MovingDigits(Section):
    """How the digits of Moving MNIST look and move (paper, section 3.2)."""

    source: str = "sklearn"
    """`sklearn`: its 1,797 digits, enlarged; or the folder of the four MNIST idx files."""
    image_size: Annotated[int, Field(ge=7)] = 64
    """Side of a frame in pixels, at least the window of the structural similarity."""
    digit_size: Positive = 28
    num_digits: Positive = 2
    """Digits in a sequence."""
    speed: tuple[float, float] = (0.1, 0.1)
    """Range of the speed, drawn uniformly, in units of the free range per frame (0.1 of 36 pixels
    is the released code's 3.6 pixels)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.digit_size >= self.image_size:
            raise ValueError(
                f"digit_size {self.digit_size} leaves no room to move in {self.image_size}"
            )
        if not 0 <= self.speed[0] <= self.speed[1]:
            raise ValueError(f"speed {list(self.speed)} is no range: least first, none below 0")
        return self


class MNISTSettings(MovingDigits):
    """Moving MNIST: the digits, and the test set that is made of them."""

    num_test_sequences: Positive = 10_000
    """Number of sequences in the fixed test set."""
    test_file: str | None = None
    """The standard `mnist_test_seq.npy` (20, 10000, 64, 64), or an .npz file of that array alone,
    to take the test set from it; null makes it from the test digits."""


class PatchSettings(Section):
    """Patches of natural video (paper, section 3.2)."""

    patch_size: Annotated[int, Field(ge=7)] = 32
    """Side of a patch in pixels, at least the window of the structural similarity."""
    color: bool = True
    """RGB patches; false: grey ones."""
    frame_rate: Annotated[float, Field(gt=0)] | None = None
    """Frames per second of the patches, picked by time stamp, whatever `video.frame_rate` is; null
    takes every frame of a file as it is. Patches that move far from frame to frame are not
    predicted."""
    height: Positive = 240
    width: Positive = 320
    """Frames are scaled to cover height x width and the centre is cut out; patches are cut from
    that. UCF-101's own size; larger frames make what a patch shows larger, and faster."""
    num_train_sequences: Positive = 100_000
    num_test_sequences: Positive = 5_000
    """Cut from videos that no training sequence is cut from."""
    test_fraction: Fraction = 0.2
    """Share of the pile's videos that is kept for the test sequences."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.patch_size > min(self.height, self.width):
            raise ValueError(
                f"patch_size {self.patch_size} is larger than {self.height} x {self.width} frames"
            )
        return self
