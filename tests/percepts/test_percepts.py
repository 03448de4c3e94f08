"""RGB percepts: networks and their weights, and extraction."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import h5py
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.percepts import extract as extraction
from video_lstm.percepts.extract import (
    Backend,
    cut_batches,
    extract,
    open_backend,
    write_percepts,
)
from video_lstm.percepts.networks import VGG16, build_network
from video_lstm.percepts.onnx_conversion import convert, open_session
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.percepts.percept_network import PerceptNetwork
from video_lstm.percepts.weights import load_weights, read_weights
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.percepts import PerceptSettings
from video_lstm.video.clips import Clip, read_clips, write_clips

NOTHING = artifacts.Provenance("test", {}, "0")
SMALL = {"height": 48, "width": 64, "crop_size": 32, "batch_size": 7}


@pytest.fixture(autouse=True)
def _one_thread():
    """What is computed here is too small for more than one to pay."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_vgg(seed=0):
    torch.manual_seed(seed)
    return VGG16(widths=(4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8), units=10, classes=5)


def percepts_of(network, layer="classifier.1", pooling="average", crop=32):
    return PerceptNetwork(network, layer, pooling, crop, (100.0, 110.0, 120.0), (50.0, 55.0, 60.0))


@pytest.fixture(scope="module")
def frames():
    """Smooth moving blobs: (12, 64, 96, 3) uint8."""
    y, x = np.mgrid[:64, :96]
    shift = np.arange(12)[:, None, None]
    channels = [127 + 100 * np.sin((x + 3 * shift) / a) * np.cos(y / a) for a in (9, 14, 23)]
    return np.stack(channels, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, frames):
    """Two short videos and the artifact that tells of their clips: all of one, the end of one."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "root").mkdir()
    for name, count in (("one.mp4", 20), ("two.mp4", 30)):
        with av.open(str(folder / "root" / name), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for index in range(count):
                image = np.roll(frames[index % 12], index, axis=0)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    clips = [
        Clip(name, first, count - first, count, 30.0, folder / "root" / name)
        for name, first, count in (("one.mp4", 0, 20), ("two.mp4", 9, 30))
    ]
    for name, some in (("clips.h5", clips), ("clips0.h5", clips[:1]), ("clips1.h5", clips[1:])):
        with artifacts.create(folder / name, "clips", NOTHING) as file:
            write_clips(file, some, 30.0)
    return folder


def read(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


# Networks and weights ------------------------------------------------------------------------


def test_vgg16_has_torchvisions_parameters():
    with torch.device("meta"):
        state = VGG16().state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 138_357_544
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    layers = [f"features.{i}" for i in convolutions] + [f"classifier.{i}" for i in (0, 3, 6)]
    assert list(state) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert tuple(state["classifier.0.weight"].shape) == (4096, 25088)
    assert tuple(state["features.28.weight"].shape) == (512, 512, 3, 3)


def test_pth_and_safetensors_give_the_same_percepts(tmp_path, frames):
    state = tiny_vgg().state_dict()
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    seen = torch.from_numpy(frames[:, :32, :32])
    outcomes = []
    for name in ("w.pth", "w.safetensors"):
        with torch.device("meta"):
            network = tiny_vgg()
        percepts = percepts_of(network)
        load_weights(network, read_weights(tmp_path / name), name, percepts.unused)
        outcomes.append(percepts(seen))
    # fc6 after the ReLU, written out.
    normal = (seen.permute(0, 3, 1, 2) - percepts.mean) / percepts.std
    vgg = tiny_vgg()
    expected = torch.relu(vgg.classifier[0](vgg.avgpool(vgg.features(normal)).flatten(1)))
    for outcome in outcomes:
        torch.testing.assert_close(outcome, expected, rtol=0, atol=0)
    assert (expected > 0).any() and expected.shape == (12, 10)


def test_weights_behind_the_layer_may_be_missing_and_no_others(tmp_path, frames):
    whole = tiny_vgg()
    required = {k: v for k, v in whole.state_dict().items() if not k.startswith("classifier.6")}
    for lacking, fits in (("classifier.3", True), ("classifier.0", False), ("features.2", False)):
        network = tiny_vgg(seed=1)
        state = {k: v for k, v in required.items() if not k.startswith(f"{lacking}.")}
        percepts = percepts_of(network)
        if fits:
            load_weights(network, state, "file", percepts.unused)
            seen = torch.from_numpy(frames[:2, :32, :32])
            torch.testing.assert_close(percepts(seen), percepts_of(whole)(seen))
        else:
            with pytest.raises(UserError, match=rf"lacks {lacking}\.weight"):
                load_weights(network, state, "file", percepts.unused)
    state = whole.state_dict()
    with pytest.raises(UserError, match="has unknown extra"):
        load_weights(tiny_vgg(), state | {"extra": torch.zeros(1)}, "file", set())
    with pytest.raises(UserError, match=r"another shape features.0.bias \(3,\) \(expected \(4,\)"):
        load_weights(tiny_vgg(), state | {"features.0.bias": torch.zeros(3)}, "file", set())


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ["EVIL"],))


@pytest.mark.parametrize(
    "writer", [torch.save, lambda o, p: Path(p).write_bytes(pickle.dumps(o, 2))]
)
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch, writer):
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    writer({"features.0.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: expected weights"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_faulty_weights_files_are_refused(tmp_path):
    file = tmp_path / "w.pth"
    torch.save({"a": torch.ones(2)}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_weights(file, digest.upper())["a"].tolist() == [1, 1]
    with pytest.raises(UserError, match=f"expected SHA-256 {'0' * 64}.*found {digest}"):
        read_weights(file, "0" * 64)
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "none.pth")
    whole = file.read_bytes()
    for name, content in (("a.pth", whole[:-200]), ("b.pth", b""), ("c.safetensors", b"\0" * 40)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: expected weights"):
            read_weights(tmp_path / name)
    torch.save({"state_dict": {"a": torch.ones(2)}}, file)
    with pytest.raises(UserError, match="expected tensors by name"):
        read_weights(file)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"layer": "_swosh"},
            r"found '_swosh'; did you mean '_swish'\? known are _conv_stem,.*_fc",
        ),
        (
            {"layer": "_dropout", "crop_size": 32, "network": "vgg16"},
            "layer: expected a module of vgg16",
        ),
        ({"network": "vgg16"}, "weights: expected a file of VGG-16's weights"),
        ({"network": "vgg19"}, "'torchvision:NAME' or 'timm:NAME', found 'vgg19'"),
    ],
)
def test_unknown_networks_and_layers_are_reported(setting, message):
    with pytest.raises(UserError, match=message):
        build_network(PerceptSettings(**setting))


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_there_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"needs the Python package {library}"):
        build_network(PerceptSettings(network=f"{library}:resnet18", layer="avgpool"))


def test_pooling_is_over_places(frames):
    vgg, seen = tiny_vgg(), torch.from_numpy(frames[:3, :32, :32])
    maps = percepts_of(vgg, "features.9", "flatten")(seen).reshape(3, 6, 8, 8)
    assert torch.equal(percepts_of(vgg, "features.9", "max")(seen), maps.amax((2, 3)))
    torch.testing.assert_close(percepts_of(vgg, "features.9")(seen), maps.mean((2, 3)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_efficientnet_is_that_of_its_package_and_onnx_runtime_agrees(cache, frames):
    settings = PerceptSettings(height=64, width=96, crop_size=64)
    network = build_network(settings)
    seen = torch.from_numpy(frames[:, :, 16:80].copy())
    with torch.inference_mode():
        expected = network(seen)
        normal = (seen.permute(0, 3, 1, 2) - 127.0) / 128.0
        whole = network.network.extract_features(normal).mean((2, 3))
    torch.testing.assert_close(expected, whole, rtol=1e-5, atol=1e-6)
    session = open_session(settings, cache / "onnx")
    for count in (1, 5, 12):  # the batch is open
        percepts = session.run(None, {"frames": seen[:count].numpy()})[0]
        assert np.abs(percepts - expected[:count].numpy()).max() <= 1e-4 * expected.abs().max()
    [conversion] = (cache / "onnx").iterdir()
    stamps = {path: path.stat().st_mtime_ns for path in conversion.iterdir()}
    open_session(settings, cache / "onnx")
    assert [conversion] == list((cache / "onnx").iterdir())
    assert stamps == {path: path.stat().st_mtime_ns for path in conversion.iterdir()}


def test_conversion_is_silent_and_omits_modules_after_the_layer(tmp_path, frames, capfd):
    network = percepts_of(tiny_vgg(), "features.16")
    convert(network, 32, tmp_path / "n.onnx")
    assert capfd.readouterr() == ("", "")
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    seen = frames[:5, :32, :32].copy()
    expected = network(torch.from_numpy(seen)).detach().numpy()
    outcome = session.run(None, {"frames": seen})[0]
    np.testing.assert_allclose(outcome, expected, rtol=1e-4, atol=1e-6)
    stored = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert stored < 4 * sum(p.numel() for p in tiny_vgg().features.parameters()) + 20_000
    assert str(Path(torch.__file__).parent).encode() not in (tmp_path / "n.onnx").read_bytes()


# Extraction ----------------------------------------------------------------------------------


def torch_backend(network):
    def compute(frames):
        with torch.inference_mode():
            return network(torch.from_numpy(frames)).half().numpy()

    return Backend(network.dim, compute)


def extract_to(path, corpus, backend, partial, clips="clips.h5"):
    settings = PerceptSettings(**SMALL)
    clips = read_clips([corpus / clips])
    total = sum(clip.frames for clip in clips)
    done = PartialRows(partial, "ab", cut_batches(total, settings.batch_size), backend.dim)
    before = done.done
    extract(clips, backend, settings, done, threads=2)
    with artifacts.create(path, "percepts", NOTHING) as file:
        lengths = [clip.frames for clip in clips]
        write_percepts(file, [clip.name for clip in clips], lengths, done, backend.dim, None)
    done.remove()
    return before


def test_extraction_equals_the_network_frame_by_frame(tmp_path, corpus, monkeypatch):
    # Segments, batches and clips all end at different frames.
    monkeypatch.setattr(extraction, "_SEGMENT_FRAMES", 8)
    network = percepts_of(tiny_vgg())
    extract_to(tmp_path / "p.h5", corpus, torch_backend(network), tmp_path / "partial")
    artifact = read(tmp_path / "p.h5")
    assert artifact["percepts"].dtype == np.float16 and artifact["percepts"].shape == (41, 10)
    assert artifact["video"].tolist() == [b"one.mp4", b"two.mp4"]
    assert artifact["first"].tolist() == [0, 9] and artifact["clip_offsets"].tolist() == [0, 20, 41]
    place = 0
    for name, first, count in (("one.mp4", 0, 20), ("two.mp4", 9, 21)):
        path = corpus / "root" / name
        images = extraction.read_frames(path, rate=30.0, size=(48, 64), crop=(32, 32))
        for image in images[first : first + count]:
            [percept] = network(torch.from_numpy(image[None])).numpy()
            np.testing.assert_allclose(artifact["percepts"][place], percept, rtol=1e-3, atol=1e-4)
            place += 1
    for shard in (0, 1):  # shards hold the same, cut at a clip
        extract_to(
            tmp_path / f"{shard}.h5", corpus, torch_backend(network), tmp_path / "partial",
            f"clips{shard}.h5",
        )  # fmt: skip
    store = PerceptStore([tmp_path / "1.h5", tmp_path / "0.h5"])
    assert store.names == [("one.mp4", 0), ("two.mp4", 9)] and store.dim == 10
    for row, part in ((0, slice(0, 20)), (1, slice(20, 41))):
        np.testing.assert_allclose(
            store.clip(row), artifact["percepts"][part], rtol=2e-3, atol=1e-4
        )


def test_an_interrupted_extraction_ends_with_the_same_bytes(tmp_path, corpus):
    backend = torch_backend(percepts_of(tiny_vgg()))
    extract_to(tmp_path / "whole.h5", corpus, backend, tmp_path / "a")
    left = [3, 1, 10]

    def compute(frames):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return backend.compute(frames)

    for torn in (b"", b"half a block"):  # a block may have been cut short by the kill
        with pytest.raises(KeyboardInterrupt):
            extract_to(tmp_path / "p.h5", corpus, Backend(backend.dim, compute), tmp_path / "b")
        left.pop(0)
        [partial] = (tmp_path / "b").iterdir()
        with partial.open("ab") as file:
            file.write(torn)
    assert extract_to(tmp_path / "p.h5", corpus, backend, tmp_path / "b") == 4 * 7
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not list((tmp_path / "b").iterdir())


def test_damaged_rows_are_computed_again(tmp_path):
    rows = np.arange(30, dtype=np.float16).reshape(10, 3)
    first = PartialRows(tmp_path, "ab", [4, 4, 2], 3)
    first.append(rows[:4])
    first.append(rows[4:8])
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    second = PartialRows(tmp_path, "ab", [4, 4, 2], 3)
    assert second.done == 4
    first.append(rows[8:])  # the other job is alive and writes on: to no harm
    second.append(rows[4:8])
    second.append(rows[8:])
    assert np.array_equal(np.concatenate(list(second)), rows)


def test_percepts_beyond_float16_and_lost_videos_are_errors(tmp_path, corpus):
    huge = Backend(2, lambda frames: np.full((len(frames), 2), np.inf, np.float16))
    with pytest.raises(UserError, match="expected values below 65504"):
        extract_to(tmp_path / "p.h5", corpus, huge, tmp_path / "a")
    clip, _ = read_clips([corpus / "clips.h5"])
    settings = PerceptSettings(**SMALL)
    for wrong in ({"frames": 25}, {"path": Path("/nowhere/x.mp4")}):
        lost = replace(clip, **wrong)
        done = PartialRows(tmp_path / "b", "ab", cut_batches(lost.frames, 7), 2)
        backend = Backend(2, lambda frames: np.zeros((len(frames), 2), np.float16))
        with pytest.raises(UserError, match=r"\.mp4: expected frames 0 to .* index the videos"):
            extract([lost], backend, settings, done)


@pytest.mark.slow
def test_script_resumes_after_kill_9(tmp_path, corpus, cache, run_script):
    def options(output):
        return [
            "--clips", corpus / "clips.h5", "--output", output,
            "--cache", cache, "--threads", "2", "--device", "cpu", "--percepts.batch_size", "1",
            "--percepts", '{"height": 64, "width": 96, "crop_size": 64}',
        ]  # fmt: skip

    run_script("extract_percepts", *options(tmp_path / "whole.h5"))
    script = Path(extraction.__file__).parents[2] / "extract_percepts.py"
    killed = subprocess.Popen([sys.executable, script, *map(str, options(tmp_path / "p.h5"))])
    while killed.poll() is None:
        # Two rows of 1,280 halves: the kill may tear the last one.
        if any(path.stat().st_size > 5120 for path in (cache / "partial").glob("*.rows")):
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        time.sleep(0.001)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "p.h5").exists()
    done = run_script("extract_percepts", *options(tmp_path / "p.h5"))
    assert "resuming at frame" in done.stderr
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert read(tmp_path / "p.h5")["percepts"].shape == (41, 1280)
    # What the default network says of frames does not depend on the backend.
    settings = PerceptSettings(height=64, width=96, crop_size=64, backend="torch")
    network = open_backend(settings, torch.device("cpu"), 1, cache)
    [image] = extraction.read_frames(
        corpus / "root" / "one.mp4", 5, 1, rate=30.0, size=(64, 96), crop=(64, 64)
    )
    expected = network.compute(image[None])[0]
    np.testing.assert_allclose(
        read(tmp_path / "p.h5")["percepts"][5], expected, rtol=2e-3, atol=2e-3
    )
