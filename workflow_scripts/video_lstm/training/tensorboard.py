"""Curves for TensorBoard, while a training runs; and videos for its projector."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError


def require_tensorboard() -> None:
    """Raise a UserError where the package is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: expected the package tensorboard, which is not installed; "
            "pip install tensorboard, or set tensorboard to false"
        )


def log_folder(logs: Path | None, output: Path) -> Path | None:
    """Where an artifact's curves go: results/pretrain/x.h5 has results/tensorboard/pretrain/x."""
    if logs is None:
        return None
    beside = logs.parent
    name = output.relative_to(beside) if output.is_relative_to(beside) else Path(output.name)
    return logs / name.with_suffix("")


@contextmanager
def curve_log(
    folder: Path | None, curves: Mapping[str, Sequence[float]]
) -> Iterator[Callable[[], None]]:
    """A function that writes what is new in a training's curves.

    What the curves hold already, from a checkpoint, is written at once, in place of all that was
    logged there before: no point is there twice, and none is missing.

    Args:
        folder: Folder for this training only; None writes nothing.
        curves: as `loop.train` fills them, each after its steps.

    Raises:
        UserError: TensorBoard is not installed, or the folder cannot be written.
    """
    if folder is None:
        yield lambda: None
        return
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter  # slow, and seldom asked for

    written: dict[str, int] = {}

    def write() -> None:
        steps: Sequence[float] = ()
        for name, values in curves.items():
            if name in ("step", "validation_step"):
                steps = values
                continue
            new = slice(written.get(name, 0), None)
            for step, value in zip(steps[new], values[new], strict=True):
                writer.add_scalar(name, value, int(step))
            written[name] = len(values)
        writer.flush()

    try:
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        # A TensorBoard that is looking on forgets what it has read.
        with SummaryWriter(folder, purge_step=0) as writer:
            write()
            yield write
    except OSError as error:
        raise _unwritable(folder, "curves", error) from error


def write_projector(
    folder: Path,
    embeddings: Mapping[str, np.ndarray],
    metadata: Mapping[str, Sequence[str]],
    pictures: np.ndarray,
) -> None:
    """Write videos for TensorBoard's projector, in place of those that were there.

    Args:
        folder: Folder for these videos only.
        embeddings: (n, size) float by name.
        metadata: Columns of metadata by name, one entry per video.
        pictures: (n, height, width, 3) uint8, a frame of each.

    Raises:
        UserError: TensorBoard is not installed, or the folder cannot be written.
    """
    require_tensorboard()
    import torch
    from torch.utils.tensorboard import SummaryWriter  # slow, and seldom asked for

    sprites = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    rows = [list(row) for row in zip(*metadata.values(), strict=True)]
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with SummaryWriter(folder) as writer:
            for name, values in embeddings.items():
                writer.add_embedding(
                    values, rows, sprites, tag=name, metadata_header=list(metadata)
                )
    except OSError as error:
        raise _unwritable(folder, "videos", error) from error


def _unwritable(folder: Path, what: str, error: OSError) -> UserError:
    return UserError(
        f"{folder}: the {what} for TensorBoard cannot be written ({error}); free space, or set "
        "tensorboard to false"
    )
