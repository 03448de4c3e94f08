"""Tests of flow: known motion, errors of storage, and resumed extraction."""

import cv2
import h5py
import numpy as np
import pytest
from flow_files import PROVENANCE, write_flow
from hypothesis import given, settings
from hypothesis import strategies as st

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow import storage
from video_lstm.flow.methods import METHODS, compute_flow
from video_lstm.flow.storage import FlowStore, PartialFlow
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import Clip, write_clips


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


@pytest.fixture(scope="module")
def texture():
    noise = np.random.default_rng(0).random((100, 120)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)


def move(image, u, v):
    """Move everything in an image u pixels right and v pixels down."""
    matrix = np.array([[1, 0, u], [0, 1, v]], np.float32)
    size = image.shape[1::-1]
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def to_uint8(frames):
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("u, v", [(0.5, -0.25), (2.0, 1.0), (-3.0, 0.0)])
def test_flow_equals_a_known_translation(texture, method, u, v):
    frames = to_uint8(np.stack([texture, move(texture, u, v)]))
    (flow,) = compute_flow(frames, FlowSettings(method=method))
    assert flow.shape == (2, 100, 120) and flow.dtype == np.float32
    inner = flow[:, 10:-10, 10:-10]
    error = np.hypot(inner[0] - u, inner[1] - v)
    assert error.mean() < 0.15


@pytest.mark.parametrize("method", METHODS)
def test_constant_video_has_no_flow(method):
    frames = np.full((3, 40, 48, 3), 77, np.uint8)
    assert not compute_flow(frames, FlowSettings(method=method)).any()


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_of_a_pair_does_not_depend_on_earlier_frames(texture, method):
    frames = to_uint8(np.stack([move(texture, n, n / 2) for n in range(4)]))
    flow_settings = FlowSettings(method=method)
    whole = compute_flow(frames, flow_settings)
    parts = [compute_flow(frames[:2], flow_settings), compute_flow(frames[1:], flow_settings)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_colour_is_read_as_rgb_and_invalid_frames_are_refused(texture):
    grey = to_uint8(np.stack([texture, move(texture, 1, 0)]))
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_array_equal(
        compute_flow(colour, FlowSettings()), compute_flow(grey, FlowSettings())
    )
    for invalid in (grey.astype(np.float32), grey[:, :, :8], grey[:0]):
        with pytest.raises(ValueError):
            compute_flow(invalid, FlowSettings())


# Storage -------------------------------------------------------------------------------------


@given(
    st.floats(-100, 100, width=32),
    st.floats(0.5, 64, width=32),
)
@settings(max_examples=200, deadline=None)
def test_quantisation_error_is_at_most_half_a_step(displacement, bound):
    value = np.array([displacement], np.float32)
    stored = storage.quantise(value, bound)
    restored = storage.dequantise(stored, bound)
    clipped = np.clip(value, -bound, bound)
    assert abs(restored - clipped) <= bound / 254 * (1 + 1e-4)
    # Zero is exact, and quantisation is symmetric.
    assert storage.quantise(np.zeros(1), bound) == storage.ZERO
    assert storage.quantise(-value, bound) == 256 - stored.astype(int)


@pytest.fixture
def clips():
    random = np.random.default_rng(1)
    fields = [random.normal(0, 8, (n, 2, 20, 30)).astype(np.float32) for n in (3, 1, 5)]
    return [cv2.GaussianBlur(f.reshape(-1, 20, 30).transpose(1, 2, 0), (0, 0), 2)
            .transpose(2, 0, 1).reshape(f.shape) for f in fields]  # fmt: skip


@pytest.mark.parametrize("codec, error", [("png", 20 / 254 * 1.0001), ("jpeg", 0.8)])
def test_store_reads_any_flow_from_several_shards(tmp_path, clips, codec, error):
    flow_settings = FlowSettings(codec=codec)
    shards = [
        write_flow(tmp_path / "0.h5", clips[:1], flow_settings),
        write_flow(tmp_path / "1.h5", clips[1:], flow_settings, first_row=1),
    ]
    store = FlowStore(shards)
    assert [name.video for name in store.names] == ["00.avi", "01.avi", "02.avi"]
    for row, clip in enumerate(clips):
        assert store.num_flows(row) == len(clip)
        assert np.abs(store.read_flow(row, 0, len(clip)) - clip).max() < error
    np.testing.assert_array_equal(store.read_flow(2, 1, 2), store.read_flow(2, 0, 5)[1:3])
    with pytest.raises(IndexError):
        store.read_flow(0, 1, 3)


def test_shards_with_different_settings_are_refused(tmp_path, clips):
    first_path = write_flow(tmp_path / "0.h5", clips)
    second_path = write_flow(tmp_path / "1.h5", clips, FlowSettings(bound=10), first_row=3)
    with pytest.raises(UserError, match=r"1\.h5.*same settings"):
        FlowStore([first_path, second_path])
    with pytest.raises(UserError, match="expected each shard once"):
        FlowStore([first_path, first_path])


def test_damaged_image_is_reported(tmp_path, clips):
    path = write_flow(tmp_path / "0.h5", clips)
    with h5py.File(path, "r+") as file:
        file["encoded"][:20] = 0
    with pytest.raises(UserError, match=r"flow of 00\.avi.*damaged"):
        FlowStore([path]).read_flow(0, 0, 1)


def test_extraction_resumes_from_the_complete_clips_after_any_cut(tmp_path):
    path = tmp_path / "partial"
    images = [[b"abc", b"de"], [b"f"], [b"ghij", b"k", b"lm"]]
    partial = PartialFlow(path, "one")
    ends = []
    for clip in images:
        partial.append(clip)
        partial.end_clip()
        ends.append(path.stat().st_size)
    partial.close()
    whole = path.read_bytes()
    # Cut at any byte, also followed by zeros (blocks lost in a power failure).
    for cut in range(ends[0], len(whole) + 1):
        for tail in (b"", bytes(40)):
            path.write_bytes(whole[:cut] + tail)
            resumed = PartialFlow(path, "one")
            content = whole[:cut] + tail
            clip_count = sum(content[:end] == whole[:end] for end in ends)
            assert resumed.num_clips == clip_count
            for clip in images[clip_count:]:
                resumed.append(clip)
                resumed.end_clip()
            resumed.close()
            assert path.read_bytes() == whole
    damaged = bytearray(whole)
    damaged[ends[0] + 5] ^= 1
    path.write_bytes(damaged)
    resumed = PartialFlow(path, "one")
    assert resumed.num_clips == 1
    resumed.close()
    restarted = PartialFlow(path, "two")
    assert restarted.num_clips == 0
    restarted.close()


# The stage -----------------------------------------------------------------------------------


@pytest.fixture
def videos(tmp_path, texture):
    """Write three clips of 5, 1 and 300 frames in which a texture moves 1 pixel right per frame."""
    clips = []
    for name, frames in (("a.avi", 5), ("b.avi", 1), ("c.avi", 300)):
        code = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(tmp_path / name), code, 25, (120, 100))
        for n in range(frames):
            writer.write(cv2.cvtColor(to_uint8(np.roll(texture, n, 1)), cv2.COLOR_GRAY2BGR))
        writer.release()
        clips.append(Clip(name, 0, frames, frames, None, tmp_path / name))
    with artifacts.create(tmp_path / "clips.h5", "clips", PROVENANCE) as file:
        write_clips(file, clips, None)
    return tmp_path


