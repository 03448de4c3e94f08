"""Moving MNIST (paper, section 3.2): handwritten digits that move and bounce in a square.

Positions need few random numbers and are computed on the CPU; frames are drawn on the training
device. The same seed gives the same frames on every device.
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

_VALIDATION_INTERVAL = 20  # one training digit in 20 is held out for validation
_VALIDATION_BATCHES = 4
_AXES_CHECK_SIZE = 20  # sequences and frames of a file that are compared to check its axes
_CACHE_BYTES = 4 << 20  # frames drawn at a time on a CPU, so that they stay in its cache


def sample_trajectories(
    rng: np.random.Generator,
    size: int,
    frames: int,
    settings: MovingDigits,
) -> np.ndarray:
    """Sample the positions of the digits of a batch.

    Starts are uniform in the range of positions, directions uniform on the circle, speeds uniform
    in their range. The first frame shows the digits after one step. A digit that leaves the range
    is put back on its edge, and that component of its velocity is negated (released code).

    Args:
        rng: Random number generator.
        size: Number of sequences.
        frames: Frames of a sequence.
        settings: Number, speed and size of the digits, and size of the frames.

    Returns:
        Row and column of each digit's upper left corner in pixels,
        (frames, size, digits, 2) int64 in [0, settings.image_size - settings.digit_size].
    """
    shape = (size, settings.num_digits)
    position = rng.random((*shape, 2))
    direction = rng.uniform(0, 2 * np.pi, shape)
    speed = rng.uniform(*settings.speed, shape)
    velocity = speed[..., None] * np.stack([np.sin(direction), np.cos(direction)], axis=-1)
    positions = np.empty((frames, *position.shape))
    for clipped in positions:
        position += velocity
        np.clip(position, 0, 1, out=clipped)
        np.negative(velocity, out=velocity, where=position != clipped)
        position[...] = clipped
    # Truncated as in the released code: only a digit on the far edge has the last position.
    return (positions * (settings.image_size - settings.digit_size)).astype(np.int64)


def draw_frames(
    images: np.ndarray | torch.Tensor, positions: np.ndarray, side: int
) -> np.ndarray | torch.Tensor:
    """Draw digits on black frames, taking the maximum where they overlap.

    Args:
        images: Digits (size, digits, d, d) of any dtype; for a tensor, frames are drawn on its
            device.
        positions: Rows and columns of the upper left corners, (frames, size, digits, 2).
        side: Side of a frame in pixels.

    Returns:
        (frames, size, side, side), of the type and dtype of `images`.
    """
    frames, size, digits, _ = positions.shape
    d = images.shape[-1]
    # With a view of all d x d windows, one assignment draws a digit of all sequences.
    if isinstance(images, torch.Tensor):
        canvas = images.new_zeros(frames, size, side, side)
        windows = canvas.unfold(2, d, 1).unfold(3, d, 1)
        positions, maximum = torch.from_numpy(positions).to(images.device), torch.maximum
        frame = torch.arange(frames, device=images.device)[:, None]
        sequence = torch.arange(size, device=images.device)
        chunk_frames = frames
    else:
        canvas = np.zeros((frames, size, side, side), images.dtype)
        windows = sliding_window_view(canvas, (d, d), axis=(2, 3), writeable=True)
        maximum = np.maximum
        frame, sequence = np.arange(frames)[:, None], np.arange(size)
        chunk_frames = max(1, _CACHE_BYTES // canvas[0].nbytes)
    for start in range(0, frames, chunk_frames):
        chunk = slice(start, start + chunk_frames)
        for digit in range(digits):
            row, column = positions[chunk, :, digit, 0], positions[chunk, :, digit, 1]
            index, image = (frame[chunk], sequence, row, column), images[:, digit]
            windows[index] = maximum(windows[index], image) if digit else image
    return canvas


class MovingMNIST:
    """Endless stream of training sequences, rendered on demand.

    The last twentieth of the training digits is held out for the validation sequences.

    Args:
        digits: Training images, (n, digit_size, digit_size) uint8.
        settings: Size of the frames, number and speed of the digits.
        frames: Frames of a sequence.
        seed: Random seed for sampling digits and trajectories.
        device: Device on which frames are drawn.

    Raises:
        UserError: The images do not have the size settings.digit_size.
    """

    def __init__(
        self,
        digits: np.ndarray,
        settings: MovingDigits,
        frames: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        check_digit_size(digits, settings)
        self.settings, self.frames, self.seed = settings, frames, seed
        self.frame_size = settings.image_size**2
        images = torch.from_numpy(np.float32(digits / 255)).to(device)
        validation_count = max(1, len(images) // _VALIDATION_INTERVAL)
        self._training_digits, self._validation_digits = (
            images[:-validation_count],
            images[-validation_count:],
        )

    def batch(self, step: int, size: int) -> torch.Tensor:
        """Return the training batch of a step; it depends only on the seed, the step and the size.

        Returns:
            (frames, size, frame_size) float32 in [0, 1], on the device.
        """
        return self._draw(self._training_digits, step_generator(self.seed, TRAINING, step), size)

    def validation(self, size: int) -> list[torch.Tensor]:
        """Return fixed batches of the held-out digits, each as `batch` returns it."""
        return [
            self._draw(self._validation_digits, step_generator(self.seed, VALIDATION, step), size)
            for step in range(_VALIDATION_BATCHES)
        ]

    def _draw(self, images: torch.Tensor, rng: np.random.Generator, size: int) -> torch.Tensor:
        indices = torch.from_numpy(rng.integers(len(images), size=(size, self.settings.num_digits)))
        digits = images[indices.to(images.device)]
        positions = sample_trajectories(rng, size, self.frames, self.settings)
        if digits.device.type == "cpu":
            # NumPy's assignment to windows is twice as fast as torch's on a CPU.
            canvas = draw_frames(digits.numpy(), positions, self.settings.image_size)
            frames = torch.from_numpy(canvas)
        else:
            frames = draw_frames(digits, positions, self.settings.image_size)
        return frames.flatten(2)


def render_test_sequences(
    digits: np.ndarray, settings: MNISTSettings, frames: int, seed: int, block: int = 500
) -> Iterator[np.ndarray]:
    """Render the fixed test set, in blocks.

    Args:
        digits: Test images, (n, digit_size, digit_size) uint8.
        settings: Settings of the digits and frames, and number of test sequences.
        frames: Frames of a sequence.
        seed: Random seed for sampling digits and trajectories.
        block: Maximum number of sequences in a block.

    Yields:
        (up to block, frames, size, size) uint8.

    Raises:
        UserError: The images do not have the size settings.digit_size.
    """
    check_digit_size(digits, settings)
    for number, start in enumerate(range(0, settings.num_test_sequences, block)):
        size = min(block, settings.num_test_sequences - start)
        rng = step_generator(seed, TEST, number)
        images = digits[rng.integers(len(digits), size=(size, settings.num_digits))]
        positions = sample_trajectories(rng, size, frames, settings)
        yield draw_frames(images, positions, settings.image_size).swapaxes(0, 1)


def read_standard_sequences(
    path: Path, settings: MNISTSettings, frames: int, block: int = 500
) -> Iterator[np.ndarray]:
    """Read the standard test set of the literature, in blocks.

    Args:
        path: mnist_test_seq.npy, (20, 10000, 64, 64) uint8, or an .npz file with that array only.
        settings: Size of the frames and number of test sequences.
        frames: Number of frames to read of each sequence.
        block: Maximum number of sequences in a block.

    Yields:
        (up to block, frames, size, size) uint8.

    Raises:
        UserError: The file is another one, too small, or has its first two axes swapped.
    """
    array = _load_array(path)
    side, count = settings.image_size, settings.num_test_sequences
    is_large_enough = array.ndim == 4 and array.shape[0] >= frames and array.shape[1] >= count
    if not is_large_enough or array.shape[2:] != (side, side) or array.dtype != np.uint8:
        raise UserError(
            f"{path}: expected at least {frames} frames of {count} sequences of {side} x {side} "
            f"bytes, (frames, sequences, {side}, {side}) uint8, found {array.shape} {array.dtype}; "
            "change mnist.num_test_sequences or mnist.image_size, or save the array in this layout"
        )
    if _has_swapped_axes(array):
        raise UserError(
            f"{path}: expected (frames, sequences, {side}, {side}), found {array.shape} whose "
            "first axis seems to be the sequences: images change more along it than along the "
            "second; save it with these axes swapped"
        )
    for start in range(0, count, block):
        yield np.asarray(array[:frames, start : min(start + block, count)]).swapaxes(0, 1)


def _load_array(path: Path) -> np.ndarray:
    """Load the array of an .npy file as a memory map, or the only one of an .npz file."""
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
        if "pickle" in reason:  # NumPy takes every unknown format for a pickle
            reason = "the format is unknown"
        raise UserError(f"{expected} no NumPy array ({reason}); download the file again") from error
    raise UserError(
        f"{expected} an archive without a single array ({names}); save the array as .npy"
    )


def _has_swapped_axes(array: np.ndarray) -> bool:
    """Tell whether images change more along the first axis than along the second.

    Consecutive frames differ 1.4 to 1.8 times less than sequences do, for one to three digits, so
    that a tenth is a safe margin.
    """
    part = np.float32(array[:_AXES_CHECK_SIZE, :_AXES_CHECK_SIZE])
    if min(part.shape[:2]) < 2:
        return False
    first, second = (float(np.abs(np.diff(part, axis=axis)).mean()) for axis in (0, 1))
    return first > 1.1 * second


def compute_mean_frame(source: MovingMNIST, sequences: int = 4000, block: int = 200) -> np.ndarray:
    """Return the mean frame of a training stream's first sequences, the best constant image.

    Returns:
        (frame_size,) float64 in [0, 1].
    """
    steps = sequences // block
    means = (source.batch(step, block).mean((0, 1), dtype=torch.float64) for step in range(steps))
    return sum(means).numpy() / steps


def check_digit_size(digits: np.ndarray, settings: MovingDigits) -> None:
    """Raise a UserError unless the digits have the size of the settings."""
    if digits.shape[1:] != (settings.digit_size, settings.digit_size):
        raise UserError(
            f"mnist.digit_size: expected images of {settings.digit_size} pixels, found "
            f"{digits.shape[1:]}; load the digits with that size"
        )
