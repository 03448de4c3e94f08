"""Timings of a small part of each stage on this machine."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from video_lstm.flow.methods import compute_flow
from video_lstm.flow.storage import encode
from video_lstm.models.classifier import LSTMClassifier, classifier_loss
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.percepts.extract import open_backend
from video_lstm.percepts.own_features import features_size
from video_lstm.percepts.temporal_stream import STACKS, TemporalStream
from video_lstm.settings.percepts import FlowConvnetSettings, FlowSettings, PerceptSettings
from video_lstm.settings.training import (
    ClassifierSettings,
    EncoderDecoderSettings,
    TrainingSettings,
    VariantName,
)
from video_lstm.training.loop import train
from video_lstm.training.pretraining import flops_per_sequence, model_arguments, pretrain
from video_lstm.video.decode import iter_frames

_FRAMES = 9
_CLASSES = 10
_STEPS = {"cpu": 6, "cuda": 60}
"""Training steps that are timed, by device; on a GPU, curves have a point every 20 steps."""
_FLOPS = 2e11
"""Floating-point operations of a step above which its batch is reduced on a CPU."""
_LARGE = 5_000_000
"""Number of parameters above which a flow convnet is timed with a small batch and scaled up."""
_SMALL_BATCH = 4


def sample_frames(video: Path | None, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return a few grey frames of a video and the seconds to decode one.

    Without a video, the frames are moving noise and the seconds an assumption.

    Args:
        video: Video file, or None.
        size: Height and width of the frames in pixels.
    """
    start = time.perf_counter()
    if video is None:
        noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        still = cv2.GaussianBlur(noise, (0, 0), 3)
        return np.stack([np.roll(still, 2 * n, axis=1) for n in range(_FRAMES)]), 0.002
    frames = []
    for frame in iter_frames(video, size=size, gray=True):
        frames.append(np.ascontiguousarray(frame))
        if len(frames) == _FRAMES:
            break
    return np.stack(frames), (time.perf_counter() - start) / len(frames)


def flow_seconds(
    frames: np.ndarray, settings: FlowSettings, device: torch.device
) -> tuple[float, int]:
    """Return the seconds and bytes that the flow of one frame pair takes."""
    cv2.setNumThreads(1)
    start = time.perf_counter()
    images = encode(compute_flow(frames, settings, device), settings)
    return (time.perf_counter() - start) / len(images), sum(map(len, images)) // len(images)


def percept_seconds(
    settings: PerceptSettings, device: torch.device, cache: Path
) -> tuple[float, int]:
    """Return the seconds to compute the percept of one decoded frame, and its length.

    Raises:
        UserError: The network or its weights, or the user's features, are missing.
    """
    if settings.features is not None:
        return 0.0, features_size(Path(settings.features))
    backend = open_backend(settings, device, 1, cache / "onnx")
    count = min(settings.batch_size, 8)
    frames = np.zeros((count, settings.crop_size, settings.crop_size, 3), np.uint8)
    return _seconds(lambda: backend.compute(frames)) / count, backend.dim


def flow_convnet_seconds(settings: FlowConvnetSettings, stream: str, device: torch.device) -> float:
    """Return the seconds of a training step of the flow convnet."""
    network = TemporalStream(STACKS[stream], 10, settings, torch.Generator()).to(device)
    large = sum(p.numel() for p in network.parameters()) > _LARGE
    batch = (
        min(_SMALL_BATCH, settings.training.batch_size) if large else settings.training.batch_size
    )
    stacks = torch.randn(
        batch, 2 * network.stack, settings.crop_size, settings.crop_size, device=device
    )

    def step() -> None:
        network(stacks).logsumexp(1).sum().backward()
        _wait(device)

    return _seconds(step) * settings.training.batch_size / batch


def pretraining_seconds(
    variant: VariantName, settings: EncoderDecoderSettings, frame_size: int, device: torch.device
) -> float:
    """Return the seconds that a training takes.

    Trains on noise for a few steps. A large model on a CPU is timed with two small batches, since
    a step takes time for its batch and time for the update of the weights.
    """
    arguments = model_arguments(variant, frame_size, "linear", settings)
    frames = settings.input_frames + settings.future_frames

    def step_seconds(batch_size: int) -> float:
        training = _shortened(settings.training, batch_size, device)
        with _without_messages():
            _, curves = pretrain(
                arguments,
                _Noise(frame_size, frames, device),
                settings.model_copy(update={"training": training}),
                standardize=None,
                seed=0,
                device=device,
            )
        return batch_size / _median_rate(curves)

    full = batch = settings.training.batch_size
    if device.type == "cpu":
        with torch.device("meta"):
            flops = flops_per_sequence(EncoderDecoder(**arguments))
        batch = min(full, max(_SMALL_BATCH, int(_FLOPS / flops)))
    step = step_seconds(batch)
    if batch < full:
        step += (step_seconds(2 * batch) - step) * (full - batch) / batch
    return step * settings.training.steps


def count_parameters(
    variant: VariantName, settings: EncoderDecoderSettings, frame_size: int
) -> int:
    """Return the number of parameters of an encoder-decoder."""
    with torch.device("meta"):
        model = EncoderDecoder(**model_arguments(variant, frame_size, "linear", settings))
    return sum(p.numel() for p in model.parameters())


def finetuning_seconds(
    settings: ClassifierSettings,
    model: EncoderDecoderSettings,
    frame_size: int,
    device: torch.device,
) -> float:
    """Return the seconds that training an LSTM classifier on a labelled subset takes."""
    classifier = LSTMClassifier(frame_size, model.hidden_size, model.num_layers, _CLASSES).to(
        device
    )
    batch = settings.training.batch_size
    blocks = torch.randn(settings.block_frames, batch, frame_size, device=device)
    labels = torch.arange(batch, device=device) % _CLASSES
    with _without_messages():
        curves = train(
            classifier,
            lambda _: classifier_loss(classifier(blocks), labels),
            _shortened(settings.training, batch, device),
        )
    return settings.training.steps * batch / _median_rate(curves)


class _Noise:
    """Sequences of noise without a validation set."""

    def __init__(self, frame_size: int, frames: int, device: torch.device) -> None:
        self.frame_size, self.frames, self.device = frame_size, frames, device

    def batch(self, step: int, size: int) -> Tensor:
        del step
        return torch.rand(self.frames, size, self.frame_size, device=self.device)

    def validation(self, size: int) -> list[Tensor]:
        del size
        return []


def _shortened(
    settings: TrainingSettings, batch_size: int, device: torch.device
) -> TrainingSettings:
    """Return settings of a few steps that do not diverge."""
    steps = _STEPS[device.type]
    return settings.model_copy(
        update={"steps": steps, "batch_size": batch_size, "learning_rate": 1e-6}
    )


@contextmanager
def _without_messages() -> Iterator[None]:
    """Hide the messages of trainings that are only timed."""
    logger = logging.getLogger("video_lstm")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _median_rate(curves: Mapping[str, np.ndarray]) -> float:
    """Return the units per second of a training, without its first steps."""
    return float(np.median(curves["throughput"][1:]))


def _seconds(work: Callable[[], object]) -> float:
    """Return the seconds of the second of two calls; the first warms up."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
