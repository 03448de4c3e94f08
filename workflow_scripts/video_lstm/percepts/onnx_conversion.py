"""Convert a convnet to ONNX once, cache it, and run it with ONNX Runtime on a CPU."""

import hashlib
import json
import logging
import shutil
import warnings
from importlib import metadata
from pathlib import Path

import onnxruntime
import torch

from video_lstm.artifacts import identity, temporary_path, translate_write_errors
from video_lstm.code import code_hash
from video_lstm.percepts.networks import build_network, weights_path
from video_lstm.percepts.percept_network import PerceptNetwork
from video_lstm.settings.percepts import PerceptSettings

logger = logging.getLogger("video_lstm")

_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
_NETWORK_SETTINGS = {"network", "weights_sha256", "layer", "pooling", "crop_size"}


def open_session(settings: PerceptSettings, folder: Path) -> onnxruntime.InferenceSession:
    """Open the convnet of the settings in an ONNX Runtime session on the CPU.

    Args:
        settings: Network, layer and pooling.
        folder: Cache folder for conversions, which several jobs may share. A conversion is named
            by a hash of the network, its weights, this code and the versions of the libraries.

    Returns:
        Session with input `frames` (N, crop, crop, 3) uint8 and output `percepts` (N, dim)
        float32. It computes in one thread; several threads may run it at the same time.

    Raises:
        UserError: See `build_network`.
    """
    converted = folder / conversion_key(settings)
    if not converted.is_dir():
        logger.info("converting %s for ONNX Runtime (once)", settings.network)
        network = build_network(settings)
        with translate_write_errors(converted):
            temporary = temporary_path(converted)
            temporary.mkdir()
            try:
                convert(network, settings.crop_size, temporary / "network.onnx")
                temporary.rename(converted)
            except OSError:
                if not converted.is_dir():  # else another job was first, with the same result
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    options = onnxruntime.SessionOptions()
    # Threads that share the layers of one batch would wait for each other at every layer.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        converted / "network.onnx", options, providers=["CPUExecutionProvider"]
    )


def conversion_key(settings: PerceptSettings) -> str:
    """Return the name of a conversion, a SHA-256 of everything that it depends on."""
    path = weights_path(settings)
    dependencies = {
        "network": settings.model_dump(include=_NETWORK_SETTINGS),
        "weights": identity(path) if path else None,
        "code": code_hash(Path(__file__)),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
    return hashlib.sha256(json.dumps(dependencies, sort_keys=True).encode()).hexdigest()


def convert(network: PerceptNetwork, crop: int, path: Path) -> None:
    """Write a network as ONNX, with its weights in a separate file in the same folder.

    Args:
        network: Network on the CPU.
        crop: Side of the frames in pixels; the batch size stays dynamic.
        path: File to write.
    """
    frames = torch.zeros(2, crop, crop, 3, dtype=torch.uint8)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        # It warns of missing optional libraries and of its own deprecations.
        exporter.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (frames,),
                dynamo=True,
                dynamic_shapes={"frames": {0: torch.export.Dim("n", min=1, max=65536)}},
                input_names=["frames"],
                output_names=["percepts"],
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    # Python stack traces would put paths of this machine into the file.
    program.model.metadata_props.clear()
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.save(path, external_data=True)
