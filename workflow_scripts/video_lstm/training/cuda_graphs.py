"""Training steps that a GPU repeats from a recording, without Python in between (CUDA graphs)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_WARM_UP = 3

Work = Callable[[], Tensor]
"""Work of the same shapes at each call, that changes tensors in place; its result."""


def cuda_graph(work: Work) -> Work:
    """Record work on a GPU; what is returned repeats it, and gives the same tensor each time.

    The work is done a few times before, as CUDA's libraries ask for. Tensors that it makes stay
    where they were made, gradients too, and are overwritten by each repetition.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on reading ahead meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


CAPTURE_FUNCTIONS: dict[str, Callable[[Work], Work]] = {"cuda": cuda_graph}
"""How work is recorded, by type of device; elsewhere it is done anew each time."""


class CapturedStep:
    """A step over buffers that its inputs are copied into, recorded at the first call.

    Args:
        step: from a step's inputs to a result; draws nothing, and its shapes do not change.
        clear_gradients: called before each run that is not a repetition: forgets the gradients, so
            that they are made and not added to.
        device: where the inputs are; None: nothing is recorded.
    """

    def __init__(
        self,
        step: Callable[..., Tensor],
        clear_gradients: Callable[[], None],
        device: torch.device | None,
    ) -> None:
        self._step, self._clear_gradients = step, clear_gradients
        self._record = device and CAPTURE_FUNCTIONS.get(device.type)
        self._buffers: list[Tensor] = []
        self._replay: Work | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The step's result on these inputs."""
        if self._record is None:
            return self._run(inputs)
        if self._replay is None:
            self._buffers = [value.clone() for value in inputs]
            self._replay = self._record(lambda: self._run(self._buffers))
        for buffer, value in zip(self._buffers, inputs, strict=True):
            buffer.copy_(value)
        return self._replay()

    def _run(self, inputs: Sequence[Tensor]) -> Tensor:
        self._clear_gradients()
        return self._step(*inputs)
