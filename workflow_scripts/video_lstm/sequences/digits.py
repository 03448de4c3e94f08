"""Handwritten digits: scikit-learn's, or MNIST from its idx files."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError

SKLEARN = "sklearn"

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
}
"""Of the unpacked files, so that it holds whoever packed them. The labels are not needed."""

_SKLEARN_TRAIN = 1500  # of 1,797; they lie in the order of their writers
_MARGIN = 4 / 28  # MNIST: digits of 20 pixels in the middle of 28
_CONTRAST = (0.4, 0.8)  # maps to black and white; makes the strokes' grey share that of MNIST


def load_digits(source: str, digit_size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Digits to train with, and others to test with.

    Args:
        source: "sklearn" for the 1,797 digits of scikit-learn (8x8, enlarged to look like MNIST's;
            the first 1,500 train, the last 297, by other writers, test); or the folder of the MNIST
            idx files, plain or .gz (60,000 train, 10,000 test).
        digit_size: side of the images in pixels.

    Returns:
        Training and test images, each (n, digit_size, digit_size) uint8, strokes white.

    Raises:
        UserError: a file is missing, broken, or not the published one.
    """
    if source == SKLEARN:
        images = _sklearn_digits(digit_size)
        return images[:_SKLEARN_TRAIN], images[_SKLEARN_TRAIN:]
    train, test = (_resized(_mnist_images(path), digit_size) for path in mnist_files(source))
    return train, test


def mnist_files(source: str) -> list[Path]:
    """The files that `load_digits` reads: training images, test images; none for "sklearn".

    Raises:
        UserError: one is missing.
    """
    if source == SKLEARN:
        return []
    found = []
    for name in MNIST_SHA256:
        # The original has the first name, Kaggle and others the second.
        dotted = name.replace("-idx3", ".idx3")
        names = (name, f"{name}.gz", dotted, f"{dotted}.gz")
        candidates = [Path(source) / each for each in names]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise UserError(
                f"{candidates[0]}[.gz]: expected an MNIST file, found none; set mnist.source to the"
                " folder that has it, or to 'sklearn'"
            )
        found.append(present[0])
    return found


def read_idx(content: bytes) -> np.ndarray:
    """Array of unsigned bytes in the idx format (LeCun, Cortes and Burges).

    Args:
        content: two zero bytes, the type (8: unsigned byte), the number of dimensions, each
            dimension as a big-endian int32, the values in C order.

    Raises:
        ValueError: it is something else, or cut short.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("no idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">i4").tolist())
    if len(shape) != content[3] or len(content) - start != int(np.prod(shape)):
        raise ValueError(f"{len(content)} bytes, which is not what its dimensions {shape} need")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _mnist_images(path: Path) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); get the file again") from error
    expected = MNIST_SHA256[path.name.removesuffix(".gz").replace(".idx3", "-idx3")]
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise UserError(
            f"{path}: expected MNIST's content, SHA-256 {expected}, found {found}; "
            "get the file again"
        )
    return read_idx(content)


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    import cv2

    if images.shape[1] == side:
        return images
    return np.stack(
        [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    )


def _sklearn_digits(side: int) -> np.ndarray:
    """Strokes as wide, as dark and as sharp as MNIST's, within the same margin."""
    import cv2
    from sklearn import datasets

    margin = round(side * _MARGIN)
    inner = side - 2 * margin
    black, white = _CONTRAST
    images = np.zeros((1797, side, side), np.uint8)
    small = np.float32(datasets.load_digits().images / 16)
    for image, digit in zip(images, small, strict=True):
        smooth = cv2.resize(digit, (inner, inner), interpolation=cv2.INTER_CUBIC)
        sharp = np.clip((smooth - black) / (white - black), 0, 1)
        image[margin : margin + inner, margin : margin + inner] = np.rint(255 * sharp)
    return images
