"""Turn the flow of clips into percepts: fc6 of a temporal-stream convnet.

Reads a shard of flow and a trained convnet; writes one percept for each stack of flows. Percept t
of a clip is computed from the centre crops of flows t to t + L - 1; a clip with fewer than L flows
has one percept, with its last flow repeated. An interrupted job resumes from its last batch.
"""

from pathlib import Path

import torch

from video_lstm import artifacts
from video_lstm.command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.flow.storage import FlowStore
from video_lstm.percepts.extract import write_percepts
from video_lstm.percepts.flow_percepts import FlowPercepts, read_convnet
from video_lstm.percepts.partial_rows import PartialRows


class Arguments(DeviceCommandLine):
    """Command line."""

    flow: Path
    """A shard of flow."""
    convnet: Path
    """The trained temporal-stream convnet."""
    cache: Path = Path("results/checkpoints")
    """Cache folder for the progress of interrupted jobs."""
    output: Path
    """Artifact to write: percepts float16 (stacks, fc6), with the clips' names and offsets."""


def main(arguments: Arguments) -> None:
    """Extract and write the artifact."""
    torch.set_num_threads(arguments.threads)
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(
        {"flow": arguments.flow, "convnet": arguments.convnet}, device_name
    )
    store = FlowStore([arguments.flow])
    network = read_convnet(arguments.convnet, store, arguments.flow).to(device)
    percepts = FlowPercepts(store, network)
    key = provenance.attributes("percepts")["identity"]
    rows = PartialRows(arguments.cache / "partial", key, percepts.sizes, percepts.dim)
    percepts.extract(rows, arguments.threads)
    with artifacts.create(arguments.output, "percepts", provenance) as file:
        write_percepts(file, store.names, percepts.lengths, rows, percepts.dim, store.rate)
    rows.remove()


if __name__ == "__main__":
    run(main, Arguments)
