"""Compiled loops give the same bits in every process."""

import os
import subprocess
import sys

import pytest
from projects import ROOT

LSTM = """
import hashlib
import numpy as np
from video_lstm.models.lstm_cpu_kernels import backward_step, forward_step

random = np.random.default_rng(0)
digest = hashlib.sha256()
for batch, size in (16, 128), (3, 37):
    gates, recurrent = random.standard_normal((2, batch, 4, size), np.float32)
    c, new_c, new_h, grad_h, grad_out, grad_c = random.standard_normal(
        (6, batch, size), np.float32
    )
    peepholes, grad_peepholes = random.standard_normal((2, 3, size), np.float32)
    forward_step(gates, recurrent, c, peepholes, new_c, new_h)
    backward_step(gates, grad_h, grad_out, grad_c, c, new_c, peepholes, grad_peepholes)
    for array in (gates, new_c, new_h, grad_c, grad_peepholes):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""
FLOW = """
from video_lstm.flow.brox_cpu import create_workspace, solve_level

first, second = random.uniform(-1, 1, (2, 40, 53)).astype(np.float32)
flow = np.zeros((2, 40, 53), np.float32)
solve_level(first, second, flow, 0.2, 50.0, 1e-6, 1e-6, 0.01, 1.9, 2, 5, create_workspace(40, 53))
print(hashlib.sha256(flow.tobytes()).hexdigest())
"""


def run_loops(code, cache):
    """Run loops in a new process; return hashes of their results."""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT / "workflow_scripts"),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_new_and_cached_loops_give_the_same_bits(tmp_path):
    expected = run_loops(LSTM + FLOW, tmp_path)
    assert any(tmp_path.rglob("*.nbc"))
    assert run_loops(LSTM + FLOW, tmp_path) == expected


@pytest.mark.slow
def test_a_damaged_or_full_cache_does_no_harm(tmp_path):
    """Loops of the LSTM, which are compiled in a second; those of the flow take twenty."""
    expected = run_loops(LSTM, tmp_path)
    for path in tmp_path.rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:20])
    assert run_loops(LSTM, tmp_path) == expected
    no_space = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert run_loops(no_space + LSTM, tmp_path / "full") == expected
    (tmp_path / "file").touch()
    assert run_loops(LSTM, tmp_path / "file" / "cache") == expected
