"""Commands that `snakemake -p` prints can be pasted into any shell."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import h5py
import pytest
import yaml
from projects import CONFIG, ROOT, copy, counts, snakemake

from video_lstm.command_line import parse

TARGETS = ["tables", "pages", "capacity", "convlstm", "fusion", "results/choices.csv"]
"""Targets for which every rule has jobs."""
CHANGED = {
    "tensorboard": True,
    "checkpoint_seconds": 7,
    "streams": ["rgb", "flow1"],
    "finetuning": {"labels": [1, "all"], "choices": [{"dropout": 0.1}, {"dropout": 0.2}]},
}
FEATURES = {"percepts": {"features": "features"}}


def printed(folder, *targets):
    """Output of a dry run, and the commands in it."""
    output = snakemake(folder, "-n", "-p", *targets, config="mine.yaml").stdout
    return output, re.findall(r"^Shell command: (?!None$)(.+)$", output, re.M)


def project(checkout, folder, **changed):
    copied = copy(checkout, folder)
    tiny = yaml.safe_load((ROOT / CONFIG).read_text())
    tiny["finetuning"] = tiny["finetuning"] | changed.pop("finetuning", {})
    for dataset in ("tiny", "unlabelled"):
        (copied / "features" / dataset).mkdir(parents=True)
    (copied / "mine.yaml").write_text(yaml.safe_dump(tiny | changed))
    return copied


def rules():
    """Text of each rule that has a command, by name."""
    texts = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for text in re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"rule (\w+)|use rule \w+ as (\w+)", text)
            if name[2] or "    shell:" in text:
                texts[name[1] or name[2]] = text
    return texts


def test_logs_and_benchmark_files_are_named_by_their_rules():
    """docs/troubleshooting.md documents this, and the table of times in the report needs it."""
    for name, text in rules().items():
        for kind, suffix in (("logs", "log"), ("benchmarks", "tsv")):
            paths = re.findall(rf'"results/{kind}/(.+)"\,?$', text, re.M)
            assert len(paths) == 1, name
            assert re.fullmatch(rf"{name}(/[^/]+)?\.{suffix}", paths[0]), (name, paths)


@pytest.mark.parametrize(
    ("changed", "absent"),
    [({}, "import_features"), (CHANGED, "import_features"), (FEATURES, "extract_percepts")],
    ids=["defaults", "changed", "features"],
)
def test_every_rule_prints_a_command_that_its_script_accepts(checkout, tmp_path, changed, absent):
    output, commands = printed(project(checkout, tmp_path / "project", **changed), *TARGETS)
    jobs = counts(output)
    expected = rules().keys() - {absent}
    assert expected <= jobs.keys()
    assert len(commands) == sum(jobs[rule] for rule in expected)
    for command in commands:
        python, *words = shlex.split(re.sub(r"\$\{(TRAINING|TENSORBOARD):-\}", "", command))
        assert not any("$" in word for word in words)
        if words[0] == "-m":  # torchrun
            words = words[words.index("--") + 1 :]
        assert python == "python" and words[0].startswith("workflow_scripts/")
        parse(import_module(Path(words[0]).stem).Arguments, words[1:])


def test_printed_commands_run_without_snakemake(checkout, tmp_path):
    folder = project(checkout, tmp_path / "project")
    target = "results/predict/mnist/composite.h5"
    _, commands = printed(folder, target)
    assert len(commands) == 3
    environment = {key: os.environ[key] for key in ("HOME", "LANG") if key in os.environ}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    order = ["render_moving_mnist.py", "pretrain.py", "measure_predictions.py"]
    for script in order:
        (command,) = (text for text in commands if script in text)
        done = subprocess.run(
            ["sh", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert h5py.is_hdf5(folder / target)
