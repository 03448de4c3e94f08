"""Classifiers of videos from few and many labels, on top of a pretrained encoder or none."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from video_lstm.artifacts import open_artifact, read_arrays, write_arrays
from video_lstm.errors import UserError
from video_lstm.models.classifier import (
    LSTMClassifier,
    SingleFrameClassifier,
    classifier_loss,
    predict_blocks,
)
from video_lstm.models.logistic_regression import fit_logistic_regression
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.percepts import PerceptStore, PerceptWindows
from video_lstm.settings.base import Stream
from video_lstm.settings.training import ClassifierSettings
from video_lstm.training.checkpoints import Checkpoint
from video_lstm.training.loop import train
from video_lstm.training.pretrained import load_pretrained

WEIGHTS, WINDOWS, DROPOUT = range(3)
"""What is drawn at random in a training: each has a stream of its own."""

_LEAST_DEVIATION = 1e-4
"""What varies less among videos than this is rounding: the mean movement of a block is zero."""

ClassifierBuilder = Callable[[torch.Generator], "VideoClassifier"]


class VideoClassifier(nn.Module):
    """A classifier with what it reads percepts through.

    Args:
        standardize: the percepts' common scale, or their movement; not trained.
        classifier: Classifier of standardised percepts.
    """

    def __init__(
        self, standardize: Standardize, classifier: LSTMClassifier | SingleFrameClassifier
    ) -> None:
        super().__init__()
        self.standardize, self.classifier = standardize, classifier

    def forward(
        self,
        percepts: Tensor,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Classifies at every step of blocks.

        Args:
            percepts: (T, B, D).
            mask: (T, B), true where a frame is of the video and not padding; None: everywhere.
            generator: draws the dropout in training.

        Returns:
            Logits (T, B, K).
        """
        return self.classifier(self.standardize(percepts, mask=mask), generator)

    def mean_features(self, percepts: Tensor, mask: Tensor) -> Tensor:
        """What the softmax reads of blocks, (B, H): the mean over the steps that are no padding.

        Args:
            percepts: (T, B, D).
            mask: (T, B), true where a frame is of the video.
        """
        features = self.classifier.features(self.standardize(percepts, mask=mask))
        weights = mask.to(features).unsqueeze(2)
        return (features * weights).sum(0) / weights.sum(0)

    def block_scores(self, percepts: Tensor, mask: Tensor) -> Tensor:
        """Class probabilities of blocks, (B, K); arguments as of `mean_features`."""
        return predict_blocks(self(percepts, mask), mask)


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier that can be applied to new videos.

    Attributes:
        model: in evaluation mode, on the CPU.
        classes: their names.
        frames: Frames per block.
        stride: between blocks.
        stream: which percepts it reads.
        percepts: how these were made, see `PerceptStore.percept_provenance`.
    """

    model: VideoClassifier
    classes: list[str]
    frames: int
    stride: int
    stream: str
    percepts: Mapping[str, Any]


def save_classifier(
    file: h5py.File,
    weights: Mapping[str, np.ndarray],
    classes: list[str],
    percepts: Mapping[str, Any],
) -> None:
    """Write a classifier into an open artifact of schema `finetuned`, for `load_classifier`."""
    file.attrs["classifier"] = json.dumps({"classes": classes, "percepts": percepts})
    write_arrays(file, "weights", weights)


def load_classifier(path: Path) -> TrainedClassifier:
    """Read back what `save_classifier` wrote.

    Raises:
        UserError: the file is no such artifact, or holds scores without a classifier.
    """
    with open_artifact(path, "finetuned") as file:
        if "weights" not in file:
            raise UserError(
                f"{path}: expected a classifier with its weights, found scores only, of "
                "validation or of fused streams; name a file below results/finetune"
            )
        metadata, stream = json.loads(file.attrs["classifier"]), str(file.attrs["stream"])
        settings = ClassifierSettings.model_validate_json(file.attrs["finetuning"])
        weights = {k: torch.from_numpy(v) for k, v in read_arrays(file, "weights").items()}
    classes, size = len(metadata["classes"]), len(weights["standardize.mean"])
    inner: LSTMClassifier | SingleFrameClassifier = SingleFrameClassifier(size, classes)
    recurrent = [name for name in weights if name.startswith("classifier.encoder.")]
    if recurrent:
        units = weights["classifier.softmax.weight"].shape[1]
        layers = len({name.split(".")[3] for name in recurrent})
        inner = LSTMClassifier(size, units, layers, classes)
    blank = np.ones(size, np.float32)
    motion_scale = blank if "standardize.motion_scale" in weights else None
    model = VideoClassifier(Standardize(blank, blank, motion_scale), inner)
    model.load_state_dict(weights)
    return TrainedClassifier(
        model.eval(), metadata["classes"], settings.block_frames, settings.block_stride, stream,
        metadata["percepts"],
    )  # fmt: skip


def untrained_classifier_builder(
    variant: str,
    stream: Stream,
    percepts: tuple[PerceptStore, np.ndarray],
    classes: int,
    units: int,
    layers: int,
    settings: ClassifierSettings,
) -> ClassifierBuilder:
    """How a classifier is built from random weights: `single_frame` or `lstm_baseline`.

    Percepts are standardised by the mean and deviation over all training videos of the split, and
    those of `motion` by their movement in blocks. That needs no labels, so that what is compared
    with a pretrained encoder lacks its weights only.

    Args:
        variant: which of the two.
        stream: which percepts, and how they are read.
        percepts: the store, and the clips of all training videos.
        classes: K.
        units: LSTM units of a layer.
        layers: how many.
        settings: Settings of the classifier.

    Returns:
        A function from the generator of the weights to the classifier.
    """
    store, clips = percepts
    dropout, block = settings.dropout, (settings.block_frames, settings.block_frames)
    standardize = Standardize.fit(
        (store.clip(clip) for clip in clips), motion_window=block if stream == "motion" else None
    )

    def build(generator: torch.Generator) -> VideoClassifier:
        if variant == "single_frame":
            inner = SingleFrameClassifier(store.dim, classes, dropout=dropout, generator=generator)
        else:
            inner = LSTMClassifier(
                store.dim, units, layers, classes, dropout=dropout, generator=generator
            )
        return VideoClassifier(standardize, inner)

    return build


def pretrained_classifier_builder(
    path: Path,
    variant: str,
    stream: Stream,
    frame_size: int,
    classes: int,
    settings: ClassifierSettings,
) -> ClassifierBuilder:
    """How a classifier is built on a pretrained encoder: all its layers, and its standardisation.

    Args:
        path: artifact of schema `pretrained`.
        variant: Variant of the encoder-decoder.
        stream: Stream of its percepts.
        frame_size: D, of the percepts that will be classified.
        classes: K.
        settings: Settings of the classifier.

    Returns:
        A function from the generator of the softmax's weights to the classifier.

    Raises:
        UserError: the artifact is of another variant, or of other percepts.
    """
    model, info = load_pretrained(path)
    actual = (info.arguments["variant"], info.stream, info.arguments["frame_size"])
    if actual != (variant, stream, frame_size) or info.standardize is None:
        raise UserError(
            f"{path}: expected {variant} of {stream} percepts of {frame_size} values, found "
            f"{actual[0]} of {actual[1]} of {actual[2]}; pretrain on the percepts that are "
            "classified"
        )
    standardize, dropout = info.standardize, settings.dropout

    def build(generator: torch.Generator) -> VideoClassifier:
        inner = LSTMClassifier(
            frame_size,
            info.arguments["hidden_size"],
            info.arguments["num_layers"],
            classes,
            dropout=dropout,
            generator=generator,
        )
        inner.load_encoder(model)
        return VideoClassifier(standardize, inner)

    return build


def finetune(
    build: ClassifierBuilder,
    store: PerceptStore,
    clips: np.ndarray,
    labels: np.ndarray,
    training_clips: np.ndarray,
    settings: ClassifierSettings,
    *,
    seed: int,
    draw: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    tensorboard: Path | None = None,
) -> tuple[VideoClassifier, dict[str, np.ndarray]]:
    """Train one classifier on one labelled subset.

    The softmax starts from a logistic regression, or at random (`settings.softmax_init`); from a
    random one the first gradients undo much of what the encoder has learned (Kumar et al. 2022).
    Then all is trained. The loss is the cross-entropy at every step of random blocks, over the
    frames that are no padding. What is drawn (weights, blocks, dropout) follows from (seed, draw)
    alone.

    Args:
        build: from the generator of the weights to the classifier.
        store: the percepts.
        clips: (n,), rows of the labelled videos' clips.
        labels: (n,) int, their classes.
        training_clips: (m,), rows of all training videos' clips, these among them.
        settings: Settings of the classifier and its training.
        seed: Random seed of the run.
        draw: which of the subsets.
        device: where to train.
        checkpoint: see `loop.train`.
        tensorboard: see `loop.train`.

    Returns:
        The classifier in evaluation mode, and the curves of `loop.train`.
    """
    model = build(torch.Generator().manual_seed(_derive_seed(seed, draw, WEIGHTS))).to(device)
    if settings.softmax_init == "logistic_regression":
        _initialise_softmax(model, store, clips, labels, training_clips, settings, device)
    windows = PerceptWindows(
        store, clips, settings.block_frames, _derive_seed(seed, draw, WINDOWS), device=device
    )
    lengths = torch.tensor([store.length(clip) for clip in clips])
    classes = torch.from_numpy(labels.astype(np.int64))
    places = torch.arange(settings.block_frames)[:, None]
    batch = settings.training.batch_size

    def loss(step: int) -> Tensor:
        indices, starts = map(torch.from_numpy, windows.draw(step, batch))
        mask = (starts + places < lengths[indices]).to(device)
        generator = torch.Generator(device).manual_seed(_derive_seed(seed, draw, DROPOUT, step))
        logits = model(windows.batch(step, batch), mask, generator)
        return classifier_loss(logits, classes[indices].to(device), mask)

    encoder = [name for name, _ in model.named_parameters() if ".encoder." in name]
    if settings.encoder_lr_scale == 0:
        model.classifier.encoder.requires_grad_(False)
    curves = train(
        model, loss, settings.training, checkpoint=checkpoint, unit="blocks",
        lr_scales=dict.fromkeys(encoder, settings.encoder_lr_scale), tensorboard=tensorboard,
    )  # fmt: skip
    return model, curves


def _initialise_softmax(
    model: VideoClassifier,
    store: PerceptStore,
    clips: np.ndarray,
    labels: np.ndarray,
    training_clips: np.ndarray,
    settings: ClassifierSettings,
    device: torch.device,
) -> None:
    """Set the softmax to a logistic regression on what it reads of the labelled videos.

    That is the mean over the steps and blocks of a video, standardised over all training videos.
    Folded into the weights, the regression is used at every step. Arguments as of `finetune`.
    """
    model.eval()
    features = store.mean_over_blocks(
        model.mean_features, training_clips, settings.block_frames, settings.block_stride, device
    )
    mean, deviation = features.mean(0), np.maximum(features.std(0), _LEAST_DEVIATION)
    rows = {clip: row for row, clip in enumerate(training_clips)}
    labelled = (features[[rows[clip] for clip in clips]] - mean) / deviation
    softmax = model.classifier.softmax
    weights, biases = fit_logistic_regression(
        labelled, labels, softmax.out_features, settings.logistic_regression_c
    )
    weights = weights / deviation
    with torch.no_grad():
        softmax.weight.copy_(torch.from_numpy(weights))
        softmax.bias.copy_(torch.from_numpy(biases - weights @ mean))


def score_videos(
    model: VideoClassifier, store: PerceptStore, clips: np.ndarray, frames: int, stride: int
) -> np.ndarray:
    """Class probabilities of videos (paper, section 3.4).

    The softmax is averaged over the steps of a block, and over the blocks of a video. Padding, of
    a video shorter than a block, counts for nothing.

    Args:
        model: put into evaluation mode.
        store: the percepts.
        clips: (n,), rows of the clips to score.
        frames: Frames per block.
        stride: between the first frames of blocks.

    Returns:
        (n, K) float32; rows sum to 1.
    """
    device = next(model.parameters()).device
    scores = store.mean_over_blocks(model.eval().block_scores, clips, frames, stride, device)
    return scores.astype(np.float32)


def _derive_seed(*numbers: int) -> int:
    """A seed of 64 bits that follows from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
