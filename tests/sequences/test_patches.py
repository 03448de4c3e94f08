"""Patches: sampled positions, their videos, and mini-batches."""

import threading
from dataclasses import replace

import av
import h5py
import numpy as np
import pytest
import torch

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.sequences import patch_sampling
from video_lstm.sequences.fixed_test_sets import open_test_set
from video_lstm.sequences.patch_sampling import sample_patches, write_patches
from video_lstm.sequences.patches import Patches
from video_lstm.sequences.prefetch import Prefetcher
from video_lstm.settings.sequences import PatchSettings
from video_lstm.video.clips import Clip, write_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.files import FileTable, VideoFile
from video_lstm.video.sampling import convert_clip_rate

HEIGHT, WIDTH, FRAMES = 24, 40, 4
SETTINGS = PatchSettings(
    patch_size=8,
    height=HEIGHT,
    width=WIDTH,
    num_train_sequences=400,
    num_test_sequences=60,
    test_fraction=0.3,
    frame_rate=25.0,
)
PROVENANCE = artifacts.Provenance("test", {}, "")


@pytest.fixture
def clips(tmp_path):
    """Clips of videos of 40 frames: video 0 has two, that of video 5 is too short."""
    spans = [(0, 2, 9), (0, 20, 12), (1, 0, 30), (2, 5, 4), (3, 0, 10), (4, 1, 8), (5, 0, 3)]
    return [
        Clip(f"{number}.avi", first, frames, 40, 25.0, tmp_path / f"{number}.avi")
        for number, first, frames in spans
    ]


@pytest.fixture
def recorded(monkeypatch):
    """Videos whose pixels encode their origin: red the video, green the time, blue the position."""
    calls = []

    def read(path, first, count, *, rate, size, gray, frames):
        assert (rate, size, gray, frames) == (25.0, (HEIGHT, WIDTH), False, 40)
        calls.append((int(path.stem), first, count))
        pixels = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
        pixels[..., 0] = int(path.stem)
        pixels[..., 1] = np.arange(first, first + count)[:, None, None]
        pixels[..., 2] = np.arange(HEIGHT)[:, None] * 8 + np.arange(WIDTH) // 8
        return pixels

    monkeypatch.setattr(patch_sampling, "read_frames", read)
    return calls


def write(path, clips, threads=1, settings=SETTINGS, seed=0):
    patch_positions = sample_patches(clips, settings, FRAMES, seed)
    with artifacts.create(path, "patches", PROVENANCE) as file:
        write_patches(file, patch_positions, settings, FRAMES, threads)
    return path


def test_a_patch_is_one_position_through_consecutive_frames_of_one_clip(clips, recorded, tmp_path):
    with h5py.File(write(tmp_path / "patches.h5", clips)) as file:
        parts = {name: file[name][()] for name in ("train", "test")}
    spans = {0: ((2, 11), (20, 32)), 1: ((0, 30),), 2: ((5, 9),), 3: ((0, 10),), 4: ((1, 9),)}
    seen = {}
    for name, count in (("train", 400), ("test", 60)):
        patches = parts[name]
        assert patches.shape == (count, FRAMES, 8, 8, 3) and patches.dtype == np.uint8
        source, frame, position = (patches[..., channel].astype(int) for channel in range(3))
        assert (source == source[:, :1, :1, :1]).all()
        assert (frame == frame[:, :1, :1, :1] + np.arange(FRAMES)[:, None, None]).all()
        assert (position == position[:, :1]).all()
        assert (np.diff(position, axis=2) == 8).all()  # rows
        seen[name] = set(source.ravel())
        for v, start in zip(source[:, 0, 0, 0], frame[:, 0, 0, 0], strict=True):
            assert any(a <= start and start + FRAMES <= b for a, b in spans[v])
    assert not seen["train"] & seen["test"]
    assert seen["train"] | seen["test"] <= {0, 1, 2, 3, 4}


def test_times_and_places_are_uniform(clips):
    many = SETTINGS.model_copy(update={"num_train_sequences": 20_000})
    patch_positions = sample_patches(clips, many, FRAMES, seed=1)["train"]
    # Every first frame that leaves room for a sequence is as likely as any other.
    counts = np.concatenate([np.bincount(c.starts) for c in patch_positions])
    assert counts.sum() == 20_000
    assert (abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean())).all()
    rows, columns = np.concatenate([c.corners for c in patch_positions]).T
    assert (rows.min(), rows.max()) == (0, HEIGHT - 8)
    assert (columns.min(), columns.max()) == (0, WIDTH - 8)
    for values, count in ((rows, HEIGHT - 7), (columns, WIDTH - 7)):
        expected = 20_000 / count
        assert (abs(np.bincount(values) - expected) < 5 * np.sqrt(expected)).all()


