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
"""SHA-256 of the uncompressed image files, whoever compressed them. Labels are not needed."""

_SKLEARN_TRAIN = 1500  # of 1,797 digits, which are sorted by writer
_MARGIN = 4 / 28  # MNIST centres digits of 20 pixels in images of 28
_CONTRAST = (
    0.4,
    0.8,
)  # mapped to black and white, so that the strokes have as many grey pixels as MNIST


def load_digits(source: str, digit_size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Load the training and test images of handwritten digits.

    Args:
        source: "sklearn" for the 1,797 digits of scikit-learn (8x8, enlarged to look like MNIST's;
            the first 1,500 train, the last 297, by other writers, test); or the folder with
            MNIST's idx files, plain or .gz (60,000 train, 10,000 test).
        digit_size: Side of the images in pixels.

    Returns:
        Training and test images, each (n, digit_size, digit_size) uint8, white on black.

    Raises:
        UserError: A file is missing, broken, or not the published one.
    """
    if source == SKLEARN:
        images = _load_sklearn_digits(digit_size)
        return images[:_SKLEARN_TRAIN], images[_SKLEARN_TRAIN:]
    train, test = (
        _resize(_load_mnist_images(path), digit_size) for path in find_mnist_files(source)
    )
    return train, test


def find_mnist_files(source: str) -> list[Path]:
    """Find the files that `load_digits` reads: training and test images; none for "sklearn".

    Raises:
        UserError: A file is missing.
    """
    if source == SKLEARN:
        return []
    paths = []
    for name in MNIST_SHA256:
        # The original files have the first name, copies on Kaggle and elsewhere the second.
        dotted = name.replace("-idx3", ".idx3")
        names = (name, f"{name}.gz", dotted, f"{dotted}.gz")
        candidates = [Path(source) / candidate for candidate in names]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise UserError(
                f"{candidates[0]}[.gz]: expected an MNIST file, found none; set mnist.source to the"
                " folder that has it, or to 'sklearn'"
            )
        paths.append(present[0])
    return paths


def read_idx(content: bytes) -> np.ndarray:
    """Parse an array of unsigned bytes in the idx format (LeCun, Cortes and Burges).

    Args:
        content: Two zero bytes, the type (8: unsigned byte), the number of dimensions, each
            dimension as a big-endian int32, the values in C order.

    Raises:
        ValueError: The content has another format, or is truncated.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("not an idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">i4").tolist())
    if len(shape) != content[3] or len(content) - start != int(np.prod(shape)):
        raise ValueError(f"{len(content)} bytes do not match the dimensions {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _load_mnist_images(path: Path) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be decompressed ({error}); download the file again"
        ) from error
    expected = MNIST_SHA256[path.name.removesuffix(".gz").replace(".idx3", "-idx3")]
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise UserError(
            f"{path}: expected MNIST's content, SHA-256 {expected}, found {actual}; "
            "download the file again"
        )
    return read_idx(content)


def _resize(images: np.ndarray, side: int) -> np.ndarray:
    import cv2

    if images.shape[1] == side:
        return images
    return np.stack(
        [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    )


def _load_sklearn_digits(side: int) -> np.ndarray:
    """Enlarge scikit-learn's digits so that strokes and margins look like MNIST's."""
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
