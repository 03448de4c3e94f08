"""Tests of Brox flow: known motion, invariants, and compiled code against the reference."""

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
    """Every known motion, without noise and with it."""
    return [
        known_pair(motion, pictures[seed], pictures[1 - seed], seed, (120, 160))
        for motion in MOTIONS
        for seed in (0, 1)
    ]


def compute_brox(pair, **options):
    frames = (torch.from_numpy(frame)[None, None] for frame in (pair.first, pair.second))
    return brox_flow(*frames, BroxSettings(), **options)[0].numpy()


@pytest.mark.slow
def test_endpoint_error_is_below_that_of_opencv(pairs):
    def errors(calc):
        return np.array([endpoint_error(calc(pair), pair) for pair in pairs])

    def opencv(method):
        return errors(lambda p: method.calc(p.first, p.second, None).transpose(2, 0, 1))

    brox_errors = errors(compute_brox)
    assert brox_errors.mean() <= opencv(cv2.optflow.createOptFlow_DeepFlow()).mean()
    assert brox_errors.mean() <= opencv(cv2.optflow.DualTVL1OpticalFlow.create()).mean()
    dis_errors = opencv(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
    assert brox_errors.mean() <= 0.75 * dis_errors.mean()
    noiseless = dict(zip(MOTIONS, brox_errors[::2], strict=True))
    assert noiseless["subpixel"] < 0.1 and noiseless["translation"] < 0.1


@pytest.mark.parametrize("size", [(61, 47), (20, 90), (24, 64), (16, 16), (3, 5)])
def test_compiled_code_agrees_with_the_reference(pictures, size):
    pair = known_pair("smooth", *pictures, seed=0, size=(128, 128))
    cropped = pair._replace(first=pair.first[: size[0], : size[1]].copy(),
                        second=pair.second[: size[0], : size[1]].copy())  # fmt: skip
    fast, reference = compute_brox(cropped), compute_brox(cropped, reference=True)
    assert fast.shape == (2, *size) and fast.dtype == np.float32
    np.testing.assert_allclose(fast, reference, atol=5e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(pairs):
    first, second = (
        torch.stack([torch.from_numpy(pair[field])[None] for pair in pairs]) for field in (1, 2)
    )
    gpu_flow = brox_flow(first.cuda(), second.cuda(), BroxSettings()).cpu()
    assert (gpu_flow - brox_flow(first, second, BroxSettings())).abs().mean() < 5e-3


def test_flow_does_not_depend_on_the_batch_and_colour_is_rgb(pairs):
    first, second = (
        torch.stack([torch.from_numpy(pair[field])[None] for pair in pairs[:3]]) for field in (1, 2)
    )
    batch_flow = brox_flow(first, second, BroxSettings())
    for index, pair in enumerate(pairs[:3]):
        np.testing.assert_array_equal(batch_flow[index], compute_brox(pair))
    colour = brox_flow(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1), BroxSettings())
    torch.testing.assert_close(colour, batch_flow, atol=0.05, rtol=0)
    video = np.stack([pairs[0].first, pairs[0].second, pairs[0].first, pairs[0].second])
    np.testing.assert_array_equal(
        *(compute_flow(video, FlowSettings(method="brox", batch_size=size)) for size in (1, 2))
    )


@pytest.mark.parametrize("motion", ["subpixel", "translation"])
def test_swapped_frames_have_about_the_opposite_flow(pictures, motion):
    pair = known_pair(motion, *pictures, seed=0, size=(120, 160))
    forward = compute_brox(pair)
    backward = compute_brox(pair._replace(first=pair.second, second=pair.first))
    inner = (forward + backward)[:, 12:-12, 12:-12]
    assert np.abs(inner).mean() < 0.05 < np.abs(forward).mean()


def test_identical_frames_have_no_flow_and_flow_is_finite(pairs):
    random = np.random.default_rng(0)
    noise = random.integers(0, 2, (4, 33, 50)).astype(np.float32) * 255
    board = np.indices((33, 50)).sum(0) % 2 * 255.0
    black, white = np.zeros((33, 50)), np.full((33, 50), 255.0)
    for still in (black, white, noise[0]):
        assert not compute_brox(pairs[0]._replace(first=still, second=still)).any()
    spots = black.copy(), black.copy()
    spots[0][0, 0] = spots[1][32, 49] = 255
    for first, second in ((black, white), (noise[0], noise[1]), (board, 255 - board), spots):
        estimate = compute_brox(pairs[0]._replace(first=first, second=second))
        assert np.isfinite(estimate).all() and np.abs(estimate).max() < 200


def test_fast_preset_sets_its_parameters(pairs):
    fast = FlowSettings.model_validate({"method": "brox", "brox": "fast"}).brox
    assert fast == BroxSettings(scale_factor=0.7, inner_iterations=2)
