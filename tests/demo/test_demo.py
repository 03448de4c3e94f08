"""The demo's videos: the movements, the properties that all classes share, and the files."""

import hashlib
import json
from collections import Counter
from typing import get_args

import cv2
import numpy as np
import pytest

from video_lstm.demo import videos
from video_lstm.demo.actions import ACTIONS, draw_motion, draw_motion_sequence
from video_lstm.demo.skeleton import (
    CHANNEL,
    JOINT,
    Body,
    forward_kinematics,
    place_on_ground,
    stack_channels,
)
from video_lstm.errors import UserError
from video_lstm.settings.videos import Action

SEEDS = range(5)


def draw_performance(action, seed, seconds=4.0):
    """Return joints above the ground (T, joints, 3), travel (T, 2) and motion of an action."""
    rng = np.random.default_rng([seed, *action.encode()])
    body = Body.draw(rng)
    t = np.arange(0, seconds, 0.01)
    motion = draw_motion(ACTIONS[action], t, rng)
    joints, travel = place_on_ground(body, motion)
    return joints, travel, motion


def sole_heights(joints):
    """Return the height of the lowest point of the left and right foot, (T, 2)."""
    pairs = [[JOINT[f"{end}_{side}"] for end in ("heel", "toe")] for side in ("left", "right")]
    return joints[:, pairs, 2].min(axis=2)


def reach(joints, name):
    """Return the diagonal of the bounding box of a joint's path relative to the pelvis."""
    path = joints[:, JOINT[name]] - joints[:, JOINT["pelvis"]]
    return np.linalg.norm(np.ptp(path, axis=0))


