"""README and docs are true: every command, worked example, message, link and setting."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from projects import ROOT

import video_lstm
from document_settings import reference
from draw_workflow import draw_graph, read_rule_graph
from video_lstm.command_line import parse
from video_lstm.configuration import load_settings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


COMMANDS = sorted(
    {
        line
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.replace("\\\n", " ").splitlines()
    }
)


def commands(program):
    lines = [line for line in COMMANDS if line.split()[0] == program]
    assert lines
    return lines


def test_every_documented_program_is_tested_here():
    assert {line.split()[0] for line in COMMANDS} == {"make", "snakemake", "python", "source"}


@pytest.fixture(scope="module")
def prepared(checkout, tmp_path_factory):
    """A checkout with all files that planning the documented configurations needs."""
    folder = shutil.copytree(checkout, tmp_path_factory.mktemp("docs") / "project")
    mine = yaml.safe_load((folder / "config.yaml").read_text())
    del mine["demo"]
    (folder / "mine.yaml").write_text(
        yaml.safe_dump(mine | yaml.safe_load(blocks(ROOT / "README.md", "yaml")[0]))
    )
    paper = load_settings(yaml.safe_load((folder / "configs/paper.yaml").read_text()))
    roots = [labelled.root for labelled in paper.datasets.values()] + [paper.unlabelled.root]
    for root in [*roots, "path/to/videos", "path/to/more/videos"]:
        (folder / root).mkdir(parents=True)
    (folder / paper.percepts.weights).touch()
    return folder


@pytest.mark.parametrize("line", commands("make"))
def test_make_knows_its_targets(prepared, line):
    command = [*shlex.split(line), "-n"]
    done = subprocess.run(command, cwd=prepared, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", commands("python"))
def test_scripts_know_their_options(line, capsys):
    _, script, *options = shlex.split(line)
    module = import_module(Path(script).stem)
    if options == ["--help"]:
        with pytest.raises(SystemExit) as done:
            parse(module.Arguments, options)
        assert done.value.code == 0 and "--output" in capsys.readouterr().out
    else:
        parse(module.Arguments, options)


@pytest.mark.parametrize("line", commands("snakemake"))
def test_documented_commands_can_be_planned(prepared, line):
    command = [sys.executable, "-m", *shlex.split(line), "-n", "--quiet"]
    done = subprocess.run(command, cwd=prepared, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_reference_of_settings_is_up_to_date():
    text = (ROOT / "docs/settings.md").read_text()
    assert text == reference(), "run python workflow_scripts/document_settings.py"


def test_explained_messages_are_in_the_code():
    sources = [*(ROOT / "workflow_scripts").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]
    code = "".join(path.read_text() for path in [*sources, ROOT / "Makefile"])
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    explained = re.findall(r'(?<=[|,] )"([^"]+)"', (ROOT / "docs/troubleshooting.md").read_text())
    assert len(explained) > 40
    assert [message for message in explained if message not in code] == []


@pytest.fixture
def patched(tmp_path):
    """Return a function that applies the diff of a page to a copy of the scripts."""

    def apply(page):
        shutil.copytree(ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
        [diff] = blocks(ROOT / "docs" / page, "diff")
        done = subprocess.run(
            ["git", "apply", "-p0", "--unidiff-zero", "-"],
            cwd=tmp_path, input=diff, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return tmp_path

    return apply


@pytest.mark.slow
def test_a_variant_is_added_as_documented(patched):
    folder = patched("adding-a-variant.md")
    digits = '{"image_size": 32, "digit_size": 14}'
    training = '{"steps": 2, "batch_size": 2, "warmup_steps": 1}'
    model = f'{{"hidden_size": 4, "num_layers": 1, "training": {training}}}'
    command = [sys.executable, "workflow_scripts/pretrain.py", "--variant", "composite_conditional"]
    command += ["--source", "mnist", "--mnist", digits, "--model", model, "--output", "model.h5"]
    done = subprocess.run(
        [*command, "--checkpoints", "."], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "model.h5").exists()
    check = "import sys; sys.path.insert(0, 'workflow_scripts')"
    check += "; from video_lstm.plots.style import COLOURS"
    check += "; assert 'composite_conditional' in COLOURS"
    assert subprocess.run([sys.executable, "-c", check], cwd=folder).returncode == 0


def test_a_flow_method_is_added_as_documented(patched):
    check = """
import sys; sys.path.insert(0, "workflow_scripts")
import cv2, numpy as np
from video_lstm.flow.methods import compute_flow
from video_lstm.settings.percepts import FlowSettings
noise = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
still = cv2.GaussianBlur(noise, (0, 0), 3)
flow = compute_flow(np.stack([still, np.roll(still, 3, 1)]), FlowSettings(method="pca"))
assert abs(np.median(flow[0, 0]) - 3) < 0.5, np.median(flow[0, 0])
"""
    folder = patched("adding-a-flow-method.md")
    done = subprocess.run([sys.executable, "-c", check], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_python_page_runs(finished):
    """Its code, one block after the other, on the results of the small configuration."""
    code = "".join(blocks(ROOT / "docs/python.md", "python")).replace("demo", "tiny")
    check = """
assert outputs.shape == (20, 8, 64) and h.shape[0] == 4 and predicted.shape == (10, 32, 24)
assert sum(history[-10:]) < 0.7 * sum(history[:10])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    command = [sys.executable, "-c", code + check]
    done = subprocess.run(command, cwd=finished, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_are_documented_and_typed():
    page = (ROOT / "docs/python.md").read_text()
    table = re.search(r"\| name \| what it is \|\n.*?\n\n", page, re.S)[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(video_lstm.__all__)
    types = (ROOT / "workflow_scripts/video_lstm/__init__.pyi").read_text()
    assert set(re.findall(r"import (\w+) as \1$", types, re.M)) == set(video_lstm.__all__)
    assert all(getattr(video_lstm, name).__doc__ for name in video_lstm.__all__)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_reads_like_documentation(script, capsys):
    arguments = import_module(script.stem).Arguments
    with pytest.raises(SystemExit):
        parse(arguments, ["--help"])
    about, options = capsys.readouterr().out.split("\noptions:\n")
    assert len(about.split("\n\n", 1)[1].split()) > 12, about
    entries = re.split(r"\n  (?=--)", options)
    for name in arguments.model_fields:
        [entry] = [e for e in entries if e.split()[0] == f"--{name.replace('_', '-')}"]
        words = [
            word for word in entry.split() if not re.fullmatch(r"[\[\]A-Z.-]+|--\S+|\{\S+\}", word)
        ]
        assert len(words) >= 2, f"{script.stem}: --{name} is not explained"


def test_licence_and_citation():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == "MIT" and citation["preferred-citation"]["year"] == 2015


def test_the_graph_of_the_rules_is_up_to_date():
    graph = (ROOT / "report/workflow.svg").read_text()
    assert graph == draw_graph(read_rule_graph("config.yaml", "results/table2.csv")), (
        "run python workflow_scripts/draw_workflow.py"
    )
