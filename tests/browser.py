"""Pages as a headless Chromium shows them."""

import re
import shutil
import subprocess

import pytest


def opened(path, profile):
    """The page's HTML after its scripts have run; the test skips where there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--virtual-time-budget=5000", f"--user-data-dir={profile}", "--dump-dom",
         f"file://{path}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert not re.search(r"Uncaught|CONSOLE.*[Ee]rror", done.stderr), (path.name, done.stderr)
    return done.stdout
