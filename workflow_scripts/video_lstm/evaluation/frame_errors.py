"""How far predicted frames are from the true ones, per predicted step, in the paper's units."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from video_lstm.evaluation.trivial_baselines import TRIVIAL_BASELINES
from video_lstm.models.encoder_decoder import EncoderDecoder, Output, activate, frame_errors

COPY, MEAN = TRIVIAL_BASELINES

COPY_PROBABILITY = 0.95
"""The probability that the copy of a frame gives to a pixel that is full on or off: about what
serves it best on Moving MNIST. A copy that were certain would have an infinite cross-entropy at the
first pixel that changes."""

SSIM_WINDOW = 7
"""Side of the window of the structural similarity, in pixels."""


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the binary cross-entropy of frames, in nats summed over the pixels.

    Args:
        logits: (..., D), before the sigmoid.
        target: (..., D) in [0, 1].

    Returns:
        (...) float64.
    """
    return frame_errors(logits, target, "logits", torch.float64)


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of frames, summed over their values.

    Args:
        predicted: (..., D).
        target: (..., D).

    Returns:
        (...) float64.
    """
    return frame_errors(predicted, target, "linear", torch.float64)


def mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of frames, averaged over their values (lab report).

    Args:
        predicted: (..., D).
        target: (..., D).

    Returns:
        (...) float64.
    """
    return squared_error(predicted, target) / target.shape[-1]


def ssim(predicted: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of pictures (Wang et al. 2004); 1 for equal ones.

    As the literature on Moving MNIST has it from scikit-image's defaults: a flat window of 7 x 7
    pixels at every place where it fits, variances of the sample (divided by 48), K1 = 0.01,
    K2 = 0.03, black 0 and white 1; the mean over the places, and over the colours.

    Args:
        predicted: (..., C, H, W), black 0 and white 1, height and width at least 7.
        target: the same shape.

    Returns:
        (...) float64.
    """
    x, y = (images.reshape(-1, *images.shape[-2:]) for images in (predicted, target))
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    sample = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    covariance = sample * (_window_mean(x * y) - mean_x * mean_y)
    variances = sample * (_window_mean(x * x + y * y) - mean_x.square() - mean_y.square())
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    places = (luminance * structure).mean((1, 2), dtype=torch.float64)
    return places.view(predicted.shape[:-2]).mean(-1)


def _window_mean(images: Tensor) -> Tensor:
    """(N, H, W) to its means over windows, by products with band matrices: the fastest on a CPU."""

    def band(length: int) -> Tensor:
        offset = torch.arange(length) - torch.arange(length - SSIM_WINDOW + 1)[:, None]
        return ((offset >= 0) & (offset < SSIM_WINDOW)).to(images) / SSIM_WINDOW

    height, width = images.shape[-2:]
    return band(height) @ (images @ band(width).t())


def measures(
    raw: Tensor,
    predicted: Tensor,
    target: Tensor,
    output: Output,
    pictures: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Every measure that applies, averaged over the sequences.

    Args:
        raw: (T, B, D), before the activation.
        predicted: (T, B, D), after it.
        target: (T, B, D).
        output: "logits" for pixels in [0, 1], "linear" for any other values.
        pictures: see `evaluate`.

    Returns:
        (T,) float64 for `squared_error`, `mse`, `ssim` and, of logits, `cross_entropy`.
    """
    errors = {
        "squared_error": squared_error(predicted, target),
        "mse": mse(predicted, target),
        "ssim": ssim(pictures(predicted), pictures(target)),
    }
    if output == "logits":
        errors = {"cross_entropy": cross_entropy(raw, target)} | errors
    return {name: error.mean(1) for name, error in errors.items()}


def evaluate(
    model: EncoderDecoder,
    batches: Iterable[Tensor],
    mean_frame: Tensor,
    pictures: Callable[[Tensor], Tensor],
) -> dict[str, np.ndarray]:
    """Errors of an encoder-decoder, and of two trivial baselines, on a fixed set of sequences.

    The model is put into evaluation mode: a conditional decoder is fed its own output, never the
    truth. `copy_last_frame` predicts the last frame that was seen, for the reconstruction too;
    `mean_frame` the mean of the training frames, which of all constant images has the least
    squared error and cross-entropy.

    Args:
        model: an EncoderDecoder.
        batches: (frames, size, D) each, at least as many frames as the model reads and predicts.
        mean_frame: (D,), as the model is fed frames.
        pictures: (T, B, D), as the model is fed frames, to (T, B, C, H, W) in [0, 1], for SSIM.

    Returns:
        Errors per step, (T,) or (F,) float64 each, averaged over all sequences. Step k of a
        reconstruction is the k-th last frame. Names are `{branch}_{measure}` for the model and
        `{baseline}_{branch}_{measure}`, where a branch is `reconstruction` or `future`, and the
        measures are those of `measure`.
    """
    model.eval()
    output = model.output
    # Mean of the target's probabilities: the best constant; only the edges of [0, 1] have no logit.
    constant = (torch.logit(mean_frame, eps=1e-6) if output == "logits" else mean_frame, mean_frame)
    totals: dict[str, Tensor] = {}
    sequences = 0
    for batch in batches:
        seen = batch[: model.input_frames]
        future = batch[model.input_frames : model.input_frames + model.future_frames]
        last = seen[-1:]
        copy = (torch.logit(last, eps=1 - COPY_PROBABILITY) if output == "logits" else last, last)
        with torch.inference_mode():
            prediction = model(seen)
            for branch, raw, target in (
                ("reconstruction", prediction.reconstruction, seen.flip(0)),
                ("future", prediction.future, future),
            ):
                if raw is None:
                    continue
                own = (raw, activate(raw, output))
                for who, images in (("", own), (f"{COPY}_", copy), (f"{MEAN}_", constant)):
                    outputs = [image.expand_as(target).float() for image in images]
                    for name, error in measures(*outputs, target, output, pictures).items():
                        key = f"{who}{branch}_{name}"
                        totals[key] = totals.get(key, 0) + error * batch.shape[1]
        sequences += batch.shape[1]
    return {key: (total / sequences).cpu().numpy() for key, total in totals.items()}


def means(errors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean over the steps of every error: nats/frame, squared error per frame, MSE."""
    return {name: float(error.mean()) for name, error in errors.items()}
