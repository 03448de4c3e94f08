"""What pictures a model learned from."""

from dataclasses import dataclass

from video_lstm.settings.sequences import MovingDigits


@dataclass(frozen=True)
class PixelFormat:
    """The pictures that a model learned from, and how they are cut from a video.

    Attributes:
        size: side of a picture in pixels.
        color: RGB pictures; False: grey ones.
        height: frames are scaled to cover height x width, and the centre is cut out.
        width: see `height`.
        rate: frames per second that are picked; None for the video's own frames.
        mean: is subtracted from pixels before the model is fed them.
        std: is then divided by.
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
        """Rows and columns of whole tiles in a frame."""
        return self.height // self.size, self.width // self.size


def digit_pixel_format(settings: MovingDigits) -> PixelFormat:
    """Moving MNIST's: a video is one tile, the central square of its frames."""
    return PixelFormat(
        settings.image_size, False, settings.image_size, settings.image_size, None, 0.0, 255.0
    )
