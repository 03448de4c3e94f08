"""Training steps captured as CUDA graphs, which a GPU replays without Python in between."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_WARM_UP_CALLS = 3

Step = Callable[[], Tensor]
"""Function that computes a tensor with the same shapes and in-place updates at every call."""


def capture_cuda_graph(step: Step) -> Step:
    """Capture a step as a CUDA graph; return a function that replays it into the same tensors.

    The step runs a few times before, as CUDA's libraries require. The tensors that it creates,
    gradients included, keep their memory and are overwritten by each replay.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_CALLS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may copy the next batch during the capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = step()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


CAPTURE_FUNCTIONS: dict[str, Callable[[Step], Step]] = {"cuda": capture_cuda_graph}
"""Capture function by device type; on other devices every step runs in Python."""


class CapturedStep:
    """Step that is captured at its first call and replayed with inputs copied into its buffers.

    Args:
        step: Function of a step's inputs; it must not draw random numbers, and shapes are constant.
        clear_gradients: Called before each run in Python: resets gradients to None, so that they
            are allocated and not accumulated.
        device: Device of the inputs; None: the step is not captured.
    """

    def __init__(
        self,
        step: Callable[..., Tensor],
        clear_gradients: Callable[[], None],
        device: torch.device | None,
    ) -> None:
        self._step, self._clear_gradients = step, clear_gradients
        self._capture = None if device is None else CAPTURE_FUNCTIONS.get(device.type)
        self._buffers: list[Tensor] = []
        self._replay: Step | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run the step on these inputs and return its result."""
        if self._capture is None:
            return self._run(inputs)
        if self._replay is None:
            self._buffers = [value.clone() for value in inputs]
            self._replay = self._capture(lambda: self._run(self._buffers))
        for buffer, value in zip(self._buffers, inputs, strict=True):
            buffer.copy_(value)
        return self._replay()

    def _run(self, inputs: Sequence[Tensor]) -> Tensor:
        self._clear_gradients()
        return self._step(*inputs)