def test_each_clip_is_decoded_once_and_threads_change_nothing(clips, recorded, tmp_path):
    one = write(tmp_path / "one.h5", clips)
    assert len(recorded) == len({(number, first) for number, first, _ in recorded}) == 6
    four = write(tmp_path / "four.h5", clips, threads=4)
    assert one.read_bytes() == four.read_bytes()
    other = write(tmp_path / "other.h5", clips, seed=1)
    assert one.read_bytes() != other.read_bytes()


def test_test_patches_do_not_depend_on_how_many_train(clips, recorded, tmp_path):
    less = SETTINGS.model_copy(update={"num_train_sequences": 50})
    with (
        h5py.File(write(tmp_path / "a.h5", clips)) as a,
        h5py.File(write(tmp_path / "b.h5", clips, settings=less)) as b,
    ):
        np.testing.assert_array_equal(a["test"][()], b["test"][()])


def test_training_patches_come_out_with_mean_0_and_deviation_1(clips, recorded, tmp_path):
    path = write(tmp_path / "patches.h5", clips)
    with h5py.File(path) as file:
        pixels = file["train"][()].astype(float)
        assert file.attrs["mean"] == pytest.approx(pixels.mean(), rel=1e-12)
        assert file.attrs["std"] == pytest.approx(pixels.std(), rel=1e-12)
        np.testing.assert_allclose(file["mean_frame"][()], pixels.mean((0, 1)), rtol=1e-12)
    source = Patches(path, "train", seed=3)
    assert (source.frames, source.frame_size) == (FRAMES, 192)
    batch = source.batch(5, 7)
    assert batch.shape == (FRAMES, 7, 192) and batch.dtype == torch.float32
    normalised = ((pixels - pixels.mean()) / pixels.std()).reshape(400, FRAMES, 192)
    for sequence in batch.swapaxes(0, 1).numpy():
        assert abs(normalised - sequence).max((1, 2)).min() < 1e-5
    with open_test_set(path) as test:
        assert (test.corpus, test.frame_size) == ("patches", 192)
        batches = torch.cat(list(test.batches(25, "cpu")), 1)
        images = test.to_uint8(batches)
        np.testing.assert_array_equal(images, test.pixels[()])
        constant = test.mean_frame_input("cpu").numpy()
    np.testing.assert_allclose(constant, normalised.mean((0, 1)), atol=1e-5)


