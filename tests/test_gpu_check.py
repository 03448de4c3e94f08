"""The check of a GPU writes its numbers; on a CPU as a dry run."""

import json
import subprocess
import sys

import pytest
import torch
from projects import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


@pytest.mark.slow
def test_a_dry_run_does_every_part(tmp_path):
    command = [sys.executable, SCRIPT, "--dry-run", "--json", "gpu.json", "--table", "gpu.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    parts = ("tests of", "LSTM", "Brox flow", "percepts", "Moving MNIST, future_predictor")
    assert all(any(row["what"].startswith(part) for row in rows) for part in parts)
    assert all(row["result"] > 0 for row in rows[1:]) and rows[0]["result"].split()[1] == "passed"
    table = (tmp_path / "gpu.md").read_text().splitlines()
    assert len(table) == 4 + len(rows) and "350.2" in table[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "expected an NVIDIA GPU, found none" in done.stderr
    assert not list(tmp_path.iterdir())
