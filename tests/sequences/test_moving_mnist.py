"""Moving MNIST: how digits move, how they are drawn, and which digits are whose."""

import gzip
import hashlib
import zipfile

import numpy as np
import pytest
import torch
from scipy import stats

from video_lstm.errors import UserError
from video_lstm.sequences import digits as digit_files
from video_lstm.sequences.digits import find_mnist_files, load_digits, read_idx
from video_lstm.sequences.moving_mnist import (
    MovingMNIST,
    compute_mean_frame,
    draw_frames,
    read_standard_sequences,
    render_test_sequences,
    sample_trajectories,
)
from video_lstm.sequences.random_streams import TRAINING, step_generator
from video_lstm.settings.sequences import MNISTSettings

# A huge frame, so that corners in whole pixels tell positions almost exactly.
FINE = MNISTSettings(image_size=10**9 + 28, digit_size=28, num_digits=2, speed=(0.1, 0.1))
SMALL = MNISTSettings(image_size=20, digit_size=8, num_test_sequences=7)


@pytest.fixture(scope="module")
def images():
    """40 images that each have a grey of their own, bright enough to see."""
    return np.repeat(np.arange(100, 140, dtype=np.uint8), 64).reshape(40, 8, 8)


def positions(settings=FINE, size=2000, frames=20, seed=0):
    places = sample_trajectories(step_generator(seed, TRAINING), size, frames, settings)
    return places / (settings.image_size - settings.digit_size)


def test_starts_are_uniform_and_directions_uniform_on_the_circle():
    slow = FINE.model_copy(update={"speed": (1e-4, 1e-4)})
    first, second = positions(slow, size=20_000, frames=2).reshape(2, -1, 2)
    assert stats.kstest(first[:, 0], "uniform").pvalue > 1e-3
    assert stats.kstest(first[:, 1], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first.T)[0, 1]) < 0.02
    inside = np.all((first > 0.001) & (first < 0.999), axis=1)
    row, column = (second - first)[inside].T
    angle = (np.arctan2(row, column) / (2 * np.pi)) % 1
    assert stats.kstest(angle, "uniform").pvalue > 1e-3


def test_speeds_are_uniform_in_their_range():
    settings = FINE.model_copy(update={"speed": (0.001, 0.003)})
    first, second = positions(settings, size=10_000, frames=2).reshape(2, -1, 2)
    inside = np.all((first > 0.01) & (first < 0.99), axis=1)
    speed = np.linalg.norm((second - first)[inside], axis=1)
    assert stats.kstest(speed, stats.uniform(0.001, 0.002).cdf).pvalue > 1e-3


def test_digits_are_reflected_at_the_edges():
    # The same draws, walked digit by digit with Python's floats, as the released code does.
    rng = step_generator(3, TRAINING)
    settings = FINE.model_copy(update={"speed": (0.05, 0.4)})
    start = rng.random((50, 2, 2))
    direction, speed = rng.uniform(0, 2 * np.pi, (50, 2)), rng.uniform(0.05, 0.4, (50, 2))
    actual = positions(settings, size=50, frames=30, seed=3)
    bounces = 0
    for sequence in range(50):
        for digit in range(2):
            v = speed[sequence, digit]
            angle = direction[sequence, digit]
            velocity = [v * np.sin(angle), v * np.cos(angle)]
            place = list(start[sequence, digit])
            for frame in range(30):
                for axis in (0, 1):
                    place[axis] += velocity[axis]  # the first frame is after one step
                    if not 0 <= place[axis] <= 1:
                        place[axis] = min(max(place[axis], 0.0), 1.0)
                        velocity[axis] = -velocity[axis]
                        bounces += 1
                np.testing.assert_allclose(actual[frame, sequence, digit], place, atol=1e-8)
    assert bounces > 500


