"""The ffmpeg program: one that can do what is needed is found, whatever is on PATH."""

import numpy as np
import pytest
from video_files import PROGRAM, program_frames

from video_lstm.errors import UserError
from video_lstm.video import ffmpeg_program
from video_lstm.video.write_video import save_animation

REFUSES = 'case "$*" in *{0}*) echo "{1} {0}" >&2; exit 1;; esac'
REFUSALS = {
    "4.2": REFUSES.format("fps_mode", "Unrecognized option"),
    "without libx264": REFUSES.format("libx264", "Unknown encoder"),
    "a missing library": "echo 'error while loading shared libraries: libavdevice' >&2; exit 127",
    "killed": "kill -9 $$",
    "hanging": "exec sleep 60",
    "of another machine": None,
    "another program of that name": "echo usage: ffmpeg; exit 0",
    "garbage": "head -c 100000 /dev/urandom; head -c 100000 /dev/urandom >&2; exit 3",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put an ffmpeg on PATH: the bundled one after some lines of shell."""

    def install(lines):
        path = tmp_path / "bin/ffmpeg"
        path.parent.mkdir(exist_ok=True)
        script = "\x7fELF" if lines is None else f'#!/bin/sh\n{lines}\nexec {PROGRAM} "$@"\n'
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=":")
        ffmpeg_program._choose_program.cache_clear()
        return str(path)

    yield install
    ffmpeg_program._choose_program.cache_clear()


@pytest.mark.parametrize("kind", REFUSALS)
def test_program_without_a_required_feature_is_not_used(installed, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(ffmpeg_program, "_TRIAL_SECONDS", 2.0)
    installed(REFUSALS[kind])
    assert ffmpeg_program.ffmpeg_program() == PROGRAM
    film = tmp_path / "film.mp4"
    save_animation(film, np.full((5, 48, 64, 3), 99, np.uint8), 25)
    ffmpeg_program.transcode(film, tmp_path / "copy.mp4", 20)
    for path in (film, tmp_path / "copy.mp4"):
        assert len(program_frames(path, 48, 64, "gray")) == 5


def test_a_program_that_can_is_taken(installed):
    path = installed(":")
    assert ffmpeg_program.ffmpeg_program() == path


def test_lack_of_a_suitable_program_is_reported_in_one_line(installed, monkeypatch):
    path = installed(REFUSALS["4.2"])
    monkeypatch.setattr(ffmpeg_program.imageio_ffmpeg, "get_ffmpeg_exe", lambda: path)
    with pytest.raises(UserError) as error:
        ffmpeg_program.ffmpeg_program()
    line = str(error.value)
    assert line.startswith("ffmpeg: expected a program with fps_mode") and "\n" not in line
    assert f"{path} lacks a required feature (Unrecognized option fps_mode)" in line


@pytest.mark.slow
def test_the_doctor_names_the_program(installed, tmp_path, run_script):
    installed(REFUSALS["without libx264"])
    done = run_script("check_machine", "--config", "tests/tiny.yaml", check=False)
    assert f"({PROGRAM})" in done.stdout
    assert "lacks a required feature (Unknown encoder libx264)" in done.stderr
