"""Measure a pretrained encoder-decoder on a fixed test set of pixels.

Reads the model and the test set (Moving MNIST or patches). Writes the errors per predicted step
(cross-entropy in nats per frame, squared error per frame, MSE, SSIM) of the model and of the two
trivial baselines, their means as attributes, and samples, uint8 images of some moving sequences:
ground truth, reconstruction in temporal order, and predicted future.
"""

from pathlib import Path

import torch

from video_lstm import artifacts
from video_lstm.command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.frame_errors import average_over_steps, measure_frame_errors
from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.sequences.fixed_test_sets import TestSet, open_test_set
from video_lstm.training.pretrained import PretrainedInfo, load_pretrained

_SAMPLES = 12


class Arguments(DeviceCommandLine):
    """Model, test set and output."""

    pretrained: Path
    """Artifact of pretrain, a model of pixels."""
    test: Path
    """Test set of render_moving_mnist or cut_patches."""
    output: Path
    """Artifact to write, such as results/predict/mnist/composite.h5."""
    batch_size: int = 100
    """Sequences per mini-batch."""


def main(arguments: Arguments) -> None:
    """Measure the model and write its errors and samples."""
    torch.set_num_threads(arguments.threads)
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(
        {"pretrained": arguments.pretrained, "test": arguments.test}, device_name
    )
    model, info = load_pretrained(arguments.pretrained)
    model.to(device).eval()
    with open_test_set(arguments.test) as test:
        check_test_set(test, model, info, arguments)
        errors = measure_frame_errors(
            model,
            test.batches(arguments.batch_size, device),
            test.mean_frame_input(device),
            test.to_images,
        )
        images = predict_samples(
            test, model, test.select_moving_sequences(_SAMPLES, model.input_frames, device)
        )
    with artifacts.create(arguments.output, "predictions", provenance) as file:
        artifacts.write_arrays(file, "errors", errors)
        file.attrs.update(
            variant=info.arguments["variant"],
            corpus=test.corpus,
            test=arguments.test.stem,
            **average_over_steps(errors),
        )
        artifacts.write_arrays(file, "samples", images)


def check_test_set(
    test: TestSet, model: EncoderDecoder, info: PretrainedInfo, arguments: Arguments
) -> None:
    """Raise a UserError if the model was not trained on sequences like those of the test set."""
    frames, size = model.input_frames + model.future_frames, info.arguments["frame_size"]
    actual = (test.corpus, test.pixels.shape[1], test.frame_size)
    if (info.source, size) != (actual[0], actual[2]) or actual[1] < frames:
        raise UserError(
            f"{arguments.test}: expected {frames} frames of {info.source}, of {size} values each, "
            f"as {arguments.pretrained} was trained on, found {actual[1]} frames of {actual[0]}, "
            f"of {actual[2]} values each; use a test set and a model with the same settings"
        )


@torch.inference_mode()
def predict_samples(test: TestSet, model: EncoderDecoder, batch: torch.Tensor) -> dict:
    """Return images of the ground truth and of the model's outputs, (n, frames, ...) uint8."""
    outputs = model(batch[: model.input_frames])
    sequences = {"truth": batch[: model.input_frames + model.future_frames]}
    if outputs.reconstruction is not None:
        sequences["reconstruction"] = activate(outputs.reconstruction.flip(0), model.output)
    if outputs.future is not None:
        sequences["future"] = activate(outputs.future, model.output)
    return {name: test.to_uint8(frames) for name, frames in sequences.items()}


if __name__ == "__main__":
    run(main, Arguments)
