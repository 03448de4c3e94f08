"""Copy this project and run the workflow in the copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = (
    "Makefile",
    "Snakefile",
    "workflow",
    "config.yaml",
    "rules",
    "report",
    "workflow_scripts",
    "envs",
    "profiles",
    "configs",
)
CONFIG = "tests/tiny.yaml"


def snakemake(folder, *options, check=True, config=CONFIG):
    """Run Snakemake in a folder; return the finished process with its output."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
    command += ["--configfile", config] if config else []
    process = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if check:
        assert process.returncode == 0, process.stdout[-5000:]
    return process


def counts(output):
    """Return the number of jobs in Snakemake's output, by rule."""
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)total", output, re.S)
    return {} if table is None else {
        name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table.group(1), re.M)
    }  # fmt: skip


def planned(folder, *options, config=CONFIG):
    """Return the number of jobs that table 2 would need, by rule."""
    return counts(snakemake(folder, "-n", "results/table2.csv", *options, config=config).stdout)


def copy(source, target):
    """Copy a project with its results and modification times."""
    return shutil.copytree(source, target, symlinks=True)


def copy_code(folder):
    """Copy the files of the project without results."""
    folder.mkdir()
    for name in CODE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    (folder / "tests").mkdir()
    shutil.copy2(ROOT / CONFIG, folder / CONFIG)
    return folder
