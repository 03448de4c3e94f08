"""What all scripts share: typed options, errors in one line, tracebacks in the log."""

import signal
import subprocess
import sys
import time

import pytest
from projects import ROOT

SCRIPTS = ROOT / "workflow_scripts"

SCRIPT = '''
"""Make a thing.

It reads clips.
"""
import sys, time
sys.path.insert(0, %r)
from pathlib import Path
from video_lstm.command_line import CommandLine, run
from video_lstm.errors import UserError
from video_lstm.settings.percepts import FlowSettings

class Arguments(CommandLine):
    clips: list[Path]
    """What it is made of."""
    fail: str = "no"
    flow: FlowSettings = FlowSettings()

def main(arguments):
    if arguments.fail == "user":
        raise UserError("clips.h5: expected a, found b; do c")
    if arguments.fail == "bug":
        [][1]
    if arguments.fail == "sleep":
        print("ready", flush=True)
        time.sleep(30)
    print([path.name for path in arguments.clips], arguments.flow.method, arguments.flow.bound)
    print(arguments.provenance({}).settings)

run(main, Arguments)
'''


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "make_thing.py"
    path.write_text(SCRIPT % str(SCRIPTS))

    def call(*options):
        command = [sys.executable, path, "--clips", "a b.h5", "c,d.h5", *options]
        return subprocess.run(command, capture_output=True, text=True)

    call.path = path
    return call


def test_sections_are_json_and_dotted_options_override_them(script):
    section, key = ["--flow", '{"method": "farneback", "bound": 8}'], ["--flow.bound", "4"]
    for options in (section + key, key + section):
        first_line = script(*options).stdout.splitlines()[0]
        assert first_line == "['a b.h5', 'c,d.h5'] farneback 4.0"


def test_paths_logs_and_threads_are_not_in_the_provenance(script, tmp_path):
    first = script("--log", str(tmp_path / "a.log"), "--threads", "2").stdout.splitlines()[1]
    assert first == script().stdout.splitlines()[1]
    assert "clips" not in first
    assert "'bound': 20.0" in first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--flow", '{"metod": 1}'], "flow.metod: Extra inputs are not permitted"),
        (["--flow", "{"], "flow: expected JSON, found {"),
        (["--flow.bound", "["], "flow.bound: expected a number, a word or a list, found ["),
        (
            ["--flow", '{"brox": "fast"}', "--flow.brox.alpha", "1"],
            "flow.brox.alpha: expected an object with keys for its section, found 'fast'",
        ),
        (["--flow.bound", "-3"], "flow.bound: Input should be greater than 0"),
        (["--clip", "x"], "unrecognized arguments: --clip"),
    ],
)
def test_wrong_options_are_usage_errors(script, options, message):
    done = script(*options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_one_line_and_its_traceback_is_in_the_log(script, tmp_path):
    log = tmp_path / "logs" / "job.log"
    done = script("--fail", "user", "--log", log)
    assert (done.returncode, done.stderr) == (
        1,
        "make_thing: clips.h5: expected a, found b; do c\n",
    )
    done = script("--fail", "bug", "--log", log)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert (
        f"unexpected IndexError: list index out of range; the traceback is in {log}" in done.stderr
    )
    assert log.read_text().count("Traceback") == 2


def test_sigterm_stops_a_script_with_one_line(script):
    command = [sys.executable, script.path, "--clips", "a", "--fail", "sleep"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as job:
        assert job.stdout.readline() == "ready\n"
        started = time.monotonic()
        job.send_signal(signal.SIGTERM)
        _, errors = job.communicate(timeout=20)
    assert job.returncode == 143
    assert errors == "make_thing: stopped by SIGTERM; run the same command to resume\n"
    assert time.monotonic() - started < 15


def test_help_documents_every_option(script):
    done = subprocess.run([sys.executable, script.path, "--help"], capture_output=True, text=True)
    text = " ".join(done.stdout.split())
    assert "Make a thing." in text
    assert "--clips PATH [PATH ...] What it is made of." in text
    assert "--flow.codec {png,jpeg}" in text and "--flow.jpeg_quality INT" in text
    assert "--flow JSON" in text and "--flow.bound NUMBER" in text
    assert "Displacements are clipped to +-bound pixels" in text
