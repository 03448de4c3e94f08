"""Settings of the pixel sequences for encoder-decoders: Moving MNIST and image patches."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from video_lstm.settings.base import Fraction, Positive, Section


class MovingDigits(Section):
    """Moving MNIST sequences (paper, section 3.2)."""

    source: str = "sklearn"
    """Folder of the four MNIST idx files (paper), or `sklearn` for the 1,797 smaller digits that
    come with scikit-learn."""
    image_size: Annotated[int, Field(ge=7)] = 64
    """Side of a frame in pixels (paper: 64)."""
    digit_size: Positive = 28
    """Side of a digit in pixels (paper: 28)."""
    num_digits: Positive = 2
    """Number of digits in a sequence (paper: 2)."""
    speed: tuple[float, float] = (0.1, 0.1)
    """Lowest and highest speed of a digit per frame, as a fraction of the distance it can move
    (`image_size` - `digit_size`); drawn uniformly. 0.1 is the released code's 3.6 pixels."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.digit_size >= self.image_size:
            raise ValueError(
                f"expected digit_size below image_size ({self.image_size}), found {self.digit_size}"
            )
        if not 0 <= self.speed[0] <= self.speed[1]:
            raise ValueError(
                f"expected speed as [lowest, highest], none negative, found {list(self.speed)}"
            )
        return self


class MNISTSettings(MovingDigits):
    """Moving MNIST sequences and their test set (paper, section 3.2)."""

    num_test_sequences: Positive = 10_000
    """Number of sequences in the fixed test set."""
    test_file: str | None = None
    """Path of the published test set `mnist_test_seq.npy`, or of an .npz file with that array; null
    renders a test set from MNIST's test digits."""


class PatchSettings(Section):
    """Patches of the unlabelled videos (paper, section 3.2)."""

    patch_size: Annotated[int, Field(ge=7)] = 32
    """Side of a patch in pixels (paper: 32)."""
    color: bool = True
    """Whether patches are RGB; false makes them grey."""
    frame_rate: Annotated[float, Field(gt=0)] | None = None
    """Frame rate in frames per second, independent of `video.frame_rate`; null takes every frame.
    Lower rates mean more movement from frame to frame, which is harder to predict."""
    height: Positive = 240
    """Height in pixels of the frames that patches are cut from (UCF-101: 240)."""
    width: Positive = 320
    """Width in pixels (UCF-101: 320). Frames are scaled to cover height x width, then cropped
    around the centre. In larger frames, patches show smaller parts that move faster."""
    num_train_sequences: Positive = 100_000
    """Number of training sequences."""
    num_test_sequences: Positive = 5_000
    """Number of test sequences, from videos that training sequences are not taken from."""
    test_fraction: Fraction = 0.2
    """Fraction of the unlabelled videos that is held out for the test sequences."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.patch_size > min(self.height, self.width):
            raise ValueError(
                f"expected patch_size to fit into frames of {self.height} x {self.width} (height x "
                f"width), found {self.patch_size}"
            )
        return self
