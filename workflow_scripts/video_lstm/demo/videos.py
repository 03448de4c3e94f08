"""Render the demo's videos: a labelled set and unlabelled videos, from one seed.

The figures are synthetic, not people. Performer, background, size and camera are drawn per clip of
a performer and are the same for every class, so that only the movement distinguishes the classes.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from video_lstm.demo.actions import ACTIONS, draw_motion, draw_motion_sequence
from video_lstm.demo.background import Background, draw_background
from video_lstm.demo.drawing import Clothes, Figure, build_parts
from video_lstm.demo.skeleton import Array, Body, place_on_ground
from video_lstm.errors import UserError
from video_lstm.parallel import ordered_map
from video_lstm.video.write_video import encode_video

SIZES = ((320, 240), (240, 180))
RATES = (25, 15)
PERFORMERS = 24
"""Number of performers of the labelled set; the unlabelled videos have others."""
MARGIN = 10
"""Margin around the frame in pixels, so that the camera can shake."""
MOTION_RATE = 100
"""Lowest rate at which motion is computed, in Hz, whatever the frame rate."""

Progress = Callable[[], object]


@dataclass(frozen=True)
class Scene:
    """All properties of a video except the movement.

    Attributes:
        body: Proportions of the figure.
        clothes: Clothes of the figure.
        background: Background strip behind the figure.
        size: Width and height of the frames in pixels.
        rate: Frame rate in frames per second.
        facing: Direction of the figure in degrees, from the right of the frame towards the camera.
        stature: Height of the figure as a fraction of the frame height.
        ground: Distance of the feet from the top as a fraction of the frame height.
        x_offset: Distance of the figure from the centre as a fraction of the frame height.
        follow: Minimum fraction of the figure's travel that the camera follows.
        tilt: Downward angle of the camera in degrees.
        shake: Standard deviation of the camera's movement as a fraction of the frame height.
        noise: Standard deviation of the sensor noise in grey levels.
        light: Gain of the exposure.
    """

    body: Body
    clothes: Clothes
    background: Background
    size: tuple[int, int]
    rate: float
    facing: float
    stature: float
    ground: float
    x_offset: float
    follow: float
    tilt: float
    shake: float
    noise: float
    light: float


def make_generator(seed: int, *names: str) -> np.random.Generator:
    """Return a random generator that depends on the seed and names, not on the rendering order."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def draw_scene(
    seed: int, performer: str, clip: str, *, size: tuple[int, int], rate: float
) -> Scene:
    """Draw the scene of a performer's clip; body and clothes depend on the performer alone."""
    performer_rng = make_generator(seed, "performer", performer)
    body, clothes = Body.draw(performer_rng), Clothes.draw(performer_rng)
    rng = make_generator(seed, "scene", performer, clip)
    width, height = size
    ground = rng.uniform(0.90, 0.95)
    horizon = ground - rng.uniform(0.03, 0.25)
    facing = rng.uniform(20, 75)
    return Scene(
        body=body,
        clothes=clothes,
        background=draw_background(
            rng,
            view_width=width + 2 * MARGIN + 1,
            height=height + 2 * MARGIN,
            horizon=round(horizon * height) + MARGIN,
            figure_brightness=clothes.brightness,
        ),
        size=size,
        rate=rate,
        facing=facing if rng.uniform() < 0.5 else 180 - facing,
        stature=rng.uniform(0.68, 0.76),
        ground=ground,
        x_offset=rng.uniform(-0.08, 0.08),
        follow=rng.uniform(0.7, 1.0),
        tilt=rng.uniform(0, 12),
        shake=rng.uniform(0.001, 0.006),
        noise=rng.uniform(1.5, 5),
        light=rng.uniform(0.85, 1.1),
    )


def motion_times(num_frames: int, rate: float) -> tuple[Array, int]:
    """Return the times (seconds) at which motion is computed, and their number per frame."""
    steps_per_frame = int(np.ceil(MOTION_RATE / rate))
    times = np.arange(num_frames * steps_per_frame) / (rate * steps_per_frame)
    return times, steps_per_frame


