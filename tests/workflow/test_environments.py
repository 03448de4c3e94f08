"""Environments of conda, and archives: what Snakemake makes of our files, by a conda that is none.

The stand-in makes environments whose Python is this one, and writes down what is installed by pip.
"""

import http.server
import os
import shutil
import subprocess
import sys
import threading
import zipfile

import pytest
from projects import ROOT, copy_code, snakemake

pytestmark = pytest.mark.slow

CONDA = r"""#!/bin/sh
home={home}
[ -e "$home/no-network" ] && case "$*" in *.yaml*|*--explicit*) exit 9;; esac
case "$*" in
    *--version) echo conda 24.9.0 ;;
    info*) echo '{{"conda_prefix": "'"$home"'", "platform": "linux-64"}}' ;;
    config*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    list*) echo {package} ;;
    *create*)
        for word; do
            [ "$last" = --prefix ] && prefix=$word
            last=$word
        done
        mkdir -p "$prefix/bin"
        cp "$home/python" "$prefix/bin/" ;;
esac
"""
PYTHON = r"""#!/bin/sh
echo "$*" >> {home}/calls
case "$*" in *"pip install"*) exec cat > {home}/installed;; esac
exec {python} "$@"
"""


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """A folder with the stand-in, first on the path."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    home, served = tmp_path / "conda", tmp_path / "served"
    (home / "bin").mkdir(parents=True)
    served.mkdir()
    with zipfile.ZipFile(served / "python-3.12.0-0.conda", "w") as package:
        package.writestr("metadata.json", "{}")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=served)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    package = f"http://127.0.0.1:{server.server_port}/python-3.12.0-0.conda"
    for name, text in (
        ("bin/conda", CONDA.format(home=home, package=package)),
        ("bin/activate", 'PATH="$1/bin:$PATH"\n'),
        ("python", PYTHON.format(home=home, python=sys.executable)),
    ):
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    yield home
    server.shutdown()


def test_an_archive_runs_elsewhere_in_an_environment_of_the_locked_packages(conda, tmp_path):
    project, there = copy_code(tmp_path / "project"), tmp_path / "there"
    for command in (("init", "-q"), ("add", "--all")):
        subprocess.run(["git", *command], cwd=project, check=True)
    target = "results/sequences/mnist.h5"
    snakemake(project, target, "--archive", tmp_path / "project.tar.gz")
    (conda / "no-network").touch()
    there.mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "project.tar.gz", "-C", there], check=True)
    (conda / "installed").unlink()
    snakemake(there, target, "--sdm", "conda")
    assert (there / target).exists()
    calls = (conda / "calls").read_text().splitlines()
    assert any(call.startswith("workflow_scripts/render_moving_mnist.py") for call in calls)
    locked = (ROOT / "envs/requirements.txt").read_text().splitlines()
    wanted = [line for line in locked if not line.startswith("#")]
    assert (conda / "installed").read_text().splitlines() == wanted
