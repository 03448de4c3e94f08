"""Check this machine and the data for a configuration, and estimate time, memory and disk space.

Checks the processor, the GPU, memory, disk space, FFmpeg, the weights and the videos. Times a small
part of each stage and multiplies it by the jobs that Snakemake plans for results/table2.csv. Lists
all that is missing, with exit status 1 if anything is.

    python workflow_scripts/check_machine.py --config configs/paper.yaml
"""

import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from video_lstm.command_line import CommandLine, run
from video_lstm.configuration import load_settings
from video_lstm.device import pick_device
from video_lstm.doctor import stage_timings
from video_lstm.doctor.dataset_sizes import DatasetSize, measure_dataset
from video_lstm.doctor.workflow_plan import WorkflowPlan, plan_workflow
from video_lstm.errors import UserError
from video_lstm.percepts.networks import weights_path
from video_lstm.progress import format_duration
from video_lstm.sequences.digits import find_mnist_files
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.training import EncoderDecoderSettings
from video_lstm.settings.videos import UNLABELLED
from video_lstm.training.tensorboard import require_tensorboard
from video_lstm.video.ffmpeg_program import ffmpeg_program

_GIGA = 1e9
_MEMORY = 2 * _GIGA
"""Approximate bytes that a job of the demo takes at most, with its libraries."""
_START = 1.7
"""Seconds of CPU time that a job takes to start Python and import its libraries."""
_RENDERING = 0.065
"""Seconds of CPU time to render a second of a demo video."""
_BYTES_PER_PARAMETER = 20
"""Weight, gradient, two moments of Adam and the best weights, 4 bytes each."""


class Arguments(CommandLine):
    """Configuration to check, and resources of the run."""

    config: Path = Path("config.yaml")
    """Configuration file to check."""
    cores: int = len(os.sched_getaffinity(0))
    """Number of cores that the run will use (snakemake --cores)."""
    results: Path = Path("results")
    """Folder for results; the check of disk space is for its disk."""


