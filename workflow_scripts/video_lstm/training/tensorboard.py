"""TensorBoard logs: training curves, and embeddings of videos for the projector."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError


def require_tensorboard() -> None:
    """Raise a UserError if TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: expected the package tensorboard, found none; pip install tensorboard, "
            "or set tensorboard to false"
        )


def log_folder(logs: Path | None, output: Path) -> Path | None:
    """Return an artifact's log folder: results/tensorboard/pretrain/x for results/pretrain/x.h5."""
    if logs is None:
        return None
    results = logs.parent
    name = output.relative_to(results) if output.is_relative_to(results) else Path(output.name)
    return logs / name.with_suffix("")


@contextmanager
def curve_log(
    folder: Path | None, curves: Mapping[str, Sequence[float]]
) -> Iterator[Callable[[], None]]:
    """Log the curves of a training during a block.

    Points that the curves have already, from a checkpoint, replace earlier logs in the folder, so
    that none is missing or logged twice.

    Args:
        folder: Folder for this training only; None: nothing is logged.
        curves: Curves that `loop.train` extends, each after `step` or `validation_step`.

    Yields:
        Function that logs the points added since its last call.

    Raises:
        UserError: TensorBoard is not installed, or the folder cannot be written.
    """
    if folder is None:
        yield lambda: None
        return
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter  # slow to import, rarely needed

    num_logged: dict[str, int] = {}

    def write() -> None:
        steps: Sequence[float] = ()
        for name, values in curves.items():
            if name in ("step", "validation_step"):
                steps = values
                continue
            new = slice(num_logged.get(name, 0), None)
            for step, value in zip(steps[new], values[new], strict=True):
                writer.add_scalar(name, value, int(step))
            num_logged[name] = len(values)
        writer.flush()

    try:
        for event_file in folder.glob("events.out.tfevents.*"):
            event_file.unlink()
        # A running TensorBoard drops the points that it has read.
        with SummaryWriter(folder, purge_step=0) as writer:
            write()
            yield write
    except OSError as error:
        raise _write_error(folder, "curves", error) from error


def write_projector(
    folder: Path,
    embeddings: Mapping[str, np.ndarray],
    metadata: Mapping[str, Sequence[str]],
    pictures: np.ndarray,
) -> None:
    """Write embeddings of videos for TensorBoard's projector, replacing earlier ones.

    Args:
        folder: Folder for these videos only.
        embeddings: Embeddings (n, size) float by name.
        metadata: Columns of metadata by name, one entry per video.
        pictures: (n, height, width, 3) uint8, one frame per video.

    Raises:
        UserError: TensorBoard is not installed, or the folder cannot be written.
    """
    require_tensorboard()
    import torch
    from torch.utils.tensorboard import SummaryWriter  # slow to import, rarely needed

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
        raise _write_error(folder, "videos", error) from error


def _write_error(folder: Path, content: str, error: OSError) -> UserError:
    return UserError(
        f"{folder}: the {content} for TensorBoard cannot be written ({error}); free space, or set "
        "tensorboard to false"
    )
