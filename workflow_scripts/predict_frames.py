r"""Predict the next frames of a new video with a pretrained encoder-decoder.

Reads any video file and a model of patches or of Moving MNIST, and writes a film, .mp4 or .gif: the
video on the left; on the right what the model makes of it. The film is cut into windows. In each,
the model first sees some frames (a grey line runs below; on the right its reconstruction, where
there is one) and then predicts the next without seeing them (an orange line). A model of patches
works on whole frames, tile by tile; a model of digits on the central square.

    python workflow_scripts/predict_frames.py --video holiday.mp4 --output predicted.mp4 \
      --pretrained results/pretrain/patches/pixels/composite.h5
"""

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch

from command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.plots import side_by_side
from video_lstm.sequences.fixed_test_sets import normalise, to_uint8
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.sequences.tiles import cut_tiles, join_tiles, read_tiled
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.decode import UnreadableClipError
from video_lstm.video.sampling import whole_video
from video_lstm.video.source import UnreadableVideoError, stated_rate
from video_lstm.video.write_video import save_animation

logger = logging.getLogger("video_lstm")


class Arguments(DeviceCommandLine):
    """What to predict with what."""

    video: Path
    """The video file; whatever FFmpeg reads."""
    pretrained: Path
    """The model, such as results/pretrain/patches/pixels/composite.h5."""
    output: Path
    """The film to write, .mp4 or .gif."""


def main(arguments: Arguments) -> None:
    """Read, predict and write."""
    torch.set_num_threads(max(arguments.threads, 1))
    device, _ = pick_device(arguments.device)
    model, info = load_pretrained(arguments.pretrained)
    if info.pixels is None:
        raise UserError(
            f"{arguments.pretrained}: expected a model of pixels, found one of {info.source}; name "
            "one of results/pretrain/patches/pixels or results/pretrain/mnist/pixels"
        )
    window = model.input_frames + model.variant.predicts * model.future_frames
    try:
        with tempfile.TemporaryDirectory() as folder:
            video = whole_video(arguments.video, info.pixels.rate, Path(folder))
            if video.frames < window:
                at = f" at {video.rate:g} a second" if video.rate else ""
                raise UserError(
                    f"{arguments.video}: expected at least {window} frames{at}, as "
                    f"{arguments.pretrained} reads and predicts, found {video.frames}; give a "
                    "longer video"
                )
            rate = video.rate or stated_rate(video.path)
            frames = read_tiled(video, info.pixels)
    except (UnreadableVideoError, UnreadableClipError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{arguments.video}: expected a video, found: {reason}") from error
    frames = frames[: len(frames) // window * window]
    model.to(device).eval()
    made = np.concatenate(
        [
            predict(model, frames[first : first + window], info.pixels, device)
            for first in range(0, len(frames), window)
        ]
    )
    seen = np.arange(len(frames)) % window < model.input_frames
    film = side_by_side(frames, made, seen)
    save_animation(arguments.output, film, rate)
    error = np.square(frames[~seen].astype(float) - made[~seen]).mean() if not seen.all() else None
    told = "" if error is None else f", {(~seen).sum()} predicted, squared error {error:.0f}"
    logger.info("%d frames%s: %s", len(frames), told, arguments.output)


@torch.inference_mode()
def predict(
    model: EncoderDecoder, frames: np.ndarray, pixels: PixelFormat, device: torch.device
) -> np.ndarray:
    """What the model makes of a window.

    Args:
        model: reads the first of the frames and predicts the others.
        frames: (T, height, width[, 3]) uint8.
        pixels: the pictures that the model knows.
        device: where the model is.

    Returns:
        As `frames`; where the model makes none, what it was shown.
    """
    tiles = torch.from_numpy(cut_tiles(frames, pixels.size)).to(device)
    given = normalise(tiles, pixels.mean, pixels.std)[: model.input_frames]
    made = model(given)
    parts = [given]
    if made.reconstruction is not None:
        parts = [activate(made.reconstruction.flip(0), model.output)]
    if made.future is not None:
        parts.append(activate(made.future, model.output))
    bytes_ = to_uint8(torch.cat(parts), pixels.mean, pixels.std, tuple(tiles.shape[2:]))
    return join_tiles(bytes_, pixels.grid[0])


if __name__ == "__main__":
    run(main, Arguments)
