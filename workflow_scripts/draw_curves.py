"""Draw the training curves of encoder-decoders that learned from the same sequences.

Reads what pretrain wrote; a line per model, training and validation by step.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm import plots
from video_lstm.training.pretrained import load_pretrained, read_curves


class Arguments(CommandLine):
    """What to draw."""

    pretrained: list[Path]
    """The models."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Draw the losses of training and validation."""
    courses, unit = {}, ""
    for path in arguments.pretrained:
        model, info = load_pretrained(path)
        courses[info.arguments["variant"]] = read_curves(path)
        unit = plots.UNITS["cross_entropy" if model.output == "logits" else "squared_error"]
    plots.save(plots.curves(courses, unit), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
