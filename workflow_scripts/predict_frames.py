r"""Predict the next frames of a new video with a pretrained encoder-decoder.

Reads any video file and a model of patches or of Moving MNIST, and writes an animation (.mp4, .gif)
with the video on the left and the model's output on the right. The video is split into windows. In
each, the model first reads the input frames (grey line below; on the right the reconstruction, if
any) and then predicts the future frames (orange line). A model of patches processes whole frames
tile by tile, a model of digits the central square.

    python workflow_scripts/predict_frames.py --video holiday.mp4 --output predicted.mp4 \
      --pretrained results/pretrain/patches/pixels/composite.h5
"""

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch

from video_lstm.command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.plots.predictions import join_animations
from video_lstm.sequences.fixed_test_sets import normalise, to_uint8
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.sequences.tiles import cut_tiles, join_tiles, read_tiled
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.decode import UnreadableClipError
from video_lstm.video.sampling import probe_full_clip
from video_lstm.video.source import UnreadableVideoError, declared_rate
from video_lstm.video.write_video import save_animation

logger = logging.getLogger("video_lstm")


class Arguments(DeviceCommandLine):
    """What to predict with what."""

    video: Path
    """The video file; whatever FFmpeg reads."""
    pretrained: Path
    """The model, such as results/pretrain/patches/pixels/composite.h5."""
    output: Path
    """Animation to write, .mp4 or .gif."""


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
            video = probe_full_clip(arguments.video, info.pixels.rate, Path(folder))
            if video.frames < window:
                rate_text = f" at {video.rate:g} a second" if video.rate else ""
                raise UserError(
                    f"{arguments.video}: expected at least {window} frames{rate_text}, as "
                    f"{arguments.pretrained} reads and predicts, found {video.frames}; give a "
                    "longer video"
                )
            rate = video.rate or declared_rate(video.path)
            frames = read_tiled(video, info.pixels)
    except (UnreadableVideoError, UnreadableClipError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{arguments.video}: expected a video, found: {reason}") from error
    frames = frames[: len(frames) // window * window]
    model.to(device).eval()
    outputs = np.concatenate(
        [
            predict(model, frames[first : first + window], info.pixels, device)
            for first in range(0, len(frames), window)
        ]
    )
    is_input = np.arange(len(frames)) % window < model.input_frames
    animation = join_animations(frames, outputs, is_input)
    save_animation(arguments.output, animation, rate)
    summary = ""
    if not is_input.all():
        error = np.square(frames[~is_input].astype(float) - outputs[~is_input]).mean()
        summary = f", {(~is_input).sum()} predicted, squared error {error:.0f}"
    logger.info("%d frames%s: %s", len(frames), summary, arguments.output)


@torch.inference_mode()
def predict(
    model: EncoderDecoder, frames: np.ndarray, pixels: PixelFormat, device: torch.device
) -> np.ndarray:
    """Reconstruct and predict the frames of a window.

    Args:
        model: Model that reads the input frames and predicts the others.
        frames: Frames of the window, (T, height, width[, 3]) uint8.
        pixels: Format of the model's images.
        device: Device of the model.

    Returns:
        Output frames, shaped like `frames`; the input frames if the model reconstructs none.
    """
    tiles = torch.from_numpy(cut_tiles(frames, pixels.size)).to(device)
    inputs = normalise(tiles, pixels.mean, pixels.std)[: model.input_frames]
    outputs = model(inputs)
    parts = [inputs]
    if outputs.reconstruction is not None:
        parts = [activate(outputs.reconstruction.flip(0), model.output)]
    if outputs.future is not None:
        parts.append(activate(outputs.future, model.output))
    bytes_ = to_uint8(torch.cat(parts), pixels.mean, pixels.std, tuple(tiles.shape[2:]))
    return join_tiles(bytes_, pixels.grid[0])


if __name__ == "__main__":
    run(main, Arguments)