def test_digits_stay_in_the_frame_and_keep_their_speed():
    places = positions(frames=100)
    assert places.min() == 0
    assert places.max() == 1
    step = np.diff(places, axis=0)
    edge = ((places == 0) | (places == 1)).any(-1)
    free = ~edge[1:]
    np.testing.assert_allclose(np.linalg.norm(step[free], axis=-1), 0.1, atol=1e-8)
    # Every edge but the last frame's turns the component that led there; from an edge it leads in.
    touched = (places[:-1] == 0) | (places[:-1] == 1)
    inward = np.where(places[:-1] == 0, step, -step)[touched]
    assert (inward >= 0).all()


def test_places_are_whole_pixels_that_keep_the_digit_inside():
    settings = MNISTSettings()
    places = sample_trajectories(step_generator(0, TRAINING), 500, 40, settings)
    assert places.min() == 0
    assert places.max() == 36  # 64 - 28


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_overlapping_digits_show_the_brighter_one(kind):
    images = np.zeros((1, 3, 2, 2), np.uint8)
    images[0, 0], images[0, 1], images[0, 2] = 100, [[50, 200], [0, 120]], 7
    places = np.array([[[[1, 1], [1, 1], [3, 3]]], [[[0, 0], [1, 1], [2, 2]]]])
    inputs = torch.from_numpy(images) if kind == "tensor" else images
    frames = np.asarray(draw_frames(inputs, places, 5))
    expected = np.zeros((2, 1, 5, 5))
    expected[0, 0, 1:3, 1:3] = [[100, 200], [100, 120]]
    expected[0, 0, 3:, 3:] = 7
    expected[1, 0, :2, :2] = 100
    expected[1, 0, 1:3, 1:3] = [[100, 200], [0, 120]]
    expected[1, 0, 2:4, 2:4] = [[120, 7], [7, 7]]
    np.testing.assert_array_equal(frames, expected)


def test_frames_drawn_as_a_gpu_does_equal_those_of_a_loop(images):
    rng = np.random.default_rng(0)
    settings = SMALL.model_copy(update={"num_digits": 3})
    digits = images[rng.integers(40, size=(6, 3))]
    places = sample_trajectories(step_generator(1, TRAINING), 6, 12, settings)
    expected = np.zeros((12, 6, 20, 20), np.uint8)
    for frame, sequence, digit in np.ndindex(12, 6, 3):
        row, column = places[frame, sequence, digit]
        window = expected[frame, sequence, row : row + 8, column : column + 8]
        np.maximum(window, digits[sequence, digit], out=window)
    np.testing.assert_array_equal(draw_frames(digits, places, 20), expected)
    drawn = draw_frames(torch.from_numpy(digits), places, 20)
    np.testing.assert_array_equal(drawn.numpy(), expected)


def test_a_batch_follows_from_seed_and_step_alone(images):
    stream = MovingMNIST(images, SMALL, 5, seed=4)
    batch = stream.batch(17, 9)
    assert batch.shape == (5, 9, 400) and batch.dtype == torch.float32
    assert stream.frame_size == 400
    stream.batch(3, 9)
    stream.validation(9)
    again = MovingMNIST(images, SMALL, 5, seed=4).batch(17, 9)
    assert torch.equal(batch, again)
    others = [
        stream.batch(18, 9),
        MovingMNIST(images, SMALL, 5, seed=5).batch(17, 9),
        stream.validation(9)[0],
    ]
    assert not any(torch.equal(batch, other) for other in others)


def test_training_and_validation_share_no_digit(images):
    stream = MovingMNIST(images, SMALL, 5, seed=0)
    trained = torch.cat([stream.batch(step, 50) for step in range(9)])
    training_greys, validation_greys = (
        set((255 * frames).round().int().unique().tolist())
        for frames in (trained, torch.cat(stream.validation(50)))
    )
    assert training_greys == {0, *range(100, 138)}
    assert validation_greys == {0, 138, 139}


