"""Training of video classifiers on labelled subsets, with or without a pretrained encoder."""

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
"""Separate random streams for weights, training windows and dropout."""

_MIN_DEVIATION = 1e-4
"""Smallest standard deviation that features are divided by; less is rounding error, as for the mean
motion of a block, which is zero."""

ClassifierBuilder = Callable[[torch.Generator], "VideoClassifier"]
"""Function that builds an untrained classifier; the generator draws the random weights."""


class VideoClassifier(nn.Module):
    """Classifier preceded by the standardisation of its percepts.

    Args:
        standardize: Standardisation of the percepts; not trained.
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
        """Classify every step of blocks of percepts.

        Args:
            percepts: (T, B, D) float32.
            mask: (T, B) bool, true for frames of the video, false for padding; None: no padding.
            generator: Random generator for dropout; required in training if dropout > 0.

        Returns:
            Logits (T, B, K) float32.
        """
        return self.classifier(self.standardize(percepts, mask=mask), generator)

    def mean_features(self, percepts: Tensor, mask: Tensor) -> Tensor:
        """Return the input of the softmax (B, H), averaged over the frames of a block.

        Args:
            percepts: (T, B, D) float32.
            mask: (T, B) bool, true for frames of the video, false for padding.
        """
        features = self.classifier.features(self.standardize(percepts, mask=mask))
        weights = mask.to(features).unsqueeze(2)
        return (features * weights).sum(0) / weights.sum(0)

    def block_scores(self, percepts: Tensor, mask: Tensor) -> Tensor:
        """Return class probabilities (B, K) of blocks; arguments as in `mean_features`."""
        return predict_blocks(self(percepts, mask), mask)


@dataclass(frozen=True)
class TrainedClassifier:
    """Classifier that can be applied to new videos.

    Attributes:
        model: Classifier in evaluation mode, on the CPU.
        classes: Names of the classes.
        frames: Frames per block.
        stride: Frames between the starts of blocks.
        stream: Stream of the percepts.
        percepts: Provenance of the percepts, see `PerceptStore.percept_provenance`.
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


def load_classifier(path: Path | str) -> TrainedClassifier:
    """Read a classifier that `save_classifier` wrote.

    Raises:
        UserError: The file is not such an artifact, or has scores without a classifier.
    """
    with open_artifact(path, "finetuned") as file:
        if "weights" not in file:
            raise UserError(
                f"{path}: expected a classifier with its weights, found scores only (of validation "
                "videos or of fused streams); use a file below results/finetune"
            )
        metadata, stream = json.loads(file.attrs["classifier"]), str(file.attrs["stream"])
        settings = ClassifierSettings.model_validate_json(file.attrs["finetuning"])
        weights = {k: torch.from_numpy(v) for k, v in read_arrays(file, "weights").items()}
    num_classes, frame_size = len(metadata["classes"]), len(weights["standardize.mean"])
    classifier: LSTMClassifier | SingleFrameClassifier
    encoder_weights = [name for name in weights if name.startswith("classifier.encoder.")]
    if encoder_weights:
        hidden_size = weights["classifier.softmax.weight"].shape[1]
        num_layers = len({name.split(".")[3] for name in encoder_weights})
        classifier = LSTMClassifier(frame_size, hidden_size, num_layers, num_classes)
    else:
        classifier = SingleFrameClassifier(frame_size, num_classes)
    placeholder = np.ones(frame_size, np.float32)
    motion_scale = placeholder if "standardize.motion_scale" in weights else None
    model = VideoClassifier(Standardize(placeholder, placeholder, motion_scale), classifier)
    model.load_state_dict(weights)
    return TrainedClassifier(
        model.eval(), metadata["classes"], settings.block_frames, settings.block_stride, stream,
        metadata["percepts"],
    )  # fmt: skip


def baseline_classifier_builder(
    variant: str,
    stream: Stream,
    store: PerceptStore,
    training_clips: np.ndarray,
    classes: int,
    hidden_size: int,
    num_layers: int,
    settings: ClassifierSettings,
) -> ClassifierBuilder:
    """Return a builder of a baseline with random weights: `single_frame` or `lstm_baseline`.

    Percepts are standardised by their mean and scale over all training videos of the split, which
    needs no labels. A pretrained classifier thus differs in the weights of its encoder only.

    Args:
        variant: "single_frame" or "lstm_baseline".
        stream: Stream of the percepts.
        store: Stored percepts.
        training_clips: (m,) int, rows of the clips of all training videos.
        classes: K, number of classes.
        hidden_size: LSTM units per layer.
        num_layers: Number of LSTM layers.
        settings: Settings of the classifier.

    Returns:
        Function that builds the classifier.
    """
    dropout, block = settings.dropout, (settings.block_frames, settings.block_frames)
    standardize = Standardize.fit(
        (store.clip(clip) for clip in training_clips),
        motion_window=block if stream == "motion" else None,
    )

    def build(generator: torch.Generator) -> VideoClassifier:
        classifier: LSTMClassifier | SingleFrameClassifier
        if variant == "single_frame":
            classifier = SingleFrameClassifier(
                store.dim, classes, dropout=dropout, generator=generator
            )
        else:
            classifier = LSTMClassifier(
                store.dim, hidden_size, num_layers, classes, dropout=dropout, generator=generator
            )
        return VideoClassifier(standardize, classifier)

    return build


