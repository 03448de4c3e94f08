"""A convnet as ONNX Runtime runs it on a CPU: converted once, then read from a folder."""

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
_OF_THE_NETWORK = {"network", "weights_sha256", "layer", "pooling", "crop"}


def open_session(
    settings: PerceptSettings, folder: Path, threads: int
) -> onnxruntime.InferenceSession:
    """The network that the settings name as a session of ONNX Runtime on the CPU.

    Args:
        settings: which network, layer and pooling.
        folder: where conversions are kept. Each has a name that follows from the network, its
            weights, this code and the versions of the libraries; several jobs may share the folder.
        threads: CPU threads of the session.

    Returns:
        Session with input `frames` (N, crop, crop, 3) uint8 and output `percepts` (N, dim) float32.

    Raises:
        UserError: as `build_network`.
    """
    kept = folder / conversion_key(settings)
    if not kept.is_dir():
        logger.info("converting %s for ONNX Runtime (once)", settings.network)
        network = build_network(settings)
        with translate_write_errors(kept):
            begun = temporary_path(kept)
            begun.mkdir()
            try:
                convert(network, settings.crop_size, begun / "network.onnx")
                begun.rename(kept)
            except OSError:
                if not kept.is_dir():  # else another job was first, with the same outcome
                    raise
            finally:
                shutil.rmtree(begun, ignore_errors=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for work would otherwise take time from those that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        kept / "network.onnx", options, providers=["CPUExecutionProvider"]
    )


def conversion_key(settings: PerceptSettings) -> str:
    """Name of a conversion: a hash of all that it depends on (64 hexadecimal digits)."""
    path = weights_path(settings)
    told = {
        "network": settings.model_dump(include=_OF_THE_NETWORK),
        "weights": identity(path) if path else None,
        "code": code_hash(Path(__file__)),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def convert(network: PerceptNetwork, crop: int, path: Path) -> None:
    """Write a network as ONNX, its weights in a file beside it.

    Args:
        network: on the CPU.
        crop: side of the frames in pixels; their number stays open.
        path: file to write.
    """
    frames = torch.zeros(2, crop, crop, 3, dtype=torch.uint8)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        # It warns of libraries that are not there and of its own deprecations: nothing to act on.
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
    # Without the traces of Python calls, which would put this machine's paths into the file.
    program.model.metadata_props.clear()
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.save(path, external_data=True)
