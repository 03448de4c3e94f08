"""Errors of predicted frames, per predicted step, in the paper's units."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from video_lstm.evaluation.trivial_baselines import TRIVIAL_BASELINES
from video_lstm.models.encoder_decoder import EncoderDecoder, Output, activate, frame_errors

_COPY, _MEAN = TRIVIAL_BASELINES

COPY_PROBABILITY = 0.95
"""Probability that `copy_last_frame` assigns to the value of a pixel that is on or off; about the
best value on Moving MNIST. With certainty, a single pixel that changes would give an infinite
cross-entropy."""

SSIM_WINDOW = 7
"""Side of the window of structural similarity, in pixels."""


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
    """Return the structural similarity of images (Wang et al. 2004); 1 for equal images.

    Computed with scikit-image's defaults, as in the literature on Moving MNIST: a uniform window
    of 7 x 7 pixels at every position inside the image, sample variances (divided by 48),
    K1 = 0.01, K2 = 0.03; averaged over positions and colours.

    Args:
        predicted: (..., C, H, W), 0 is black and 1 white; height and width at least 7.
        target: The same shape.

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
    similarity = (luminance * structure).mean((1, 2), dtype=torch.float64)
    return similarity.view(predicted.shape[:-2]).mean(-1)


def _window_mean(images: Tensor) -> Tensor:
    """Average images (N, H, W) over windows, with band matrices: the fastest way on a CPU."""

    def band(length: int) -> Tensor:
        offset = torch.arange(length) - torch.arange(length - SSIM_WINDOW + 1)[:, None]
        return ((offset >= 0) & (offset < SSIM_WINDOW)).to(images) / SSIM_WINDOW

    height, width = images.shape[-2:]
    return band(height) @ (images @ band(width).t())


def compute_measures(
    raw: Tensor,
    predicted: Tensor,
    target: Tensor,
    output: Output,
    to_images: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Compute the errors of predicted frames, averaged over the sequences.

    Args:
        raw: (T, B, D), before the activation.
        predicted: (T, B, D), after the activation.
        target: (T, B, D).
        output: "logits" for pixels in [0, 1], "linear" for other values.
        to_images: See `measure_frame_errors`.

    Returns:
        (T,) float64 for `squared_error`, `mse`, `ssim` and, for logits, `cross_entropy`.
    """
    errors = {
        "squared_error": squared_error(predicted, target),
        "mse": mse(predicted, target),
        "ssim": ssim(to_images(predicted), to_images(target)),
    }
    if output == "logits":
        errors = {"cross_entropy": cross_entropy(raw, target)} | errors
    return {name: error.mean(1) for name, error in errors.items()}


def measure_frame_errors(
    model: EncoderDecoder,
    batches: Iterable[Tensor],
    mean_frame: Tensor,
    to_images: Callable[[Tensor], Tensor],
) -> dict[str, np.ndarray]:
    """Measure an encoder-decoder and two trivial baselines on a test set.

    The model is put into evaluation mode, so that a conditional decoder receives its own output.
    `copy_last_frame` predicts the last input frame, also as the reconstruction; `mean_frame` the
    mean of the training frames, the constant image with the lowest squared error and
    cross-entropy.

    Args:
        model: Encoder-decoder.
        batches: Mini-batches (frames, B, D), with all frames that the model reads and predicts.
        mean_frame: (D,), scaled like the model's inputs.
        to_images: Function that converts model inputs (T, B, D) to images (T, B, C, H, W) in
            [0, 1], for SSIM.

    Returns:
        Errors per step, (T,) or (F,) float64 each, averaged over all sequences. Step k of a
        reconstruction is the k-th last frame. Names are `{branch}_{measure}` for the model and
        `{baseline}_{branch}_{measure}`; branches are `reconstruction` and `future`, measures
        those of `compute_measures`.
    """
    model.eval()
    output = model.output
    # The mean of the targets is the best constant; 0 and 1 have no finite logit.
    constant = (torch.logit(mean_frame, eps=1e-6) if output == "logits" else mean_frame, mean_frame)
    totals: dict[str, Tensor] = {}
    sequences = 0
    for batch in batches:
        inputs = batch[: model.input_frames]
        future = batch[model.input_frames : model.input_frames + model.future_frames]
        last = inputs[-1:]
        copy = (torch.logit(last, eps=1 - COPY_PROBABILITY) if output == "logits" else last, last)
        with torch.inference_mode():
            prediction = model(inputs)
            for branch, raw, target in (
                ("reconstruction", prediction.reconstruction, inputs.flip(0)),
                ("future", prediction.future, future),
            ):
                if raw is None:
                    continue
                predicted = (raw, activate(raw, output))
                predictors = (("", predicted), (f"{_COPY}_", copy), (f"{_MEAN}_", constant))
                for prefix, images in predictors:
                    outputs = [image.expand_as(target).float() for image in images]
                    measures = compute_measures(*outputs, target, output, to_images)
                    for name, error in measures.items():
                        key = f"{prefix}{branch}_{name}"
                        totals[key] = totals.get(key, 0) + error * batch.shape[1]
        sequences += batch.shape[1]
    return {key: (total / sequences).cpu().numpy() for key, total in totals.items()}


def average_over_steps(errors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of every error over the predicted steps."""
    return {name: float(error.mean()) for name, error in errors.items()}
