"""Make Table 1, 3 or 4: accuracies of recognition beside the published ones.

Table 1 sums action recognition up, Table 3 compares ways of pretraining, Table 4 compares with the
literature; see the paper's tables of the same numbers. Reads the classifiers' artifacts and writes
a CSV file. Published figures come from video_lstm/evaluation/published.csv, which says of each
where it is from and whether it was verified.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.published_results import PaperTable, compare_with_published, wide
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """Which table, of what."""

    table: PaperTable
    """Which of the paper's tables."""
    finetuned: list[Path]
    """Artifacts of finetune_classifier, and of fuse_streams for table 4."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Collect, compare and write."""
    table = compare_with_published(collect_scores(arguments.finetuned, []), arguments.table)
    if arguments.table != "table4":
        table = wide(table)
    write_csv(table, arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
