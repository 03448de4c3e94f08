"""Brox flow: known motion against other methods, invariants, and its paths against each other."""

import cv2
import numpy as np
import pytest
import torch
from known_motion import MOTIONS, endpoint_error, known_pair
from sklearn.datasets import load_sample_images

from video_lstm.flow.brox import brox_flow
from video_lstm.flow.methods import compute_flow
from video_lstm.settings.percepts import BroxSettings, FlowSettings


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1), torch.set_num_threads(1)
    yield
    cv2.setNumThreads(threads[0]), torch.set_num_threads(threads[1])


@pytest.fixture(scope="module")
def pictures():
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in load_sample_images().images]


@pytest.fixture(scope="module")
def pairs(pictures):
    """Every motion, without noise and with it."""
    return [
        known_pair(motion, pictures[seed], pictures[1 - seed], seed, (120, 160))
        for motion in MOTIONS
        for seed in (0, 1)
    ]


def flow(pair, **options):
    frames = (torch.from_numpy(frame)[None, None] for frame in (pair.first, pair.second))
    return brox_flow(*frames, BroxSettings(), **options)[0].numpy()


@pytest.mark.slow
def test_it_is_nearer_to_known_motion_than_opencv(pairs):
    def errors(calc):
        return np.array([endpoint_error(calc(pair), pair) for pair in pairs])

    def opencv(method):
        return errors(lambda p: method.calc(p.first, p.second, None).transpose(2, 0, 1))

    ours = errors(flow)
    assert ours.mean() <= opencv(cv2.optflow.createOptFlow_DeepFlow()).mean()
    assert ours.mean() <= opencv(cv2.optflow.DualTVL1OpticalFlow.create()).mean()
    dis = opencv(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
    assert ours.mean() <= 0.75 * dis.mean()
    clean = dict(zip(MOTIONS, ours[::2], strict=True))
    assert clean["subpixel"] < 0.1 and clean["translation"] < 0.1


@pytest.mark.parametrize("size", [(61, 47), (20, 90), (16, 16), (3, 5)])
def test_compiled_code_computes_what_the_reference_does(pictures, size):
    pair = known_pair("smooth", *pictures, seed=0, size=(128, 128))
    cut = pair._replace(first=pair.first[: size[0], : size[1]].copy(),
                        second=pair.second[: size[0], : size[1]].copy())  # fmt: skip
    fast, reference = flow(cut), flow(cut, reference=True)
    assert fast.shape == (2, *size) and fast.dtype == np.float32
    np.testing.assert_allclose(fast, reference, atol=5e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_what_a_cpu_does(pairs):
    first, second = (torch.stack([torch.from_numpy(p[at])[None] for p in pairs]) for at in (1, 2))
    there = brox_flow(first.cuda(), second.cuda(), BroxSettings()).cpu()
    assert (there - brox_flow(first, second, BroxSettings())).abs().mean() < 5e-3


def test_a_pair_does_not_depend_on_its_batch_and_colour_is_rgb(pairs):
    first, second = (
        torch.stack([torch.from_numpy(p[at])[None] for p in pairs[:3]]) for at in (1, 2)
    )
    together = brox_flow(first, second, BroxSettings())
    for index, pair in enumerate(pairs[:3]):
        np.testing.assert_array_equal(together[index], flow(pair))
    colour = brox_flow(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1), BroxSettings())
    torch.testing.assert_close(colour, together, atol=0.05, rtol=0)
    video = np.stack([pairs[0].first, pairs[0].second, pairs[0].first, pairs[0].second])
    np.testing.assert_array_equal(
        *(compute_flow(video, FlowSettings(method="brox", batch_size=size)) for size in (1, 2))
    )


@pytest.mark.parametrize("motion", ["subpixel", "translation"])
def test_swapped_frames_give_about_the_opposite_flow(pictures, motion):
    pair = known_pair(motion, *pictures, seed=0, size=(120, 160))
    forth, back = flow(pair), flow(pair._replace(first=pair.second, second=pair.first))
    inner = (forth + back)[:, 12:-12, 12:-12]
    assert np.abs(inner).mean() < 0.05 < np.abs(forth).mean()


def test_what_does_not_move_has_no_flow_and_nothing_is_ever_nan(pairs):
    random = np.random.default_rng(0)
    noise = random.integers(0, 2, (4, 33, 50)).astype(np.float32) * 255
    board = np.indices((33, 50)).sum(0) % 2 * 255.0
    black, white = np.zeros((33, 50)), np.full((33, 50), 255.0)
    for still in (black, white, noise[0]):
        assert not flow(pairs[0]._replace(first=still, second=still)).any()
    spots = black.copy(), black.copy()
    spots[0][0, 0] = spots[1][32, 49] = 255
    for first, second in ((black, white), (noise[0], noise[1]), (board, 255 - board), spots):
        estimate = flow(pairs[0]._replace(first=first, second=second))
        assert np.isfinite(estimate).all() and np.abs(estimate).max() < 200


def test_the_fast_preset_is_a_word(pairs):
    fast = FlowSettings.model_validate({"method": "brox", "brox": "fast"}).brox
    assert fast == BroxSettings(scale_factor=0.7, inner_iterations=2)
