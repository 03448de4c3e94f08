"""Say what this machine has against what a configuration needs, before hours are spent.

Looks at the processor, the GPU, memory, disk, FFmpeg, the weights and the videos; does a little of
each stage, and reckons how long all of it will take here, and how much disk. Ends with what is
missing, a line each, and status 1 if anything is.

    python workflow_scripts/check_machine.py --config configs/paper.yaml
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import torch
import yaml

from command_line import CommandLine, run
from video_lstm.configuration import load_settings
from video_lstm.device import pick_device
from video_lstm.doctor import stage_timings
from video_lstm.doctor.dataset_sizes import DatasetSize, measure_dataset
from video_lstm.errors import UserError
from video_lstm.percepts.networks import weights_path
from video_lstm.progress import format_duration
from video_lstm.sequences.digits import find_mnist_files
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.videos import UNLABELLED
from video_lstm.training.tensorboard import require_tensorboard
from video_lstm.video.ffmpeg_program import ffmpeg_program

_GIGA = 1e9
_MEMORY = 2 * _GIGA
"""Bytes that a job of the demo and its libraries take at most, about."""
_START = 4.0
"""Seconds that a job takes before it does anything."""
_BYTES_A_PARAMETER = 20
"""Weight, gradient, two moments of Adam and the best weights, 4 each."""


class Arguments(CommandLine):
    """What is checked."""

    config: Path = Path("config.yaml")
    """The configuration."""
    cores: int = len(os.sched_getaffinity(0))
    """Cores that will be given to snakemake."""
    results: Path = Path("results")
    """Where results will be: its disk is looked at."""


def main(arguments: Arguments) -> None:
    """Look, measure, and tell."""
    torch.set_num_threads(1)
    missing: list[str] = []
    settings = read_settings(arguments.config)
    device = machine(settings, arguments, missing)
    amounts = data(settings, arguments, missing)
    times, disk, memory = estimate_costs(settings, amounts, device, arguments, missing)
    free = shutil.disk_usage(existing(arguments.results)).free
    if disk > free:
        missing.append(
            f"{arguments.results}: expected {disk / _GIGA:.1f} GB of free disk, found "
            f"{free / _GIGA:.1f} GB; free some, or run elsewhere with snakemake --directory"
        )
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory > have:
        missing.append(
            f"memory: expected {memory / _GIGA:.1f} GB for the largest model, found "
            f"{have / _GIGA:.1f} GB; take fewer units, or another machine"
        )
    print_line("disk needed", f"{disk / _GIGA:.2f} GB of {free / _GIGA:.0f} GB that are free")
    print_line("memory needed", f"{memory / _GIGA:.1f} GB of {have / _GIGA:.0f} GB")
    print("\nTime, about (jobs side by side where there is no GPU):")
    shared = arguments.cores if device.type == "cpu" else 1
    for stage, seconds in times.items():
        print_line(stage, format_duration(seconds / shared))
    print_line("in all", format_duration(sum(times.values()) / shared))
    if missing:
        print("\nMissing, and so not in the times:", *missing, sep="\n  ")
        sys.exit(1)
    print("\nNothing is missing.")


def read_settings(path: Path) -> Settings:
    """The configuration, checked."""
    if not path.is_file():
        raise UserError(f"{path}: expected a configuration file, found none; correct the path")
    try:
        config = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise UserError(f"{path}: expected YAML, found {where}; correct it") from error
    return load_settings(config, str(path))


def print_line(name: str, value: str) -> None:
    """A line of the report."""
    print(f"  {name:22} {value}")


def machine(settings: Settings, arguments: Arguments, missing: list[str]) -> torch.device:
    """Tell what the machine is; the device that jobs will work on."""
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
        print_line("GPU", "none that torch can use; everything runs on the processor")
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


def data(settings: Settings, arguments: Arguments, missing: list[str]) -> list[DatasetSize]:
    """Tell what videos, digits and weights there are."""
    amounts = []
    for name in (*settings.datasets, UNLABELLED):
        try:
            amount = measure_dataset(settings, name)
        except UserError as error:
            missing.append(f"{name}: {error}")
            print_line(name, "missing")
            continue
        amounts.append(amount)
        where = "" if amount.sample else ", yet to be rendered"
        hours = f"{amount.seconds / 3600:.2f} hours"
        print_line(name, f"{amount.videos} videos, {hours}, {amount.frames} frames to use{where}")
    try:
        find_mnist_files(settings.mnist.source)
        print_line("digits", settings.mnist.source)
    except UserError as error:
        missing.append(str(error))
    try:
        path = weights_path(settings.percepts)
        if path is not None and not path.is_file():
            raise UserError(
                f"percepts.weights: expected a file of weights, found none at {path}; download "
                "it, or correct the path"
            )
        print_line("weights", str(path.name if path else settings.percepts.network))
    except UserError as error:
        missing.append(str(error))
    return amounts


def estimate_costs(
    settings: Settings,
    amounts: list[DatasetSize],
    device: torch.device,
    arguments: Arguments,
    missing: list[str],
) -> tuple[dict[str, float], float, float]:
    """Seconds of each stage on one core or the GPU, bytes of disk, bytes of memory."""
    flows = [stream for stream in settings.streams if stream.startswith("flow")]
    of_rgb = [stream for stream in settings.streams if stream not in flows]
    splits = sum(len(labelled.use_splits) for labelled in settings.datasets.values())
    frames = sum(amount.frames for amount in amounts)
    pile = sum(amount.frames for amount in amounts if amount.name == UNLABELLED)
    sample = next((amount.sample for amount in amounts if amount.sample), None)
    pictures, decoding = stage_timings.sample_frames(
        sample, (settings.flow.height, settings.flow.width)
    )
    times: dict[str, float] = {"index": frames * decoding}
    disk, parameters = 0.0, [0]
    sizes: dict[str, int] = {}
    if flows:
        each, size = stage_timings.flow_seconds(pictures, settings.flow, device)
        times["flow"], disk = frames * (each + decoding), disk + frames * size
    # Flow percepts come from each split's own convnet, the pile's as often as there are splits.
    own = sum(
        amount.frames * len(settings.datasets[amount.name].use_splits)
        for amount in amounts
        if amount.name != UNLABELLED
    )
    vectors = {"rgb": frames, "flow": own + splits * pile}
    if of_rgb:  # `rgb` and `motion` read the same percepts
        try:
            each, size = stage_timings.percept_seconds(
                settings.percepts, device, arguments.results / "checkpoints"
            )
            times["percepts"] = frames * (each + decoding)
            disk += 2 * vectors["rgb"] * size
            sizes |= dict.fromkeys(of_rgb, size)
        except UserError as error:
            if str(error) not in missing and not any("percepts.weights" in m for m in missing):
                missing.append(str(error))
    convnet = settings.flow_convnet
    for stream in flows:
        each = stage_timings.flow_convnet_seconds(convnet, stream, device)
        steps = splits * convnet.training.steps
        times["flow convnet"] = times.get("flow convnet", 0) + steps * each
        # A forward pass is a third of a step.
        part = vectors["flow"] * each / convnet.training.batch_size / 3
        times["flow percepts"] = times.get("flow percepts", 0) + part
        sizes[stream] = convnet.fc6
        disk += 2 * vectors["flow"] * convnet.fc6
    variants, pretraining = len(settings.pretraining.variants), settings.pretraining
    colours = 3 if settings.patches.color else 1
    patch = settings.patches.patch_size**2 * colours
    models = {
        "pretrain digits": (pretraining.mnist, settings.mnist.image_size**2, 1),
        "pretrain patches": (pretraining.patches, patch, 1),
    }
    for stream, size in sizes.items():
        models[f"pretrain {stream}"] = (pretraining.percepts, size, splits)
    tuning = settings.finetuning
    rounds = tuning.num_draws * len(tuning.labels) * (1 + len(tuning.choices)) * splits
    for stage, (model, size, runs) in models.items():
        each, count = stage_timings.pretraining_seconds(model, size, device)
        parameters.append(count)
        times[stage] = runs * variants * model.training.steps * each
        disk += 4 * count * variants * runs
        if stage.split()[1] in sizes:
            # A classifier is one of a composite's three stacks, and reads blocks of its own length.
            ratio = tuning.block_frames / (model.input_frames + model.future_frames)
            share = each / model.training.batch_size * tuning.training.batch_size * ratio / 2
            work = rounds * (variants + 2) * tuning.training.steps * share
            times["finetune"] = times.get("finetune", 0) + work
    jobs = rounds // tuning.num_draws * (variants + 2) * len(sizes) + 4 * variants * len(models)
    times["starting jobs"] = _START * jobs
    patches = settings.patches.num_train_sequences + settings.patches.num_test_sequences
    disk += patches * patch * (pretraining.patches.input_frames + pretraining.patches.future_frames)
    return times, disk, _MEMORY + _BYTES_A_PARAMETER * max(parameters)


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    path = path.absolute()
    return path if path.exists() else existing(path.parent)


if __name__ == "__main__":
    run(main, Arguments)
