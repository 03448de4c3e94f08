"""Measure a pretrained encoder-decoder on a fixed test set of pixels.

Reads the model and the test set (Moving MNIST or patches), and writes errors/ (per predicted step,
with those of two baselines: the copied last frame and the mean frame), their means as attributes
(cross-entropy in nats per frame, squared error per frame, MSE, SSIM), and samples/ (uint8 pictures
of some moving sequences: ground truth, reconstruction in order of time, predicted future).
"""

from pathlib import Path

import torch

from command_line import DeviceCommandLine, run
from video_lstm import artifacts
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.frame_errors import evaluate, means
from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.sequences.fixed_test_sets import TestSet, open_test_set
from video_lstm.training.pretrained import PretrainedInfo, load_pretrained

_SAMPLES = 12


class Arguments(DeviceCommandLine):
    """What to measure on what."""

    pretrained: Path
    """The model."""
    test: Path
    """The test set: what render_moving_mnist or cut_patches wrote."""
    output: Path
    """Artifact to write, such as results/predict/mnist/composite.h5."""
    batch_size: int = 100
    """Sequences at a time."""


def main(arguments: Arguments) -> None:
    """Write the model's errors and samples."""
    torch.set_num_threads(arguments.threads)
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(
        {"pretrained": arguments.pretrained, "test": arguments.test}, device_name
    )
    model, info = load_pretrained(arguments.pretrained)
    model.to(device).eval()
    with open_test_set(arguments.test) as test:
        check(test, model, info, arguments)
        errors = evaluate(
            model,
            test.batches(arguments.batch_size, device),
            test.mean_frame_input(device),
            test.to_images,
        )
        images = samples(
            test, model, test.select_moving_sequences(_SAMPLES, model.input_frames, device)
        )
    with artifacts.create(arguments.output, "predictions", provenance) as file:
        artifacts.write_arrays(file, "errors", errors)
        file.attrs.update(
            variant=info.arguments["variant"],
            corpus=test.corpus,
            test=arguments.test.stem,
            **means(errors),
        )
        artifacts.write_arrays(file, "samples", images)


def check(test: TestSet, model: EncoderDecoder, info: PretrainedInfo, arguments: Arguments) -> None:
    """Raise a UserError if the model was not trained on such sequences."""
    frames, size = model.input_frames + model.future_frames, info.arguments["frame_size"]
    actual = (test.corpus, test.pixels.shape[1], test.frame_size)
    if (info.source, size) != (actual[0], actual[2]) or actual[1] < frames:
        raise UserError(
            f"{arguments.test}: expected {frames} frames of {info.source}, of {size} values each, "
            f"as {arguments.pretrained} was trained on, found {actual[1]} of {actual[0]} of "
            f"{actual[2]}; make the test set or the model again"
        )


@torch.inference_mode()
def samples(test: TestSet, model: EncoderDecoder, batch: torch.Tensor) -> dict:
    """Return images of the ground truth and of the model's outputs."""
    outputs = model(batch[: model.input_frames])
    pictures = {"truth": batch[: model.input_frames + model.future_frames]}
    if outputs.reconstruction is not None:
        pictures["reconstruction"] = activate(outputs.reconstruction.flip(0), model.output)
    if outputs.future is not None:
        pictures["future"] = activate(outputs.future, model.output)
    return {name: test.to_uint8(frames) for name, frames in pictures.items()}


if __name__ == "__main__":
    run(main, Arguments)
