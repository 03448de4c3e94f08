"""Render the fixed test set of Moving MNIST.

Reads the test digits (or the standard mnist_test_seq.npy) and writes the sequences on which every
model is evaluated, as `test` (sequences, frames, size, size) uint8, and the `mean_frame` of the
training sequences, the best constant image. Training sequences are rendered during training.
"""

from pathlib import Path

import numpy as np

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.progress import Progress
from video_lstm.sequences.digits import find_mnist_files, load_digits
from video_lstm.sequences.moving_mnist import (
    MovingMNIST,
    compute_mean_frame,
    read_standard_sequences,
    render_test_sequences,
)
from video_lstm.settings.sequences import MNISTSettings


class Arguments(CommandLine):
    """Command line."""

    output: Path
    """Artifact to write, such as results/moving_mnist.h5."""
    seed: int = 0
    """Random seed for sampling digits and trajectories."""
    frames: int
    """Frames of a sequence: input and future frames."""
    mnist: MNISTSettings = MNISTSettings()
    """Digits, their motion, and number of test sequences."""


def main(arguments: Arguments) -> None:
    """Write the test set."""
    settings, frames = arguments.mnist, arguments.frames
    inputs = {path.name: path for path in find_mnist_files(settings.source)}
    train, test = load_digits(settings.source, settings.digit_size)
    if settings.test_file is None:
        blocks = render_test_sequences(test, settings, frames, arguments.seed)
    else:
        inputs["test_file"] = Path(settings.test_file)
        blocks = read_standard_sequences(Path(settings.test_file), settings, frames)
    with artifacts.create(arguments.output, "moving_mnist", arguments.provenance(inputs)) as file:
        shape = (frames, settings.image_size, settings.image_size)
        dataset = file.create_dataset(
            "test",
            (settings.num_test_sequences, *shape),
            np.uint8,
            chunks=(1, *shape),
            compression="gzip",
            compression_opts=1,
        )
        progress, done = Progress(settings.num_test_sequences, "sequences"), 0
        for block in blocks:
            dataset[done : done + len(block)] = block
            done += len(block)
            file.flush()
            progress.update(len(block))
        stream = MovingMNIST(train, settings, frames, arguments.seed)
        file["mean_frame"] = 255 * compute_mean_frame(stream).reshape(shape[1:])
        # Models get (pixel - mean) / std.
        file.attrs.update(mean=0.0, std=255.0, frames=frames)


if __name__ == "__main__":
    run(main, Arguments)