def pretrained_classifier_builder(
    path: Path,
    variant: str,
    stream: Stream,
    frame_size: int,
    classes: int,
    settings: ClassifierSettings,
) -> ClassifierBuilder:
    """Return a builder of a classifier with all layers and the standardisation of an encoder.

    Args:
        path: Artifact of schema `pretrained`.
        variant: Variant of the encoder-decoder.
        stream: Stream of the percepts.
        frame_size: D, number of values of the percepts to classify.
        classes: K, number of classes.
        settings: Settings of the classifier.

    Returns:
        Function that builds the classifier; the generator draws the weights of the softmax.

    Raises:
        UserError: The artifact has another variant or was trained on other percepts.
    """
    model, info = load_pretrained(path)
    actual = (info.arguments["variant"], info.stream, info.arguments["frame_size"])
    if actual != (variant, stream, frame_size) or info.standardize is None:
        raise UserError(
            f"{path}: expected {variant} trained on {stream} percepts of {frame_size} values, "
            f"found {actual[0]} on {actual[1]} percepts of {actual[2]} values; pretrain on the "
            "percepts to classify"
        )
    standardize, dropout = info.standardize, settings.dropout

    def build(generator: torch.Generator) -> VideoClassifier:
        classifier = LSTMClassifier(
            frame_size,
            info.arguments["hidden_size"],
            info.arguments["num_layers"],
            classes,
            dropout=dropout,
            generator=generator,
        )
        classifier.load_encoder(model)
        return VideoClassifier(standardize, classifier)

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
    """Train a classifier on a labelled subset.

    The softmax starts from a logistic regression or from random weights (`settings.softmax_init`);
    with random weights the first gradients undo much of the pretraining (Kumar et al. 2022). The
    loss is the cross-entropy at every step of random blocks, without padding. Weights, blocks and
    dropout depend on (seed, draw) only.

    Args:
        build: Function that builds the classifier.
        store: Stored percepts.
        clips: (n,) int, rows of the labelled videos' clips.
        labels: (n,) int, classes of the labelled videos.
        training_clips: (m,) int, rows of the clips of all training videos, labelled ones included.
        settings: Settings of the classifier and its training.
        seed: Random seed of the run.
        draw: Number of the labelled subset.
        device: Device to train on.
        checkpoint: File to resume from, see `loop.train`.
        tensorboard: Folder for TensorBoard logs.

    Returns:
        Classifier in evaluation mode, and the curves of `loop.train`.
    """
    model = build(torch.Generator().manual_seed(_derive_seed(seed, draw, WEIGHTS))).to(device)
    if settings.softmax_init == "logistic_regression":
        _initialise_softmax(model, store, clips, labels, training_clips, settings, device)
    windows = PerceptWindows(
        store, clips, settings.block_frames, _derive_seed(seed, draw, WINDOWS), device=device
    )
    lengths = torch.tensor([store.length(clip) for clip in clips])
    classes = torch.from_numpy(labels.astype(np.int64))
    offsets = torch.arange(settings.block_frames)[:, None]
    batch = settings.training.batch_size

    def loss(step: int) -> Tensor:
        indices, starts = map(torch.from_numpy, windows.draw(step, batch))
        mask = (starts + offsets < lengths[indices]).to(device)
        generator = torch.Generator(device).manual_seed(_derive_seed(seed, draw, DROPOUT, step))
        logits = model(windows.batch(step, batch), mask, generator)
        return classifier_loss(logits, classes[indices].to(device), mask)

    encoder_names = [name for name, _ in model.named_parameters() if ".encoder." in name]
    if settings.encoder_lr_scale == 0:
        model.classifier.encoder.requires_grad_(False)
    curves = train(
        model, loss, settings.training, checkpoint=checkpoint, unit="blocks",
        lr_scales=dict.fromkeys(encoder_names, settings.encoder_lr_scale), tensorboard=tensorboard,
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
    """Initialise the softmax by logistic regression on features of the labelled videos.

    The features are the softmax's inputs averaged over the steps and blocks of a video and
    standardised over all training videos; the standardisation is folded into the weights. Arguments
    as in `finetune`.
    """
    model.eval()
    features = store.mean_over_blocks(
        model.mean_features, training_clips, settings.block_frames, settings.block_stride, device
    )
    mean, deviation = features.mean(0), np.maximum(features.std(0), _MIN_DEVIATION)
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
    """Return class probabilities of videos (paper, section 3.4).

    The softmax is averaged over the steps of a block, without padding, and over the blocks of a
    video.

    Args:
        model: Classifier; put into evaluation mode.
        store: Stored percepts.
        clips: (n,) int, rows of the clips to score.
        frames: Frames per block.
        stride: Frames between the starts of blocks.

    Returns:
        (n, K) float32; rows sum to 1.
    """
    device = next(model.parameters()).device
    scores = store.mean_over_blocks(model.eval().block_scores, clips, frames, stride, device)
    return scores.astype(np.float32)


def _derive_seed(*numbers: int) -> int:
    """Derive a 64-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