def test_batches_depend_on_seed_and_step_and_exclude_the_validation_set(clips, recorded, tmp_path):
    path = write(tmp_path / "patches.h5", clips)
    with h5py.File(path, "r+") as file:  # rows that encode their number
        file["train"][...] = (np.arange(400) // 2).reshape(-1, 1, 1, 1, 1)
        file.attrs.update(mean=0.0, std=1.0)
    source = Patches(path, "train", seed=3)
    batch = source.batch(11, 64)
    assert torch.equal(Patches(path, "train", seed=3).batch(11, 64), batch)
    assert not torch.equal(source.batch(12, 64), batch)
    assert not torch.equal(Patches(path, "train", seed=4).batch(11, 64), batch)
    training_rows = set(
        torch.cat([source.batch(step, 500) for step in range(20)], 1).unique().tolist()
    )
    validation_rows = [batch.unique().tolist() for batch in source.validation(5)]
    assert training_rows == set(range(190))  # 380 of 400 rows
    assert len(validation_rows) == 4
    assert {row for rows in validation_rows for row in rows} == set(range(190, 200))
    assert [batch.shape[1] for batch in source.validation(64)] == [20]


def test_too_few_videos_are_an_error(clips):
    message = (
        "expected clips of at least 20 frames at 25 a second .* found 1; raise patches.frame_rate"
    )
    with pytest.raises(UserError, match=message):
        sample_patches(clips, SETTINGS, 20, seed=0)


def test_a_video_that_is_gone_is_named(clips, tmp_path):
    with pytest.raises(UserError, match=r"[0-4]\.avi: expected frames .* found: cannot be opened"):
        write(tmp_path / "patches.h5", clips)


def test_clips_at_another_rate_are_of_the_same_seconds(tmp_path):
    """Videos of 252 frames at 25 a second and of 151 at 15."""
    files = [
        VideoFile("fast.mp4", 101, 252, 40, 24, 25.0, 252 / 25, "ok", ""),
        VideoFile("slow.avi", 101, 151, 40, 24, 15.0, 151 / 15, "ok", ""),
    ]
    table = FileTable("unlabelled", 10.0, files)

    def spans(rate, *intervals, of=10.0):
        clips = [
            Clip(file.path, *interval, file.native_frames, of, tmp_path / file.path)
            for file in files
            for interval in intervals
        ]
        converted = convert_clip_rate(clips, table, rate)
        assert all(new == replace(old, first=new.first, frames=new.frames, rate=rate)
                   for old, new in zip(clips, converted, strict=True))  # fmt: skip
        return [(clip.first, clip.frames) for clip in converted]

    # From 1 to 3 seconds, and from 9.1 to 10.1, which is after the last frame.
    intervals = (10, 20), (91, 10)
    assert spans(10.0, *intervals) == [*intervals, *intervals]
    assert spans(None, *intervals) == [(25, 50), (228, 24), (15, 30), (137, 14)]
    assert spans(30.0, *intervals) == [(30, 60), (273, 30), (30, 60), (273, 29)]
    assert spans(3.0, *intervals) == [(3, 6), (28, 3), (3, 6), (28, 3)]
    # Clips of the files' own frames: 2 to 6 seconds of one, 3 1/3 to 10 of the other.
    assert spans(None, (50, 100), of=None) == [(50, 100)] * 2
    assert spans(10.0, (50, 100), of=None) == [(20, 40), (34, 66)]
    # No frame of a second lies in the interval.
    assert spans(1.0, (12, 5)) == [(2, 0)] * 2
    with pytest.raises(UserError, match="expected the videos of the clips, found no 'x'"):
        convert_clip_rate([Clip("x", 0, 1, 1, 10.0, tmp_path)], table, None)


def test_the_script_cuts_real_videos_at_their_own_rates(run_script, tmp_path):
    """From clips at 10 frames a second, of videos of 25 and of 15, whose frames roll a picture."""
    rng = np.random.default_rng(0)
    with artifacts.create(tmp_path / "clips.h5", "clips", PROVENANCE) as file:
        write_clips(file, [Clip(f"{n}.avi", 5, 8, 40, 10.0, tmp_path / f"{n}.avi")
                           for n in range(6)], 10.0)  # fmt: skip
    for number in range(6):
        base = rng.integers(256, size=(HEIGHT + 40, WIDTH, 3), dtype=np.uint8)
        with av.open(str(tmp_path / f"{number}.avi"), "w") as container:
            stream = container.add_stream("mpeg4", rate=15 if number % 2 else 25)
            stream.width, stream.height, stream.bit_rate = WIDTH, HEIGHT, 2_000_000
            for frame in range(40):
                video_frame = av.VideoFrame.from_ndarray(
                    base[frame : frame + HEIGHT], format="rgb24"
                )
                container.mux(stream.encode(video_frame))
            container.mux(stream.encode())
    settings = SETTINGS.model_copy(update={"frame_rate": None})
    probed = "--probed", tmp_path / "probed.h5"
    run_script("probe_videos", "--root", tmp_path, "--output", probed[1], "--video.frame_rate", 10)
    run_script(
        *("cut_patches", "--clips", tmp_path / "clips.h5", "--output", tmp_path / "p.h5", *probed),
        *("--frames", FRAMES, "--patches", settings.model_dump_json(), "--threads", 2),
    )
    # From 0.5 to 1.3 seconds.
    clips = [
        Clip(f"{n}.avi", *((8, 12) if n % 2 else (13, 20)), 40, None, tmp_path / f"{n}.avi")
        for n in range(6)
    ]
    patch_positions = sample_patches(clips, settings, FRAMES, seed=0)
    with h5py.File(tmp_path / "p.h5") as file:
        assert np.isnan(file.attrs["rate"]) and Patches(tmp_path / "p.h5").pixels.rate is None
        for name in ("train", "test"):
            rows = iter(file[name][()])
            for clip_patches in patch_positions[name]:
                whole = read_frames(clip_patches.clip.path)
                for start, (row, column) in zip(
                    clip_patches.starts, clip_patches.corners, strict=True
                ):
                    begin = clip_patches.clip.first + start
                    window = whole[begin : begin + FRAMES, row : row + 8, column : column + 8]
                    np.testing.assert_array_equal(next(rows), window)


def test_prefetching_returns_the_batch_or_error_of_each_step():
    """Consecutive, repeated and skipped steps and other sizes give what a direct call gives."""
    calls = []

    def read(step, size):
        calls.append((step, threading.current_thread() is threading.main_thread()))
        if step == 9:
            raise OSError("the disk is gone")
        return torch.tensor([step, size])

    ahead = Prefetcher(read)
    order = [(0, 2), (1, 2), (2, 2), (2, 2), (5, 2), (6, 3), (7, 3), (8, 3)]
    assert [tuple(ahead(*request).tolist()) for request in order] == order
    with pytest.raises(OSError, match="disk"):
        ahead(9, 3)
    assert [step for step, is_main_thread in calls if is_main_thread] == [0, 2, 5, 6]