def test_the_fixed_set_does_not_depend_on_blocks_of_time(images):
    blocks = list(render_test_sequences(images, SMALL, 5, seed=0, block=4))
    assert [len(block) for block in blocks] == [4, 3]
    assert blocks[0].shape == (4, 5, 20, 20) and blocks[0].dtype == np.uint8
    again = list(render_test_sequences(images, SMALL, 5, seed=0, block=4))
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(again))
    # A digit is the same in all frames of its sequence.
    for sequence in np.concatenate(blocks):
        assert len(set(np.unique(sequence)) - {0}) <= SMALL.num_digits


def test_the_mean_frame_is_the_mean_of_the_stream(images):
    stream = MovingMNIST(images, SMALL, 5, seed=0)
    frames = torch.cat([stream.batch(step, 10) for step in range(4)], 1).double()
    mean = compute_mean_frame(stream, sequences=40, block=10)
    np.testing.assert_allclose(mean, frames.mean((0, 1)), rtol=1e-12)


def test_the_standard_file_is_read_sequence_by_sequence(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(256, size=(6, 9, 20, 20), dtype=np.uint8)
    np.save(tmp_path / "seq.npy", array)
    blocks = list(read_standard_sequences(tmp_path / "seq.npy", SMALL, 5, block=4))
    np.testing.assert_array_equal(np.concatenate(blocks), array[:5, :7].swapaxes(0, 1))
    with pytest.raises(UserError, match=r"seq\.npy: expected at least 7 frames"):
        next(read_standard_sequences(tmp_path / "seq.npy", SMALL, 7))


def test_an_archive_of_one_array_is_read_like_the_standard_file(tmp_path):
    array = np.random.default_rng(0).integers(256, size=(6, 9, 20, 20), dtype=np.uint8)
    np.savez_compressed(tmp_path / "seq.npz", input_raw_data=array)
    blocks = list(read_standard_sequences(tmp_path / "seq.npz", SMALL, 5))
    np.testing.assert_array_equal(np.concatenate(blocks), array[:5, :7].swapaxes(0, 1))


def _whole(path):
    np.save(path, np.zeros((6, 9, 20, 20), np.uint8))
    return path.with_suffix(".npy").read_bytes()


NO_TEST_FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(_whole(path)[:-9]),
    "a header alone": lambda path: path.write_bytes(_whole(path)[:20]),
    "text": lambda path: path.write_text("<html>"),
    "half an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)),
    "several arrays": lambda path: np.savez(path.open("wb"), clips=[1], dims=[2]),
    "an empty archive": lambda path: np.savez(path.open("wb")),
    "an archive of a text": lambda path: zipfile.ZipFile(path, "w").writestr("readme.txt", "hello"),
    "a length below zero": lambda path: path.write_bytes(
        _whole(path).replace(b"(6, 9,", b"(-6,9,") + bytes(9)
    ),
    "packed": lambda path: path.write_bytes(gzip.compress(_whole(path))),
    "objects": lambda path: np.save(path.open("wb"), np.array([{}], object)),
    "a number": lambda path: np.save(path.open("wb"), np.uint8(3)),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", NO_TEST_FILES)
def test_file_of_another_format_is_reported_in_one_line(tmp_path, kind):
    path = tmp_path / "test_file"
    NO_TEST_FILES[kind](path)
    with pytest.raises(UserError) as error:
        next(read_standard_sequences(path, SMALL, 5))
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and "load it unsafely" not in line


@pytest.mark.parametrize(("digits", "count"), [(1, 8), (2, 3), (3, 20)])
def test_swapped_axes_are_refused_however_few_sequences_are_taken(tmp_path, digits, count):
    settings = MNISTSettings(num_digits=digits, num_test_sequences=count)
    rendered = render_test_sequences(load_digits("sklearn")[1], settings, 20, seed=1)
    right = np.concatenate(list(rendered)).swapaxes(0, 1)
    np.save(tmp_path / "right.npy", right)
    np.save(tmp_path / "swapped.npy", right.swapaxes(0, 1))
    frames = min(count, 20)
    (block,) = read_standard_sequences(tmp_path / "right.npy", settings, frames)
    np.testing.assert_array_equal(block, right[:frames].swapaxes(0, 1))
    with pytest.raises(UserError, match=r"swapped.npy: expected \(frames, sequences"):
        next(read_standard_sequences(tmp_path / "swapped.npy", settings, frames))


def test_sklearn_digits_look_like_digits_and_are_cut_in_two():
    train, test = load_digits("sklearn", 28)
    assert train.shape == (1500, 28, 28) and test.shape == (297, 28, 28)
    everything = np.concatenate([train, test]).reshape(1797, -1)
    assert len(np.unique(everything, axis=0)) == 1797  # so none is on both sides
    # MNIST's own: mean 0.131, standard deviation 0.308, 81% black.
    assert abs((everything / 255).mean() - 0.131) < 0.02
    assert abs((everything / 255).std() - 0.308) < 0.02
    assert abs((everything == 0).mean() - 0.81) < 0.03
    assert train[:, :4].max() == 0 and train[:, -4:].max() == 0


def test_images_of_another_size_are_refused(images):
    with pytest.raises(UserError, match=r"mnist\.digit_size"):
        MovingMNIST(images, MNISTSettings(), 5, seed=0)


@pytest.mark.parametrize(
    "content, array",
    [
        (bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), [7, 8, 9]),
        (bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 5, 6]), [[5], [6]]),
    ],
)
def test_idx_content_is_read(content, array):
    np.testing.assert_array_equal(read_idx(content), array)
    for broken in (content[:-1], content + b"\0", content[:5], b"", b"\0\0\x09" + content[3:]):
        with pytest.raises(ValueError):
            read_idx(broken)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two small files, the first packed, that are taken for the published ones."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(256, size=(n, 28, 28)) for n in (5, 3)]
    train, test = (idx(array) for array in arrays)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(train))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(test)
    known = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in zip(digit_files.MNIST_SHA256, (train, test), strict=True)
    }
    monkeypatch.setattr(digit_files, "MNIST_SHA256", known)
    return tmp_path, arrays


