"""Settings, scripts and functions that all rules use.

A rule names its own log, benchmark and conda environment, since Snakemake has no default for them
(and `snakemake --lint` asks for log and conda); `use rule ... with` inherits the environment.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import get_args

from snakemake.exceptions import WorkflowError

# A checkout brings the library along. Rules that Snakemake reads from a Git server need it installed.
checkout = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if (checkout / "workflow_scripts" / "video_lstm").is_dir():
    sys.path.insert(0, str(checkout / "workflow_scripts"))

try:
    from video_lstm import layout
except ModuleNotFoundError as error:
    raise WorkflowError(
        "expected the Python package video-lstm, which these rules call, found none in the "
        "environment of Snakemake; install it with pip, in the version of the rules"
    ) from error
from video_lstm.code import code_hashes
from video_lstm.errors import UserError
from video_lstm.configuration import load_settings
from video_lstm.run_control import (
    failure_messages,
    lock_run_folder,
    stop_scripts_on_sigterm,
)
from video_lstm.settings.base import Section, Stream
from video_lstm.settings.sequences import MovingDigits
from video_lstm.settings.training import (
    FUSED,
    EncoderDecoderSettings,
    BaselineRepresentation,
    VariantName,
)
from video_lstm.settings.videos import UNLABELLED, VideoSource
from video_lstm.training.tensorboard import require_tensorboard

# Relative, so that a checkout that moves is not a changed command.
SCRIPTS = os.path.relpath(layout.SCRIPTS)
# Braces are doubled, since Snakemake puts wildcards into this path.
ENVIRONMENT = re.sub("[{}]", r"\g<0>\g<0>", str(layout.ROOT / "envs/video_lstm.yaml"))
DEMO = "results/demo"
# Where files below results/ are if another workflow uses this one as a module with `prefix` or
# `replace_prefix`. Snakemake renames inputs, outputs and logs; these are for options of scripts.
RESULTS = workflow.modifier.path_modifier.replace_prefix("results/").rstrip("/")
CHECKPOINTS = f"{RESULTS}/checkpoints"  # checkpoints of trainings, and caches

# Jobs use the Python that runs snakemake, also where its environment is not activated.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])
)

try:
    settings = load_settings(
        config, " + ".join(map(str, workflow.overwrite_configfiles)) or "config.yaml"
    )
except UserError as error:
    raise WorkflowError(str(error)) from None

# These settings change no result. Jobs read them from the environment, because a changed parameter
# or command would run everything again. Commands work without them.
TENSORBOARD = f"--tensorboard {RESULTS}/tensorboard" if settings.tensorboard else ""
os.environ.update(
    TENSORBOARD=TENSORBOARD,
    TRAINING=f"--checkpoint-seconds {settings.checkpoint_seconds} {TENSORBOARD}",
)

# A GPU is a resource that jobs queue for; without one they run side by side on the cores.
GPU = int(
    settings.device == "cuda"
    or (settings.device == "auto" and shutil.which("nvidia-smi") is not None)
)
DATASETS = [*settings.datasets, UNLABELLED]
STREAM = "|".join(get_args(Stream))


wildcard_constraints:
    dataset="|".join(DATASETS),
    labelled="|".join(settings.datasets),
    split=r"\d+",
    shard=r"\d+",
    stream=STREAM,
    streams=rf"({STREAM})(\+({STREAM}))+",
    features=r"rgb|flow(1|10)_[a-z0-9]+_split\d+",
    flow_features=r"flow(1|10)_[a-z0-9]+_split\d+",
    corpus=rf"mnist|patches|{UNLABELLED}|({'|'.join(settings.datasets)})_split\d+",
    frames="mnist|patches",
    test=r"mnist(_\d+)?|patches",
    num_digits=r"\d+",
    hidden_size=r"\d+",
    compared="convlstm|lstm_equal_parameters|lstm_equal_time",
    comparison="capacity|convlstm",
    model=r"[a-z_0-9]+",
    variant="|".join(["single_frame", "lstm_baseline", *get_args(VariantName)]),
    encoder="|".join(
        [*get_args(BaselineRepresentation), *settings.pretraining.variants]
    ),
    labels=r"\d+|all",
    choice=r"\d+",


onstart:
    global RUN_LOCK  # open for as long as the process lives
    try:
        if settings.tensorboard:
            require_tensorboard()
        RUN_LOCK = lock_run_folder(Path())
    except UserError as error:
        raise WorkflowError(str(error)) from None
    stop_scripts_on_sigterm(SCRIPTS)


# Printed last, since the errors of jobs are far above by now, between Snakemake's own lines.
onerror:
    for message in failure_messages(map(Path, log)):
        print(f"\n{message}", file=sys.stderr)


def hash_code(script):
    """Hash each module that a script uses, so that a rule runs again when one of them changes."""
    return code_hashes(layout.SCRIPTS / f"{script}.py")


def scripts_folder(wildcards):
    """Return the folder of the scripts as commands name it.

    A parameter, since Snakemake's lint accepts no global names in commands; a function, since
    Snakemake takes braces in a path for wildcards.
    """
    return shlex.quote(SCRIPTS)


def settings_options(**values):
    """Turn settings into options of a script: sections become JSON, None is left out.

    For use in functions of the wildcards: elsewhere Snakemake takes the braces of JSON, or of a
    path, for wildcards.
    """
    words = []
    for name, value in values.items():
        if value is None:
            continue
        text = value.model_dump_json() if isinstance(value, Section) else str(value)
        words += [f"--{name.replace('_', '-')}", shlex.quote(text)]
    return " ".join(words)


def python_launcher(num_processes):
    """Return the command that starts a training script: Python, or torchrun."""
    if num_processes == 1:
        return "python"
    return f"python -m torch.distributed.run --standalone --nproc-per-node {num_processes} --"


def input_options(input, *roles):
    """Turn input files into options of a script, by role; roles without files are left out."""
    words = []
    for role in roles:
        files = input.get(role)
        if files:
            option = role.replace("_", "-")
            paths = [files] if isinstance(files, str) else files
            words += [f"--{option}", *map(shlex.quote, paths)]
    return " ".join(words)


def memory(megabytes):
    """Return the memory of a job in MB, more at each attempt if a profile allows retries."""
    return lambda wildcards, attempt: megabytes * attempt


# What most rules need. Not default-resources of a profile: with `--default-resources
# slurm_account=...` or `--workflow-profile none` these rules would have no memory or time.
SMALL_JOB = {"mem_mb": memory(2000), "runtime": 30}


def narrow(section, kind):
    """Return the part of a section that its parent class `kind` declares."""
    return kind.model_validate(section.model_dump(include=set(kind.model_fields)))
