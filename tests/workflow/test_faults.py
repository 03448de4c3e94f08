"""A full disk, a read-only folder, too little memory, SIGTERM: a message in one line, and resuming.

Kills at random moments are in test_kills.py, of scripts also in test_percepts.py and
test_pretraining.py.
"""

import os
import resource
import signal
import subprocess
import sys
import time

import h5py
import pytest
import torch
from faults import scripts
from projects import CONFIG, ROOT, copy, snakemake
from video_files import X264, make

from video_lstm import command_line
from video_lstm.settings.training import TrainingSettings

SMALL = (
    '{"videos_per_class": 2, "labelled_seconds": 1.2, "unlabelled_videos": 2,'
    ' "unlabelled_seconds": 2,'
    ' "actions": ["walk", "sit"]}'
)


def as_root(*command):
    """Run a command as root; skip the test if that is not allowed."""
    words = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*words, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs to mount a file system: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A separate disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    as_root("mount", "-t", "tmpfs", "-o", f"size=8m,uid={os.geteuid()}", "none", folder)
    yield folder
    as_root("umount", "--lazy", folder)


def fill(path, free):
    """Fill a disk except for some bytes.

    Args:
        path: File to write.
        free: Number of bytes to leave free.
    """
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(file.tell() - free, 0))


@pytest.fixture(scope="module")
def clips(tmp_path_factory, run_script):
    """Clips of videos."""
    folder = tmp_path_factory.mktemp("clips")
    run_script("render_demo", "--output", folder / "demo", "--demo", SMALL)
    probed, clips = folder / "probed.h5", folder / "clips.h5"
    run_script("probe_videos", "--root", folder / "demo/unlabelled", "--output", probed)
    options = ("--probed", probed, "--output", clips)
    run_script("sample_clips", *options, "--clip-seconds", 2, "--hours", 1)
    return "--clips", clips


FRAMES = ("--frames", 8)
STAGES = {
    "render_demo": (20_000, ("--demo", SMALL)),
    "cut_patches": (60_000, (*FRAMES, "--patches",
                             '{"num_train_sequences": 99, "num_test_sequences": 9}')),
    "extract_flow": (20_000, ("--flow", '{"height": 96, "width": 128}')),
    "extract_percepts": (20_000, ("--percepts", '{"height": 64, "width": 64, "crop_size": 64,'
                                  ' "batch_size": 4, "backend": "torch"}')),
    "pretrain": (60_000, ("--variant", "composite", "--source", "mnist", "--mnist",
                          '{"image_size": 32, "digit_size": 14}', "--model",
                          '{"hidden_size": 32, "input_frames": 4, "future_frames": 4, "training":'
                          ' {"steps": 3, "batch_size": 4}}', "--checkpoint-seconds", "0.0001")),
}  # fmt: skip
"""For each script, too few bytes of free disk space, and its options."""


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_reported_and_with_free_space_the_same_command_succeeds(
    disk, clips, run_script, stage
):
    free, options = STAGES[stage]
    if stage in ("cut_patches", "extract_flow", "extract_percepts"):
        options = (*options, *clips)
    if stage == "cut_patches":
        options = (*options, "--probed", clips[1].with_name("probed.h5"))
    if stage == "extract_percepts":
        options = (*options, "--cache", disk / "cache")
    if stage == "pretrain":
        options = (*options, "--checkpoints", disk / "checkpoints")
    output = disk / "new" / "output.h5"
    options = (*options, "--output", output, "--log", disk / "log")
    fill(disk / "fill", free)
    done = run_script(stage, *options, check=False)
    assert done.returncode == 1
    *progress, line = done.stderr.splitlines()
    assert line.startswith(f"{stage}: {disk}/")
    assert line.endswith(
        ": cannot be written (No space left on device); free space or choose another place"
    )
    assert all(line.startswith(f"{stage}: ") for line in progress), done.stderr
    assert not output.exists() and not list(disk.rglob("*.tmp"))
    assert not list(disk.rglob("*.safetensors"))
    (disk / "fill").unlink()
    run_script(stage, *options)
    assert output.is_dir() if stage == "render_demo" else h5py.is_hdf5(output)
    assert not list(disk.rglob(".*.tmp")) and not list(disk.rglob(".*.partial"))


