"""The workflow as a module of another workflow, and deployed from a Git repository."""

import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from projects import ROOT, copy, counts, snakemake

TWO_MODULES = """
import yaml

tiny = yaml.safe_load(open({tiny!r}))

module first:
    snakefile: {snakefile!r}
    config: tiny
    replace_prefix: {{"results/": "out/first/"}}

use rule * from first as first_*

module second:
    snakefile: {snakefile!r}
    config: tiny | {{"seed": 2}}
    prefix: "second"

use rule * from second as second_*

rule all:
    default_target: True
    input:
        "out/first/table2.csv",
        "second/results/videos/tiny.h5",
        "second/results/pretrain/mnist/pixels/composite.h5",
"""


def test_two_configurations_run_as_modules_of_one_workflow(checkout, finished, tmp_path):
    """From another directory, each in a folder of its own; results are those of the workflow."""
    folder = tmp_path / "theirs"
    results = folder / "out" / "first"
    results.parent.mkdir(parents=True)
    copy(finished / "results", results)
    (results / "finetune/tiny/split1/rgb/composite/1.h5").unlink()
    for name in ("scores.csv", "table2.csv"):
        (results / name).unlink()
    (folder / "Snakefile").write_text(
        TWO_MODULES.format(
            tiny=str(checkout / "tests/tiny.yaml"), snakefile=str(checkout / "Snakefile")
        )
    )
    # Snakemake has no record of how the copied files were made, and would make them again.
    output = snakemake(folder, "--rerun-triggers", "mtime", config=None).stdout
    assert counts(output) == {
        "first_finetune_classifier": 1, "first_collect_scores": 1, "first_make_table2": 1,
        "second_render_demo": 1, "second_probe_videos": 2, "second_index_videos": 1,
        "second_pretrain": 1, "all": 1,
    }  # fmt: skip
    table = (results / "table2.csv").read_bytes()
    assert table == (finished / "results/table2.csv").read_bytes()
    assert not pd.read_csv(results / "table2.csv").empty
    assert (folder / "second/results/demo/labelled").is_dir()
    assert not (folder / "results").exists()


def test_the_documented_module_can_be_planned(checkout, tmp_path):
    page = (ROOT / "docs/module.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    path = "path/to/video-lstm/Snakefile"
    assert path in code
    (tmp_path / "Snakefile").write_text(code.replace(path, str(checkout / "Snakefile")))
    tiny = yaml.safe_load((checkout / "tests/tiny.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"video_lstm": tiny}))
    output = snakemake(tmp_path, "-n", config=None).stdout
    assert counts(output)["video_lstm_make_table2"] == 1


@pytest.mark.slow
def test_rules_without_their_library_ask_for_it(tmp_path):
    """As Snakemake reads rules from a Git server: alone."""
    copied = tmp_path / "rules_only"
    copied.mkdir()
    for name in ("Snakefile", "config.yaml"):
        (copied / name).write_text((ROOT / name).read_text())
    copy(ROOT / "rules", copied / "rules")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n"]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True)
    assert done.returncode == 1
    assert "expected the Python package video-lstm" in done.stdout
    assert "install it with pip" in done.stdout