def test_mnist_is_read_plain_and_packed(folder):
    path, arrays = folder
    for images, array in zip(load_digits(str(path)), arrays, strict=True):
        np.testing.assert_array_equal(images, array)
    assert [file.name for file in find_mnist_files(str(path))] == [
        "train-images-idx3-ubyte.gz",
        "t10k-images-idx3-ubyte",
    ]


def test_mnist_is_read_under_the_names_that_others_give_its_files(folder):
    path, arrays = folder
    for file in find_mnist_files(str(path)):
        file.rename(file.with_name(file.name.replace("-idx3", ".idx3")))
    for images, array in zip(load_digits(str(path)), arrays, strict=True):
        np.testing.assert_array_equal(images, array)


def test_files_that_are_not_the_published_ones_are_refused(folder):
    path, _ = folder
    packed, plain = path / "train-images-idx3-ubyte.gz", path / "t10k-images-idx3-ubyte"
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: cannot be decompressed"):
        load_digits(str(path))
    packed.write_bytes(whole)
    content = bytearray(plain.read_bytes())
    content[100] ^= 1
    plain.write_bytes(content)
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte: expected MNIST's content"):
        load_digits(str(path))
    plain.unlink()
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte\[\.gz\]: expected an MNIST file"):
        load_digits(str(path))


def test_the_real_files_are_the_published_ones(real_data):
    train, test = load_digits(str(real_data("mnist")))
    assert train.shape == (60_000, 28, 28) and test.shape == (10_000, 28, 28)
    assert abs(train.mean() / 255 - 0.1307) < 1e-4
    assert abs(train.std() / 255 - 0.3081) < 1e-4