@dataclass
class Costs:
    """Estimated costs of a run.

    Attributes:
        seconds: Seconds of each stage on one core or on the GPU.
        disk: Bytes of disk space.
        parameters: Number of parameters of the largest encoder-decoder.
    """

    seconds: dict[str, float]
    disk: float = 0.0
    parameters: int = 0

    @property
    def memory(self) -> float:
        """Bytes of memory of the largest job."""
        return _MEMORY + _BYTES_PER_PARAMETER * self.parameters

    def add(self, stage: str, seconds: float, disk: float = 0.0) -> None:
        """Add to the seconds of a stage and to the disk space."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.disk += disk


def main(arguments: Arguments) -> None:
    """Check, time and report."""
    torch.set_num_threads(1)
    missing: list[str] = []
    settings = read_settings(arguments.config)
    device = check_hardware(settings, arguments, missing)
    datasets = check_data(settings, missing)
    workflow = plan(arguments, missing)
    costs = estimate_costs(settings, datasets, workflow, device, arguments, missing)
    free = shutil.disk_usage(existing(arguments.results)).free
    if costs.disk > free:
        missing.append(
            f"{arguments.results}: expected {costs.disk / _GIGA:.1f} GB of free disk, found "
            f"{free / _GIGA:.1f} GB; free some, or run elsewhere with snakemake --directory"
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if costs.memory > memory:
        missing.append(
            f"memory: expected {costs.memory / _GIGA:.1f} GB for the largest model, found "
            f"{memory / _GIGA:.1f} GB; lower hidden_size, or use another machine"
        )
    print_line("disk needed", f"{costs.disk / _GIGA:.2f} GB of {free / _GIGA:.0f} GB free")
    print_line("memory needed", f"{costs.memory / _GIGA:.1f} GB of {memory / _GIGA:.0f} GB")
    parallel = arguments.cores if device.type == "cpu" else 1
    print(f"\nEstimated time, with {parallel} jobs in parallel:")
    for stage, seconds in costs.seconds.items():
        print_line(stage, format_duration(seconds / parallel))
    print_line("in all", format_duration(sum(costs.seconds.values()) / parallel))
    if workflow is None:
        print("  without training, flow percepts and the start of jobs, whose numbers are unknown")
    if missing:
        print("\nMissing, and not in the estimate:", *missing, sep="\n  ")
        sys.exit(1)
    print("\nNothing is missing.")


def read_settings(path: Path) -> Settings:
    """Read and validate the configuration."""
    if not path.is_file():
        raise UserError(f"{path}: expected a configuration file, found none; correct the path")
    try:
        config = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path}: expected YAML, found {problem}; correct it") from error
    return load_settings(config, str(path))


def print_line(name: str, value: str) -> None:
    """Print a line of the report."""
    print(f"  {name:22} {value}")


def check_hardware(settings: Settings, arguments: Arguments, missing: list[str]) -> torch.device:
    """Report the processor, GPU and FFmpeg; return the device that jobs will use."""
    print(f"This machine, for {arguments.config}:")
    print_line("processor", f"{arguments.cores} cores, {platform.machine()}")
    try:
        device, name = pick_device(settings.device)
    except UserError as error:
        missing.append(str(error))
        device, name = torch.device("cpu"), "cpu"
    if device.type == "cuda":
        size = torch.cuda.get_device_properties(device).total_memory
        print_line("GPU", f"{name}, {size / _GIGA:.0f} GB")
    else:
        print_line("GPU", "none that torch can use; all jobs run on the processor")
    if settings.tensorboard:
        try:
            require_tensorboard()
        except UserError as error:
            missing.append(str(error))
    try:
        program = ffmpeg_program()
        version = subprocess.run([program, "-version"], capture_output=True, text=True)
        print_line("FFmpeg", f"{' '.join(version.stdout.split()[:3])} ({program})")
    except UserError as error:
        missing.append(str(error))
    return device


def check_data(settings: Settings, missing: list[str]) -> list[DatasetSize]:
    """Report the videos, digits and weights; return the sizes of the data sets."""
    datasets = []
    for name in (*settings.datasets, UNLABELLED):
        try:
            dataset = measure_dataset(settings, name)
        except UserError as error:
            missing.append(f"{name}: {error}")
            print_line(name, "missing")
            continue
        datasets.append(dataset)
        state = "" if dataset.sample else ", not rendered yet"
        hours = f"{dataset.seconds / 3600:.2f} hours"
        print_line(name, f"{dataset.videos} videos, {hours}, {dataset.frames} frames to use{state}")
    try:
        find_mnist_files(settings.mnist.source)
        print_line("digits", settings.mnist.source)
    except UserError as error:
        missing.append(str(error))
    try:
        features = settings.percepts.features
        path = None if features else weights_path(settings.percepts)
        if path is not None and not path.is_file():
            raise UserError(
                f"percepts.weights: expected a file of weights, found none at {path}; download "
                "it, or correct the path"
            )
        name = features or (path.name if path else settings.percepts.network)
        print_line("features" if features else "weights", name)
    except UserError as error:
        missing.append(str(error))
    return datasets


def plan(arguments: Arguments, missing: list[str]) -> WorkflowPlan | None:
    """Plan the jobs of table 2; None if Snakemake cannot."""
    try:
        workflow = plan_workflow(arguments.config)
    except UserError as error:
        missing.append(str(error))
        print_line("jobs", "unknown, as Snakemake cannot plan the run")
        return None
    print_line("jobs", f"{workflow.num_jobs} for results/table2.csv")
    return workflow


def estimate_costs(
    settings: Settings,
    datasets: list[DatasetSize],
    workflow: WorkflowPlan | None,
    device: torch.device,
    arguments: Arguments,
    missing: list[str],
) -> Costs:
    """Time a little of each stage and multiply by the amount of data and the number of jobs.

    Without a plan of the workflow, the costs of training and flow percepts are left out.
    """
    flow_streams = [stream for stream in settings.streams if stream.startswith("flow")]
    rgb_streams = [stream for stream in settings.streams if stream not in flow_streams]
    frames = {dataset.name: dataset.frames for dataset in datasets}
    num_frames = sum(frames.values())
    sample = next((dataset.sample for dataset in datasets if dataset.sample), None)
    images, decoding = stage_timings.sample_frames(
        sample, (settings.flow.height, settings.flow.width)
    )
    rendered = sum(dataset.seconds for dataset in datasets if dataset.sample is None)
    costs = Costs(seconds={"render demo": rendered * _RENDERING} if rendered else {})
    costs.add("index", num_frames * decoding)
    dimensions: dict[str, int] = {}
    if flow_streams:
        each, size = stage_timings.flow_seconds(images, settings.flow, device)
        costs.add("flow", num_frames * (each + decoding), num_frames * size)
    if rgb_streams:  # `rgb` and `motion` use the same percepts
        try:
            each, dimension = stage_timings.percept_seconds(
                settings.percepts, device, arguments.results / "checkpoints"
            )
            costs.add("percepts", num_frames * (each + decoding), 2 * num_frames * dimension)
            dimensions |= dict.fromkeys(rgb_streams, dimension)
        except UserError as error:
            if str(error) not in missing and not any("percepts.weights" in m for m in missing):
                missing.append(str(error))
    convnet = settings.flow_convnet
    for stream in flow_streams:
        dimensions[stream] = convnet.fc6
        each = stage_timings.flow_convnet_seconds(convnet, stream, device)
        if workflow is not None:
            steps = workflow.num_flow_convnets(stream) * convnet.training.steps
            costs.add("flow convnet", steps * each)
            passes = workflow.flow_percept_datasets(stream)
            percepts = sum(frames.get(name, 0) for name in passes)
            # A forward pass takes a third of a training step.
            seconds = percepts * each / convnet.training.batch_size / 3
            costs.add("flow percepts", seconds, 2 * percepts * convnet.fc6)
    pretraining, patches = settings.pretraining, settings.patches
    patch_values = patches.patch_size**2 * (3 if patches.color else 1)
    models: dict[str, tuple[EncoderDecoderSettings, int]] = {
        "mnist": (pretraining.mnist, settings.mnist.image_size**2),
        "patches": (pretraining.patches, patch_values),
        **{stream: (pretraining.percepts, dimension) for stream, dimension in dimensions.items()},
    }
    for name, (model, frame_size) in models.items():
        parameters = stage_timings.count_parameters("composite", model, frame_size)
        costs.parameters = max(costs.parameters, parameters)
        if workflow is None:
            continue
        for variant, runs in Counter(workflow.encoder_decoders(name)).items():
            each = stage_timings.pretraining_seconds(variant, model, frame_size, device)
            costs.add(f"pretrain {name}", runs * each, 4 * parameters * runs)
    for stream, dimension in dimensions.items() if workflow is not None else ():
        seconds = finetuning_seconds(settings, stream, dimension, workflow, device)
        costs.add("finetune", seconds)
    if workflow is not None:
        costs.add("starting jobs", _START * workflow.num_jobs)
    sequences = patches.num_train_sequences + patches.num_test_sequences
    length = pretraining.patches.input_frames + pretraining.patches.future_frames
    costs.disk += sequences * length * patch_values
    return costs


def finetuning_seconds(
    settings: Settings, stream: str, dimension: int, workflow: WorkflowPlan, device: torch.device
) -> float:
    """Estimate the seconds that training all classifiers of a stream takes.

    Args:
        settings: The whole configuration.
        stream: Stream of the classifiers.
        dimension: Number of values of a percept.
        workflow: Plan of the run.
        device: Device to train on.
    """
    draws: Counter[str] = Counter()
    tunings = {}
    for variant, labels, choice in workflow.classifiers(stream):
        if variant != "single_frame":  # a softmax, whose training takes little time
            tuning = settings.finetuning.settings_of(variant, stream, labels, choice)
            key = tuning.model_dump_json(exclude={"num_draws"})
            tunings[key] = tuning
            draws[key] += tuning.num_draws
    model = settings.pretraining.percepts
    return sum(
        draws[key] * stage_timings.finetuning_seconds(tuning, model, dimension, device)
        for key, tuning in tunings.items()
    )


def existing(path: Path) -> Path:
    """Return the nearest folder above a path that exists."""
    path = path.absolute()
    return path if path.exists() else existing(path.parent)


if __name__ == "__main__":
    run(main, Arguments)
