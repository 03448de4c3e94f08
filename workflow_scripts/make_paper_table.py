"""Make Table 1, 3 or 4: measured accuracies of action recognition next to published ones.

Table 1 is the summary, Table 3 compares pretraining variants, and Table 4 compares with the
literature, as in the paper. Reads the classifiers' artifacts and writes a CSV file. The published
numbers, their sources and whether they were verified are in video_lstm/evaluation/published.csv.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.published_results import (
    PaperTable,
    compare_with_published,
    pivot_by_model,
)
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """Table, artifacts and output."""

    table: PaperTable
    """Table of the paper."""
    finetuned: list[Path]
    """Artifacts of finetune_classifier, and of fuse_streams for table 4."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Compare the accuracies with the published ones and write the table."""
    table = compare_with_published(collect_scores(arguments.finetuned, []), arguments.table)
    if arguments.table != "table4":
        table = pivot_by_model(table)
    write_csv(table, arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