def test_forward_kinematics_of_known_poses():
    body = Body.draw(np.random.default_rng(0))
    upright = forward_kinematics(body, stack_channels({}, 1))[0]
    knee, hip = upright[JOINT["knee_left"]], upright[JOINT["hip_left"]]
    np.testing.assert_allclose(knee - hip, [0, 0, -body.thigh], atol=1e-12)

    def bone(joint, parent, **channels):
        pose = forward_kinematics(body, stack_channels(channels, 1))[0]
        return pose[JOINT[joint]] - pose[JOINT[parent]]

    forward, left, up = np.eye(3)
    cases = [
        (bone("knee_left", "hip_left", hip_left=90), body.thigh * forward),
        (bone("knee_right", "hip_right", spread_right=90), -body.thigh * left),
        (bone("ankle_left", "knee_left", hip_left=90, knee_left=90), -body.shank * up),
        (bone("elbow_left", "shoulder_left", raise_left=180), body.upper_arm * up),
        (bone("wrist_right", "elbow_right", elbow_right=90), body.forearm * forward),
        (
            bone("wrist_left", "elbow_left", raise_left=90, roll_left=90, elbow_left=90),
            body.forearm * up,
        ),
        (bone("chest", "pelvis", lean=90), body.trunk * forward),
    ]
    for actual, expected in cases:
        np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_bones_have_a_constant_length_in_every_action():
    for action in ACTIONS:
        joints, _, _ = draw_performance(action, 0)
        for start, end in (("hip_left", "knee_left"), ("elbow_right", "wrist_right")):
            lengths = np.linalg.norm(joints[:, JOINT[start]] - joints[:, JOINT[end]], axis=1)
            np.testing.assert_allclose(lengths, lengths[0], rtol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_walking_keeps_a_foot_on_the_ground_and_running_does_not(seed):
    walking, walk_travel, _ = draw_performance("walk", seed)
    running, run_travel, _ = draw_performance("run", seed)
    assert sole_heights(walking).min(axis=1).max() < 1e-9
    flight_fraction = (sole_heights(running).min(axis=1) > 0.01).mean()
    assert 0.2 < flight_fraction < 0.7
    for joints in (walking, running):
        left, right = sole_heights(joints).T
        assert (left > 0.03).any() and (right > 0.03).any()
        assert np.corrcoef(left, right)[0, 1] < 0.5
    assert run_travel[-1, 0] > 1.3 * walk_travel[-1, 0] > 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_jumping_lifts_both_feet_together_and_sitting_down_none(seed):
    jumping = sole_heights(draw_performance("jump", seed)[0])
    np.testing.assert_allclose(jumping[:, 0], jumping[:, 1], atol=1e-9)
    assert jumping.max() > 0.08
    sitting, _, _ = draw_performance("sit", seed)
    assert sole_heights(sitting).max() < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_waving_moves_wrists_and_not_the_legs(seed):
    one, _, _ = draw_performance("wave1", seed)
    both, _, _ = draw_performance("wave2", seed)
    jack, _, _ = draw_performance("jack", seed)
    reaches = sorted(reach(one, f"wrist_{side}") for side in ("left", "right"))
    assert reaches[1] > 0.2 and reaches[0] < 0.5 * reaches[1]
    for side in ("left", "right"):
        assert reach(both, f"wrist_{side}") > 0.2
        assert reach(jack, f"wrist_{side}") > 0.2
        assert max(reach(one, f"ankle_{side}"), reach(both, f"ankle_{side}")) < 0.01
        assert reach(jack, f"ankle_{side}") > 0.1


@pytest.mark.parametrize(
    ("action", "reverse", "joint"), [("bend", "straighten", "head"), ("sit", "stand", "pelvis")]
)
def test_reverse_actions_have_the_same_poses_in_reverse_order(action, reverse, joint):
    t = np.linspace(0, 2, 201)
    for seed in SEEDS:
        body = Body.draw(np.random.default_rng(seed))
        heights = {}
        for name in (action, reverse):
            rng = np.random.default_rng([seed, 1])
            motion = stack_channels(ACTIONS[name](t, rng), len(t))
            heights[name] = place_on_ground(body, motion)[0][:, JOINT[joint], 2]
        assert (np.diff(heights[action]) < 1e-9).all() and np.ptp(heights[action]) > 0.08
        assert (np.diff(heights[reverse]) > -1e-9).all()
        for height in heights.values():  # the same first and last pose
            np.testing.assert_allclose(sorted(height[[0, -1]]), sorted(heights[action][[0, -1]]))


@pytest.mark.parametrize("seed", SEEDS)
def test_only_walking_and_running_travel(seed):
    for action in ACTIONS:
        _, travel, _ = draw_performance(action, seed)
        forward, sideways = np.abs(travel[-1] - travel[0])
        if action in ("walk", "run"):
            assert forward > 0.8 and sideways < 0.2 * forward
        else:
            assert max(forward, sideways) < 0.25, action


def test_a_foot_on_the_ground_does_not_slide():
    joints, travel, _ = draw_performance("walk", 1)
    left, right = sole_heights(joints).T
    ankle = joints[:, JOINT["ankle_left"], :2] + travel
    is_grounded = (right - left > 0.05)[1:]
    assert is_grounded.sum() > 50
    speed = np.linalg.norm(np.diff(ankle, axis=0), axis=1) / 0.01
    assert speed[is_grounded].max() < 0.1 * speed.max()


def test_everything_but_the_movement_is_the_same_for_every_class(tmp_path, monkeypatch):
    tasks = []
    monkeypatch.setattr(videos, "_render", lambda task: tasks.append(task) or task.path)
    videos.render_labelled(tmp_path, videos_per_class=24)
    settings = {}
    for task in tasks:
        properties = (task.performer, task.clip, task.size, task.rate, task.path.suffix, task.seed)
        settings.setdefault(task.action, []).append(properties)
    first, *remaining = settings.values()
    assert len(remaining) >= 7 and all(properties == first for properties in remaining)
    assert len({performer for performer, *_ in first}) == 24
    kinds = Counter((size, rate) for _, _, size, rate, _, _ in first)
    assert set(kinds) == {(s, r) for s in videos.SIZES for r in videos.RATES}
    assert Counter(suffix for *_, suffix, _ in first)[".avi"] >= 3


def test_body_and_clothes_depend_on_the_performer_alone():
    scene, second_scene, other_performer = (
        videos.draw_scene(0, performer, clip, size=(320, 240), rate=25)
        for performer, clip in (("g01", "c01"), ("g01", "c02"), ("g02", "c01"))
    )
    assert (scene.body, scene.clothes) == (second_scene.body, second_scene.clothes)
    assert scene.body != other_performer.body and scene.clothes != other_performer.clothes
    assert not np.array_equal(scene.background.strip, second_scene.background.strip)
    wall = scene.background.strip[:, : scene.background.period]
    seam = scene.background.strip[:, scene.background.period :]
    np.testing.assert_array_equal(seam, wall[:, : seam.shape[1]])


def decode(path):
    """Decode the frames (T, height, width, 3), and read the frame rate in the container."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    small = {"sizes": ((96, 72), (64, 48)), "rates": (10, 7.5), "seed": 5}
    options = {"actions": ("walk", "jack"), "videos_per_class": 5, "seconds": 0.8, **small}
    progress = []
    videos.render_labelled(root / "one", workers=2, progress=lambda: progress.append(1), **options)
    videos.render_unlabelled(root / "one", videos=6, seconds=4.0, **small)
    return root, options, small, len(progress)


def test_files_have_the_requested_size_length_and_rate(rendered):
    root, _, _, progress = rendered
    paths = sorted((root / "one").glob("*/*"))
    assert progress == len(paths) == 10
    for path in paths:
        index = int(path.stem.split("_g")[1][:2]) - 1
        rate = (10, 7.5)[index // 2 % 2]
        width, height = ((96, 72), (64, 48))[index % 2]
        frames, frame_rate = decode(path)
        assert frames.shape == (round(0.8 * rate), height, width, 3), path
        assert frame_rate == pytest.approx(rate)
        assert frames.std(axis=(1, 2, 3)).min() > 10
    assert {path.suffix for path in paths} == {".mp4", ".avi"}
    unlabelled = [path for path in (root / "one").iterdir() if path.is_file()]
    assert {path.suffix for path in unlabelled} == {".mp4", ".avi", ".mkv"}
    assert {len(decode(path)[0]) for path in unlabelled} == {40, 30}
    assert not any(action in path.name for path in unlabelled for action in ACTIONS)


def test_the_same_seed_gives_the_same_bytes_in_any_order(rendered):
    root, options, small, _ = rendered
    videos.render_unlabelled(root / "two", videos=6, seconds=4.0, **small)
    videos.render_labelled(root / "two", **{**options, "actions": ("jack", "walk")}, workers=1)
    assert digests(root / "one") == digests(root / "two")
    videos.render_labelled(root / "other", **{**options, "seed": 6})
    first, second = digests(root / "one"), digests(root / "other")
    assert not set(first.values()) & set(second.values())


def test_unlabelled_videos_have_a_sequence_of_actions():
    t = np.arange(0, 12, 0.02)
    turns = []
    for seed in SEEDS:
        motion = draw_motion_sequence(t, np.random.default_rng(seed), durations=(1.4, 3.2))
        assert np.abs(np.diff(motion, axis=0)).max() < 15  # no cuts: degrees in 20 ms
        speeds = [np.abs(np.diff(part, axis=0)).mean(axis=0) for part in np.split(motion, 6)]
        correlations = np.corrcoef(speeds)[np.triu_indices(6, 1)]
        assert correlations.min() < 0.8  # different joints move at different times
        turns.append(np.ptp(motion[:, CHANNEL["turn"]]))
    assert max(turns) > 20


def test_invalid_options_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"expected some of bend, jack.*, found 'fly'"):
        videos.render_labelled(tmp_path, actions=["fly"])
    with pytest.raises(UserError, match="even numbers"):
        videos.render_unlabelled(tmp_path, sizes=[(321, 240)])
    with pytest.raises(UserError, match="at least one frame"):
        videos.render_unlabelled(tmp_path, seconds=0.01)
    assert not any(tmp_path.iterdir())


def test_the_script_writes_a_new_folder_only(tmp_path, run_script):
    demo = {
        "videos_per_class": 1,
        "labelled_seconds": 0.3,
        "unlabelled_videos": 1,
        "unlabelled_seconds": 0.5,
    }
    options = ("--output", tmp_path / "demo", "--demo", json.dumps({**demo, "actions": ["walk"]}))
    run_script("render_demo", *options)
    assert list(digests(tmp_path)) == [
        "demo/labelled/walk/walk_g01_c01.mp4",
        "demo/unlabelled/pile_001.mp4",
    ]
    before = digests(tmp_path)
    process = run_script("render_demo", *options, check=False)
    assert process.returncode == 1 and "remove it first" in process.stderr
    assert digests(tmp_path) == before


def test_the_settings_know_every_action():
    assert set(get_args(Action)) == set(ACTIONS)
