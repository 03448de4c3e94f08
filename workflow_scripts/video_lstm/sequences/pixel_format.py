"""The format of the images that a model was trained on."""

from dataclasses import dataclass

from video_lstm.settings.sequences import MovingDigits


@dataclass(frozen=True)
class PixelFormat:
    """The images that a model was trained on, and how they are cropped from a video.

    Attributes:
        size: Side of an image in pixels.
        color: Whether images are RGB; otherwise they are grey.
        height: Height in pixels to which frames are scaled and cropped around the centre.
        width: Width in pixels to which frames are scaled and cropped around the centre.
        rate: Frame rate in Hz at which frames are sampled; None for every frame of the video.
        mean: Mean that is subtracted from pixels.
        std: Standard deviation by which the difference is divided.
    """

    size: int
    color: bool
    height: int
    width: int
    rate: float | None
    mean: float
    std: float

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns of whole tiles in a frame."""
        return self.height // self.size, self.width // self.size


def digit_pixel_format(settings: MovingDigits) -> PixelFormat:
    """Return Moving MNIST's format: one tile, the central square of the frames."""
    return PixelFormat(
        settings.image_size, False, settings.image_size, settings.image_size, None, 0.0, 255.0
    )
