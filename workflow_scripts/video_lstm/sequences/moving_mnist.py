"""Moving MNIST (paper, section 3.2): handwritten digits that move and bounce in a square.

Where a digit is follows from few random numbers and is worked out on the CPU; the frames, which are
many bytes, are drawn on the training device. The same seed gives the same frames on every device.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from video_lstm.errors import UserError
from video_lstm.sequences.random_streams import TEST, TRAINING, VALIDATION, step_generator
from video_lstm.settings.sequences import MNISTSettings, MovingDigits

_HELD_OUT = 20  # one training digit in so many is kept for validation
_VALIDATION_BATCHES = 4
_LOOKED_AT = 20  # sequences, or frames, of a file whose axes are checked
_CACHE_BYTES = 4 << 20  # frames drawn at a time on a CPU: the second digit finds them in its cache


def corners(
    rng: np.random.Generator,
    size: int,
    frames: int,
    settings: MovingDigits,
) -> np.ndarray:
    """Where the digits of a batch are, frame by frame.

    A start is uniform in the free range, a direction uniform on the circle, a speed uniform in its
    range. The first frame shows the digits after one step. A digit that leaves the free range is
    put back on its edge, and that component of its velocity is negated (released code).

    Args:
        rng: where the random numbers come from.
        size: sequences.
        frames: frames of a sequence.
        settings: how many digits, how fast, how large.

    Returns:
        Row and column of each digit's upper left corner in pixels,
        (frames, size, digits, 2) int64 in [0, settings.image_size - settings.digit_size].
    """
    digits = (size, settings.num_digits)
    position = rng.random((*digits, 2))
    direction = rng.uniform(0, 2 * np.pi, digits)
    speed = rng.uniform(*settings.speed, digits)
    velocity = speed[..., None] * np.stack([np.sin(direction), np.cos(direction)], axis=-1)
    positions = np.empty((frames, *position.shape))
    for now in positions:
        position += velocity
        np.clip(position, 0, 1, out=now)
        np.negative(velocity, out=velocity, where=position != now)
        position[...] = now
    # Truncated as in the released code: only a digit on the far edge is in the last place.
    return (positions * (settings.image_size - settings.digit_size)).astype(np.int64)


def draw_frames(
    images: np.ndarray | torch.Tensor, places: np.ndarray, side: int
) -> np.ndarray | torch.Tensor:
    """Put digits on black frames; where they overlap the brighter one shows.

    Args:
        images: (size, digits, d, d), of any dtype; a tensor's frames are drawn on its device.
        places: (frames, size, digits, 2), rows and columns of the upper left corners.
        side: of a frame in pixels.

    Returns:
        (frames, size, side, side), array or tensor as `images` are, of their dtype.
    """
    frames, size, digits, _ = places.shape
    d = images.shape[-1]
    # A view of every d x d window of every frame: one assignment draws a digit of all sequences.
    if isinstance(images, torch.Tensor):
        canvas = images.new_zeros(frames, size, side, side)
        windows = canvas.unfold(2, d, 1).unfold(3, d, 1)
        places, larger = torch.from_numpy(places).to(images.device), torch.maximum
        frame = torch.arange(frames, device=images.device)[:, None]
        sequence = torch.arange(size, device=images.device)
        together = frames
    else:
        canvas = np.zeros((frames, size, side, side), images.dtype)
        windows = sliding_window_view(canvas, (d, d), axis=(2, 3), writeable=True)
        larger = np.maximum
        frame, sequence = np.arange(frames)[:, None], np.arange(size)
        together = max(1, _CACHE_BYTES // canvas[0].nbytes)
    for start in range(0, frames, together):
        now = slice(start, start + together)
        for digit in range(digits):
            row, column = places[now, :, digit, 0], places[now, :, digit, 1]
            where, image = (frame[now], sequence, row, column), images[:, digit]
            windows[where] = larger(windows[where], image) if digit else image
    return canvas


class MovingMNIST:
    """Endless stream of training sequences, made as they are asked for.

    One training digit in 20, the last ones, is kept out of the stream for the validation sequences.

    Args:
        digits: training images (n, digit_size, digit_size) uint8.
        settings: size of the frames, number and speed of the digits.
        frames: frames of a sequence.
        seed: every draw follows from it.
        device: where the frames are drawn.

    Raises:
        UserError: the images are not of settings.digit_size.
    """

    def __init__(
        self,
        digits: np.ndarray,
        settings: MovingDigits,
        frames: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        check_size(digits, settings)
        self.settings, self.frames, self.seed = settings, frames, seed
        self.frame_size = settings.image_size**2
        images = torch.from_numpy(np.float32(digits / 255)).to(device)
        kept = max(1, len(images) // _HELD_OUT)
        self._training, self._held_out = images[:-kept], images[-kept:]

    def batch(self, step: int, size: int) -> torch.Tensor:
        """The training batch of a step: follows from the seed, the step and the size alone.

        Returns:
            (frames, size, frame_size) float32 in [0, 1], on the device.
        """
        return self._draw(self._training, step_generator(self.seed, TRAINING, step), size)

    def validation(self, size: int) -> list[torch.Tensor]:
        """Fixed batches of digits that no training sequence shows, each as `batch` returns it."""
        return [
            self._draw(self._held_out, step_generator(self.seed, VALIDATION, step), size)
            for step in range(_VALIDATION_BATCHES)
        ]

    def _draw(self, images: torch.Tensor, rng: np.random.Generator, size: int) -> torch.Tensor:
        chosen = torch.from_numpy(rng.integers(len(images), size=(size, self.settings.num_digits)))
        shown = images[chosen.to(images.device)]
        places = corners(rng, size, self.frames, self.settings)
        if shown.device.type == "cpu":
            # NumPy's assignment to windows is twice as fast as torch's on a CPU.
            drawn = torch.from_numpy(draw_frames(shown.numpy(), places, self.settings.image_size))
        else:
            drawn = draw_frames(shown, places, self.settings.image_size)
        return drawn.flatten(2)


def fixed_sequences(
    digits: np.ndarray, settings: MNISTSettings, frames: int, seed: int, block: int = 500
) -> Iterator[np.ndarray]:
    """The fixed test set, in blocks.

    Args:
        digits: test images (n, digit_size, digit_size) uint8.
        settings: as for training, and how many sequences.
        frames: frames of a sequence.
        seed: every draw follows from it.
        block: sequences at a time.

    Yields:
        (at most block, frames, size, size) uint8.

    Raises:
        UserError: the images are not of settings.digit_size.
    """
    check_size(digits, settings)
    for number, start in enumerate(range(0, settings.num_test_sequences, block)):
        size = min(block, settings.num_test_sequences - start)
        rng = step_generator(seed, TEST, number)
        shown = digits[rng.integers(len(digits), size=(size, settings.num_digits))]
        places = corners(rng, size, frames, settings)
        yield draw_frames(shown, places, settings.image_size).swapaxes(0, 1)


def standard_sequences(
    path: Path, settings: MNISTSettings, frames: int, block: int = 500
) -> Iterator[np.ndarray]:
    """The test set that the literature shares, in blocks.

    Args:
        path: mnist_test_seq.npy, (20, 10000, 64, 64) uint8; or the same as the only array of an
            .npz file.
        settings: how large the frames are, and how many of the sequences are taken.
        frames: how many of their frames are taken.
        block: sequences at a time.

    Yields:
        (at most block, frames, size, size) uint8.

    Raises:
        UserError: it is no such file, too small, or has sequences where frames should be.
    """
    array = _load_array(path)
    side, count = settings.image_size, settings.num_test_sequences
    enough = array.ndim == 4 and array.shape[0] >= frames and array.shape[1] >= count
    if not enough or array.shape[2:] != (side, side) or array.dtype != np.uint8:
        raise UserError(
            f"{path}: expected at least {frames} frames of {count} sequences of {side} x {side} "
            f"bytes, (frames, sequences, {side}, {side}) uint8, found {array.shape} {array.dtype}; "
            "change mnist.num_test_sequences or mnist.image_size, or save the array like that"
        )
    if _axes_are_swapped(array):
        raise UserError(
            f"{path}: expected (frames, sequences, {side}, {side}), found {array.shape} whose "
            "first axis is of sequences: pictures change more along it than along the second; "
            "save it with these axes swapped"
        )
    for start in range(0, count, block):
        yield np.asarray(array[:frames, start : min(start + block, count)]).swapaxes(0, 1)


def _load_array(path: Path) -> np.ndarray:
    """The array of an .npy file, as a memory map, or the only one of an .npz file."""
    expected = f"{path}: mnist.test_file: expected mnist_test_seq.npy, found"
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = ", ".join(loaded.files) or "nothing"
            if len(loaded.files) == 1 and isinstance(array := loaded[names], np.ndarray):
                return array
    except (OSError, ValueError, EOFError, OverflowError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).split("\n", 1)[0]
        if "pickle" in reason:  # NumPy's guess at whatever it does not know
            reason = "it begins like none"
        raise UserError(f"{expected} no array of NumPy's ({reason}); get the file again") from error
    raise UserError(f"{expected} an archive that is no single array ({names}); save that as .npy")


def _axes_are_swapped(array: np.ndarray) -> bool:
    """Whether pictures change more along the first axis than along the second.

    From one frame to the next less than from one sequence to another: 1.4 to 1.8 times less for
    one to three digits, so that a tenth is a safe margin.
    """
    part = np.float32(array[:_LOOKED_AT, :_LOOKED_AT])
    if min(part.shape[:2]) < 2:
        return False
    first, second = (float(np.abs(np.diff(part, axis=axis)).mean()) for axis in (0, 1))
    return first > 1.1 * second


def mean_frame(source: MovingMNIST, sequences: int = 4000, block: int = 200) -> np.ndarray:
    """The mean of the frames of a training stream's first sequences: the best constant image.

    Returns:
        (frame_size,) float64 in [0, 1].
    """
    steps = sequences // block
    means = (source.batch(step, block).mean((0, 1), dtype=torch.float64) for step in range(steps))
    return sum(means).numpy() / steps


def check_size(digits: np.ndarray, settings: MovingDigits) -> None:
    """Raise a UserError unless the digits are as large as the settings say."""
    if digits.shape[1:] != (settings.digit_size, settings.digit_size):
        raise UserError(
            f"mnist.digit_size: expected images of {settings.digit_size} pixels, found "
            f"{digits.shape[1:]}; load the digits at that size"
        )
