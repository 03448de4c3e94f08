"""The jobs of a run, from Snakemake's own plan."""

import csv
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from video_lstm.errors import UserError
from video_lstm.layout import SNAKEFILE


@dataclass(frozen=True)
class WorkflowPlan:
    """Output files of the jobs that make a target, whether they exist already or not.

    Attributes:
        outputs: Paths below `results/` by the name of the rule. Every rule of table 2 has one
            output file per job.
    """

    outputs: dict[str, list[Path]]

    @property
    def num_jobs(self) -> int:
        """Number of jobs."""
        return sum(map(len, self.outputs.values()))

    def num_flow_convnets(self, stream: str) -> int:
        """Return the number of trainings of a flow convnet of a stream."""
        return sum(path.stem == stream for path in self.outputs.get("train_flow_convnet", []))

    def encoder_decoders(self, name: str) -> list[str]:
        """Return the variant of each encoder-decoder of a stream, `mnist` or `patches`."""
        return [
            path.stem
            for path in self.outputs.get("pretrain", [])
            if name in path.parts[1:3]  # pretrain/CORPUS/STREAM/VARIANT.h5
        ]

    def classifiers(self, stream: str) -> list[tuple[str, int | str, int | None]]:
        """Return variant, labels and choice of each job that trains classifiers of a stream.

        The choice is None for a classifier with its final settings, an index into
        `finetuning.choices` for one that is trained to select them.
        """
        # finetune/DATASET/SPLIT/STREAM/VARIANT/LABELS.h5, validate/.../LABELS/CHOICE.h5
        jobs = []
        paths = self.outputs.get("finetune_classifier", []) + self.outputs.get(
            "validate_classifier", []
        )
        for path in paths:
            _, _, _, job_stream, variant, labels, *choice = path.with_suffix("").parts
            if job_stream == stream:
                number = int(labels) if labels.isdigit() else labels
                jobs.append((variant, number, int(choice[0]) if choice else None))
        return jobs

    def flow_percept_datasets(self, stream: str) -> list[str]:
        """Return the data sets whose flow percepts are extracted, once per flow convnet."""
        # percepts/DATASET/STREAM_DATASET_SPLIT/SHARD.h5
        passes = {path.parts[1:3] for path in self.outputs.get("extract_flow_percepts", [])}
        return [name for name, features in sorted(passes) if features.startswith(f"{stream}_")]


def plan_workflow(config: Path, target: str = "results/table2.csv") -> WorkflowPlan:
    """Ask Snakemake for the jobs that make a target; it runs none.

    Args:
        config: Configuration file.
        target: Output file to plan for.

    Raises:
        UserError: Snakemake cannot make a plan, mostly because data is missing.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--cores", "1"]
    command += ["--configfile", str(config), "--summary", "--", target]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith(("File ", "Using ", "Building "))]
        # Snakemake prints a title, then the message.
        reason = next((line for line in lines[1:]), lines[0] if lines else "no message")
        raise UserError(
            f"{config}: Snakemake cannot plan the run ({reason}); correct this and run again"
        )
    outputs = defaultdict(list)
    for row in csv.DictReader(done.stdout.splitlines(), delimiter="\t"):
        outputs[row["rule"]].append(Path(row["output_file"]).relative_to("results"))
    return WorkflowPlan(dict(outputs))