@pytest.mark.slow
def test_a_full_disk_does_not_exclude_a_video(disk, tmp_path, run_script):
    """The reader refuses the video, and there is no space for a transcoded copy."""
    parts = [make(tmp_path / f"{size}.ts", X264, 1, size) for size in ("160x120", "96x80")]
    (tmp_path / "root").mkdir()
    (tmp_path / "root/good.ts").write_bytes(parts[0].read_bytes())
    (tmp_path / "root/changing.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    options = (
        "--root",
        tmp_path / "root",
        "--transcoded",
        disk / "copies",
        "--output",
        tmp_path / "v.h5",
    )
    fill(disk / "fill", 4096)
    done = run_script("probe_videos", *options, check=False)
    assert done.returncode == 1 and not (tmp_path / "v.h5").exists()
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"probe_videos: {disk}/copies/") and "(No space left on device)" in line
    (disk / "fill").unlink()
    assert "2 of 2 videos can be used" in run_script("probe_videos", *options).stderr


def test_a_folder_that_is_read_only_is_named(disk, checkout, tmp_path, run_script):
    project = copy(checkout, tmp_path / "project")
    (project / "results").symlink_to(disk)
    as_root("mount", "-o", "remount,ro", disk)
    done = run_script(
        "render_moving_mnist", *FRAMES, "--output", disk / "sequences/mnist.h5", check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"render_moving_mnist: {disk}/sequences/mnist.h5: cannot be written (Read-only file "
        "system); free space or choose another place\n"
    )
    done = snakemake(project, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert f"{project}/results: expected a folder to write to, found one that is" in done.stdout


def limited(script, *options):
    """Call a script with at most 8 GB of address space."""
    return subprocess.run(
        [sys.executable, ROOT / "workflow_scripts" / f"{script}.py", *map(str, options)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "lower"),
    [
        (
            "pretrain",  # in torch
            ("--variant", "composite", "--source", "mnist", "--model.hidden_size", 10**6),
            "model.training.batch_size (now 128) or model.hidden_size (now 1000000) or "
            "mnist.image_size (now 64)",
        ),
        (
            "extract_percepts",
            ("--percepts.batch_size", 10**6),
            "percepts.batch_size (now 1000000)",
        ),  # NumPy
        (
            "extract_flow",  # OpenCV
            ("--flow", '{"height": 200000, "width": 200000, "batch_size": 2}'),
            "flow.batch_size (now 2) or flow.height (now 200000) or flow.width (now 200000)",
        ),
    ],
)
def test_too_little_memory_is_reported_with_settings_to_lower(
    tmp_path, clips, script, options, lower
):
    options = (*options, "--output", tmp_path / "o.h5", "--log", tmp_path / "log")
    inputs = ("--checkpoints", tmp_path) if script == "pretrain" else clips
    options = (*options, *inputs)
    done = limited(script, *options)
    assert done.returncode == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"{script}: out of memory") and f"; lower {lower}" in line
    assert line.endswith(", or give the job more memory")
    assert "Traceback" not in done.stderr and "Traceback" in (tmp_path / "log").read_text()
    assert {path.suffix for path in tmp_path.glob("*.h5*")} <= {".partial"}


def test_too_little_gpu_memory_is_reported_too(monkeypatch, capsys):
    class Arguments(command_line.CommandLine):
        training: TrainingSettings = TrainingSettings(batch_size=512)

    def main(arguments):
        raise torch.cuda.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of ..."
        )

    monkeypatch.setattr(sys, "argv", ["pretrain.py"])
    with pytest.raises(SystemExit, match="1"):
        command_line.run(main, Arguments)
    assert capsys.readouterr().err == (
        "pretrain: out of memory (CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a "
        "total capacity of ...); lower training.batch_size (now 512), or give the job more memory\n"
    )


def test_snakemake_stopped_by_sigterm_lets_training_write_a_checkpoint(checkout, tmp_path):
    """SIGTERM to Snakemake alone; the second run resumes from the checkpoint."""
    project = copy(checkout, tmp_path / "project")
    target = "results/pretrain/mnist/pixels/composite.h5"
    changed = ["pretraining={mnist: {training: {steps: 400}}}", "checkpoint_seconds=0.1"]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", target]
    command += ["--configfile", CONFIG, "--config", *changed]
    with subprocess.Popen(
        command, cwd=project, stdout=-1, stderr=-2, text=True, start_new_session=True
    ) as run:
        while not any((project / "results").glob("checkpoints/*.safetensors")):
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        output, _ = run.communicate(timeout=60)
        assert not scripts(run.pid)
    assert run.returncode != 0
    assert "pretrain: stopped by SIGTERM; run the same command to resume" in output
    assert not (project / target).exists()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (project / "results/logs/pretrain/mnist_pixels_composite.log").read_text().count(
        "resuming"
    ) == 1
    assert not list((project / "results/checkpoints").iterdir())
