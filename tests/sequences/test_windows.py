"""Windows and blocks of percepts: sampled uniformly, padded and masked correctly."""

import ctypes

import numpy as np
import pytest
import torch

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.sequences import percepts
from video_lstm.sequences.percepts import (
    PerceptStore,
    PerceptWindows,
    block_starts,
    hold_out_videos,
)
from video_lstm.sequences.prefetch import Prefetcher, read_ahead
from video_lstm.video.clips import ClipName, write_names

NOTHING = artifacts.Provenance("test", {}, "0")


@pytest.fixture
def store(tmp_path):
    """Two shards; percept t of clip c is (100 c + t, -t, c)."""
    lengths = {0: 5, 1: 16, 4: 17, 2: 24, 3: 25}
    for name, rows in (("a.h5", [0, 1, 4]), ("b.h5", [2, 3])):
        parts = [
            np.stack([100 * c + np.arange(n), -np.arange(n), np.full(n, c)], 1)
            for c, n in lengths.items()
            if c in rows
        ]
        with artifacts.create(tmp_path / name, "percepts", NOTHING) as file:
            file["percepts"] = np.concatenate(parts).astype(np.float16)
            file.attrs["rate"] = np.nan
            write_names(file, [ClipName(f"{c}.avi", 0) for c in rows])
            file["clip_offsets"] = np.cumsum([0, *map(len, parts)])
    return PerceptStore([tmp_path / "a.h5", tmp_path / "b.h5"])


def test_the_store_maps_clips_of_all_shards(store, tmp_path):
    assert [name.video[0] for name in store.names] == list("01234") and store.dim == 3
    assert [store.length(row) for row in range(5)] == [5, 16, 24, 25, 17]
    for row in range(5):
        clip = store.clip(row)
        assert clip.dtype == np.float16 and not clip.flags.writeable
        assert clip[:, 0].tolist() == list(range(100 * row, 100 * row + store.length(row)))
    with pytest.raises(UserError, match=r"a\.h5: expected each shard once"):
        PerceptStore([tmp_path / "a.h5", tmp_path / "a.h5"])


def test_windows_are_slices_of_clips(store):
    windows = PerceptWindows(store, [0, 2, 3], frames=16, seed=3)
    batch = windows.batch(0, 3000)
    assert batch.shape == (16, 3000, 3) and batch.dtype == torch.float32
    seen = {}
    for window in batch.unbind(1):
        clip, start = int(window[0, 2]), int(-window[0, 1])
        indices = np.minimum(np.arange(start, start + 16), store.length(clip) - 1)
        np.testing.assert_array_equal(window.numpy(), store.clip(clip)[indices].astype(np.float32))
        seen[clip, start] = seen.get((clip, start), 0) + 1
    # All 1 + 9 + 10 windows occur, equally often.
    assert sorted(seen) == [(0, 0)] + [(2, s) for s in range(9)] + [(3, s) for s in range(10)]
    assert min(seen.values()) > 100 and max(seen.values()) < 200


def test_a_batch_depends_only_on_seed_and_step(store):
    first, second = (PerceptWindows(store, range(5), 4, seed=1) for _ in range(2))
    expected = first.batch(7, 20)
    second.batch(3, 20)
    assert torch.equal(second.batch(7, 20), expected)
    assert not torch.equal(first.batch(8, 20), expected)
    assert not torch.equal(PerceptWindows(store, range(5), 4, seed=2).batch(7, 20), expected)


def test_windows_of_a_large_store_are_read_ahead(store, monkeypatch):
    """The parts of the files that are read ahead are those of the windows."""
    parts = []
    monkeypatch.setattr(percepts, "_READ_AHEAD_FROM", 0)
    monkeypatch.setattr(percepts, "read_ahead", lambda *arguments: parts.append(arguments))
    windows = PerceptWindows(store, [2, 3], 8, seed=1)
    batch = windows.batch(0, 20)
    [(addresses, size)] = parts
    content = [
        np.frombuffer((ctypes.c_char * size).from_address(address), np.float16).reshape(8, 3)
        for address in addresses.tolist()
    ]
    np.testing.assert_array_equal(batch.numpy(), np.stack(content, 1).astype(np.float32))
    read_ahead(addresses, size)  # changes nothing
    assert torch.equal(windows.batch(0, 20), batch)


def test_cached_and_prefetched_windows_are_the_same(store):
    expected_windows, cached, ahead = (
        PerceptWindows(store, range(5), 16, seed=1) for _ in range(3)
    )
    cached._cache_on_device()  # as on a GPU with enough memory, and one without
    ahead._read = Prefetcher(ahead._read_batch)
    for step, size in ((0, 30), (1, 30), (2, 9), (1, 30)):
        expected = expected_windows.batch(step, size)
        assert torch.equal(cached.batch(step, size), expected)
        assert torch.equal(ahead.batch(step, size), expected)


def test_validation_batches_are_fixed_and_of_held_out_clips(store):
    windows = PerceptWindows(store, [1, 4], 8, seed=0, held_out=[0, 2, 3])
    parts = windows.validation(4)
    assert [part.shape[1] for part in parts] == [4, 1]
    starts = [tuple(w[0, [2, 1]].int().tolist()) for part in parts for w in part.unbind(1)]
    assert starts == [(0, 0), (2, 0), (2, -16), (3, 0), (3, -17)]
    assert sum(part.shape[1] for part in windows.validation(4, limit=3)) == 3
    assert PerceptWindows(store, [1], 8, seed=0).validation(4) == []


def test_several_stores_are_one_corpus(store):
    both = PerceptWindows([store, store], [[0], [2, 3]], 5, seed=0)
    assert set(both.batch(0, 500)[0, :, 2].int().tolist()) == {0, 2, 3}
    with pytest.raises(UserError, match="found none"):
        PerceptWindows(store, [], 5, seed=0)


def test_videos_are_held_out_whole():
    rows, videos = np.arange(40), np.repeat(np.arange(10), 4)
    training, validation = hold_out_videos(rows, videos, fraction=0.2, seed=5)
    assert len(validation) == 8 and sorted([*training, *validation]) == rows.tolist()
    assert not set(videos[training]) & set(videos[validation])
    assert [part.tolist() for part in hold_out_videos(rows, videos, 0.2, 5)] == [
        training.tolist(),
        validation.tolist(),
    ]
    assert hold_out_videos(np.arange(3), np.zeros(3), 0.5, 0)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("length", "starts"),
    [(1, [0]), (5, [0]), (16, [0]), (17, [0]), (24, [0, 8]), (25, [0, 8]), (32, [0, 8, 16])],
)
def test_blocks_start_at_every_stride_while_they_fit(length, starts):
    assert block_starts(length, frames=16, stride=8) == starts


def test_blocks_of_short_clips_are_padded_and_masked(store):
    for row, starts in ((0, [0]), (1, [0]), (4, [0]), (2, [0, 8]), (3, [0, 8])):
        blocks, mask = store.blocks(row, 16, 8)
        assert blocks.shape == (len(starts), 16, 3) and mask.shape == blocks.shape[:2]
        assert (-blocks[:, 0, 1]).tolist() == starts
        length = store.length(row)
        assert mask.sum(1).tolist() == [min(16, length)] * len(starts)
        covered = blocks[mask][:, 0] - 100 * row
        assert set(covered.astype(int).tolist()) == set(
            range(length - length % 8 if length > 16 else length)
        )