def render_frames(
    scene: Scene, motion: Array, steps_per_frame: int, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Render the frames of a motion in a scene.

    Args:
        scene: Figure, background and camera.
        motion: Channels of the skeleton, (frames * steps_per_frame, channels).
        steps_per_frame: Time steps of the motion per frame.
        rng: Random generator of camera movement and noise.

    Yields:
        Frames as planes Y, U, V, (height * 3 / 2, width) uint8.
    """
    width, height = scene.size
    pixels = scene.stature * height
    joints, travel = place_on_ground(scene.body, motion)
    joints, travel = joints[::steps_per_frame], travel[::steps_per_frame]
    frames = len(joints)

    facing, tilt = np.deg2rad(scene.facing), np.deg2rad(scene.tilt)
    across = np.array([np.cos(facing), np.sin(facing)])
    towards = np.array([np.sin(facing), -np.cos(facing)])
    depth = joints[:, :, :2] @ towards
    path = pixels * (travel @ across)
    path = path - 0.5 * (path.min() + path.max())
    follow = max(scene.follow, 1.0 - 0.3 * height / max(1e-6, float(np.ptp(path))))
    camera = follow * path
    left = camera + rng.uniform(0, scene.background.period)
    middle = MARGIN + 0.5 * width + scene.x_offset * height + path - camera
    screen = np.stack(
        [
            middle[:, None] + pixels * (joints[:, :, :2] @ across),
            MARGIN
            + scene.ground * height
            - pixels * (joints[:, :, 2] * np.cos(tilt) - depth * np.sin(tilt)),
        ],
        axis=2,
    )
    screen[:, :, 0] += (left - np.floor(left))[:, None]
    parts = build_parts(scene.body, scene.clothes)
    figure = Figure(parts, scene.clothes, screen, depth, pixels)

    shakes = _draw_camera_shake(rng, frames, scene.rate, 4) * scene.shake
    shakes += rng.normal(0, 0.15 * scene.shake, (frames, 4))
    grain = rng.normal(0, scene.noise, (height + 32, width + 32)).astype(np.int16)
    shadow = np.rint([[0.17 * pixels, 0.035 * pixels]]).astype(int)[0]
    for step in range(frames):
        view, fraction = scene.background.view(float(left[step]), width + 2 * MARGIN + 1)
        image = view.copy()
        foot = (int(middle[step]), int(MARGIN + (scene.ground + 0.01) * height))
        _draw_shadow(image, foot, (int(shadow[0]), int(shadow[1])))
        figure.draw(image, step)
        dx, dy, angle, zoom = shakes[step]
        turn = cv2.getRotationMatrix2D(
            (MARGIN + width / 2, MARGIN + height / 2), float(np.rad2deg(angle)), 1.0 + float(zoom)
        )
        turn[:, 2] += (dx * height - MARGIN - fraction, dy * height - MARGIN)
        image = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        luma = planes[:height]
        cv2.convertScaleAbs(luma, luma, scene.light * (1 + 0.01 * rng.normal()), 0.0)
        row, column = rng.integers(0, 32, 2)
        noise = grain[row : row + height, column : column + width]
        cv2.add(luma, noise, luma, dtype=cv2.CV_8U)
        yield planes


def _draw_camera_shake(rng: np.random.Generator, frames: int, rate: float, values: int) -> Array:
    """Draw slow smooth movement with standard deviation 1, (frames, values)."""
    t = np.arange(frames)[:, None] / rate
    total = np.zeros((frames, values))
    for hertz in (0.3, 0.7, 1.5, 3.1):
        total += rng.normal(0, 0.7, values) * np.sin(
            2 * np.pi * (hertz * rng.uniform(0.7, 1.4) * t + rng.uniform(0, 1, values))
        )
    return total


def _draw_shadow(image: NDArray[np.uint8], centre: tuple[int, int], axes: tuple[int, int]) -> None:
    """Draw a soft shadow on the ground, in place."""
    x0, x1 = max(0, centre[0] - axes[0]), min(image.shape[1], centre[0] + axes[0] + 1)
    y0, y1 = max(0, centre[1] - axes[1]), min(image.shape[0], centre[1] + axes[1] + 1)
    if x0 >= x1 or y0 >= y1:
        return
    x = (np.arange(x0, x1) - centre[0]) / axes[0]
    y = (np.arange(y0, y1) - centre[1]) / axes[1]
    shade = 1.0 - 0.5 * np.clip(1.0 - x[None, :] ** 2 - y[:, None] ** 2, 0.0, 1.0)
    patch = image[y0:y1, x0:x1]
    patch[:] = patch * shade[:, :, None]


@dataclass(frozen=True)
class _Task:
    """One video to render."""

    path: Path
    name: str
    action: str | None
    performer: str
    clip: str
    size: tuple[int, int]
    rate: float
    seconds: float
    seed: int


def _render(task: _Task) -> Path:
    """Render a video and return its path."""
    rng = make_generator(task.seed, "movement", task.name)
    scene = draw_scene(task.seed, task.performer, task.clip, size=task.size, rate=task.rate)
    t, steps_per_frame = motion_times(round(task.seconds * task.rate), task.rate)
    if task.action is None:
        motion = draw_motion_sequence(t, rng, durations=(1.4, 3.2))
    else:
        motion = draw_motion(ACTIONS[task.action], t, rng)
    task.path.parent.mkdir(parents=True, exist_ok=True)
    frames = render_frames(scene, motion, steps_per_frame, rng)
    encode_video(task.path, frames, size=task.size, rate=task.rate)
    return task.path


def _render_all(tasks: Sequence[_Task], workers: int, progress: Progress | None) -> list[Path]:
    paths = []
    # Threads are enough: OpenCV and the pipe to ffmpeg release the GIL, and ffmpeg is a process.
    for path in ordered_map(_render, tasks, max(1, workers)):
        paths.append(path)
        if progress is not None:
            progress()
    return paths


def _check_options(
    sizes: Sequence[tuple[int, int]], rates: Sequence[float], seconds: float
) -> None:
    for size in sizes:
        if min(size) < 32 or any(side % 2 for side in size):
            raise UserError(f"demo sizes: expected even numbers of pixels from 32, found {size}")
    for rate in rates:
        if rate <= 0 or round(seconds * rate) < 1:
            raise UserError(
                f"demo rates: expected at least one frame in {seconds} s, found {rate} frames/s"
            )
    if not sizes or not rates:
        raise UserError("demo sizes and rates: expected at least one of each, found none")


def render_labelled(
    root: Path,
    *,
    actions: Sequence[str] = tuple(ACTIONS),
    videos_per_class: int = 24,
    seconds: float = 2.0,
    sizes: Sequence[tuple[int, int]] = SIZES,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Render ``root/CLASS/CLASS_gXX_cYY.mp4`` (some .avi): each performer gXX does every action.

    The n-th video of every class has the same performer, background, camera, frame size, frame
    rate and codec.

    Args:
        root: Folder to write to; created if missing.
        actions: Classes, names in ``video_lstm.demo.actions.ACTIONS``.
        videos_per_class: Number of videos per class; each performer has one of every 24.
        seconds: Length of each video in seconds.
        sizes: Widths and heights in pixels, used in rotation.
        rates: Frame rates in frames per second, used in rotation.
        seed: Random seed for all videos.
        workers: Number of threads; the files do not depend on it.
        progress: Called after each video.

    Returns:
        Paths of the videos, by class.

    Raises:
        UserError: An action is unknown, a frame size cannot be encoded, or a video is empty.
    """
    _check_options(sizes, rates, seconds)
    for action in actions:
        if action not in ACTIONS:
            raise UserError(
                f"demo.actions: expected some of {', '.join(ACTIONS)}, found {action!r}"
            )
    tasks = []
    for action in actions:
        for index in range(videos_per_class):
            performer = f"g{index % PERFORMERS + 1:02d}"
            clip = f"c{index // PERFORMERS + 1:02d}"
            name = f"{action}_{performer}_{clip}"
            tasks.append(
                _Task(
                    path=root / action / (name + (".avi" if index % 5 == 3 else ".mp4")),
                    name=name,
                    action=action,
                    performer=performer,
                    clip=clip,
                    size=sizes[index % len(sizes)],
                    rate=rates[index // len(sizes) % len(rates)],
                    seconds=seconds,
                    seed=seed,
                )
            )
    return _render_all(tasks, workers, progress)


def render_unlabelled(
    root: Path,
    *,
    videos: int = 20,
    seconds: float = 12.0,
    sizes: Sequence[tuple[int, int]] = SIZES,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Render ``root/pile_XXX.mp4`` (some .avi and .mkv): unlabelled videos of several actions.

    Every video has a performer that is not in the labelled set, with several actions and free
    movements in sequence. Arguments, result and errors are those of :func:`render_labelled`.
    """
    _check_options(sizes, rates, seconds)
    suffixes = (".mp4", ".mp4", ".avi", ".mp4", ".mp4", ".mkv", ".mp4")
    tasks = []
    for index in range(videos):
        name = f"pile_{index + 1:03d}"
        tasks.append(
            _Task(
                path=root / (name + suffixes[index % len(suffixes)]),
                name=name,
                action=None,
                performer=name,
                clip="c01",
                size=sizes[index % len(sizes)],
                rate=rates[index // len(sizes) % len(rates)],
                seconds=seconds,
                seed=seed,
            )
        )
    return _render_all(tasks, workers, progress)