def call_script(run_script, folder, output, *options, check=True):
    size = ("--flow.height", 64, "--flow.width", 80)
    inputs = ("--clips", folder / "clips.h5")
    return run_script("extract_flow", *inputs, *size, "--output", output, *options, check=check)


@pytest.mark.slow
def test_script_writes_flow_and_resumes_an_interrupted_shard(videos, run_script, tmp_path):
    whole, resumed = tmp_path / "whole.h5", tmp_path / "resumed.h5"
    call_script(run_script, videos, whole, "--threads", 2)
    store = FlowStore([whole])
    assert [store.num_flows(row) for row in range(3)] == [4, 1, 299]
    assert not store.read_flow(1, 0, 1).any()
    # 100 x 120 was scaled to cover 64 x 80.
    late = store.read_flow(2, 250, 49)[:, :, 8:-8, 8:-8]
    assert late.shape == (49, 2, 48, 64)
    assert np.abs(late.mean(axis=(0, 2, 3)) - [2 / 3, 0]).max() < 0.08

    (videos / "c.avi").rename(videos / "away.avi")
    failed = call_script(run_script, videos, resumed, check=False)
    assert failed.returncode == 1 and "c.avi" in failed.stderr
    (videos / "away.avi").rename(videos / "c.avi")
    partial = tmp_path / ".resumed.h5.partial"
    assert PartialFlow(partial, artifacts.identity(whole)).num_clips == 2
    # Complete clips are not computed again: their file does not even exist.
    (videos / "a.avi").unlink()
    call_script(run_script, videos, resumed)
    assert resumed.read_bytes() == whole.read_bytes()
    assert not partial.exists()
