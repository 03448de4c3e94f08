"""A layer of any convnet as a function of frames."""

from contextlib import suppress
from difflib import get_close_matches

import torch
from torch import nn

from video_lstm.errors import UserError


class _Reached(Exception):  # noqa: N818 (no error: the way out of a network)
    """The chosen layer has given its output; what lies behind it need not run."""


class PerceptNetwork(nn.Module):
    """Frames in, percepts out: normalisation, a convnet up to one of its layers, pooling.

    Args:
        network: the convnet; it may be on the meta device as long as nothing is computed.
        layer: name of the module whose output is taken; of its last call where it is used more
            than once.
        pooling: "average" or "max" over places, or "flatten".
        crop: side of the frames in pixels.
        mean: per channel, subtracted from pixels in 0..255.
        std: per channel, what they are divided by then.
        name: what to call the network in messages.

    Attributes:
        dim: length of a percept.
        unused: names of the modules that lie behind the layer.

    Raises:
        UserError: no such layer, or its output is not one that can be pooled.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        pooling: str,
        crop: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        name: str = "the network",
    ) -> None:
        super().__init__()
        self.eval()
        modules = dict(network.named_modules())
        if layer not in modules:
            near = get_close_matches(layer, modules, n=1)
            known = [module for module in modules if len(module) > 0 and module.count(".") < 2]
            raise UserError(
                f"percepts.layer: expected a module of {name}, found '{layer}'; "
                + (f"did you mean '{near[0]}'? " if near else "")
                + f"known are {', '.join(known)}, and the modules inside these"
            )
        self.network, self.pooling = network.eval(), pooling
        self._name, self._layer, self._calls = name, layer, 0
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        device = next(network.parameters()).device
        images = torch.zeros(2, 3, crop, crop, device=device)
        with torch.inference_mode():
            self._calls = self._count_calls(images)
            self.unused = self._behind(images)
            self.dim = self._pool(self._features(images)).shape[1]

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Percepts of frames.

        Args:
            frames: (N, crop, crop, 3) uint8, RGB.

        Returns:
            (N, dim) float32, or of autocast's type.
        """
        images = frames.permute(0, 3, 1, 2).to(torch.float32)
        return self._pool(self._features((images - self.mean) / self.std))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the layer for normalised images (N, 3, crop, crop)."""
        outputs: list[torch.Tensor] = []

        def leave(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            outputs.append(output)
            # An exporter traces to the end; what the output does not need it then leaves out.
            if len(outputs) == self._calls and not torch.compiler.is_exporting():
                raise _Reached

        handle = self.network.get_submodule(self._layer).register_forward_hook(leave)
        try:
            with suppress(_Reached):
                self.network(images)
        finally:
            handle.remove()
        return outputs[self._calls - 1]

    def _pool(self, output: torch.Tensor) -> torch.Tensor:
        """(N, dim) from (N, dim), from tokens (N, places, dim), or from maps (N, dim, H, W)."""
        if output.ndim == 2 or self.pooling == "flatten":
            return output.flatten(1)
        places = {3: (1,), 4: (2, 3)}[output.ndim]
        return output.mean(places) if self.pooling == "average" else output.amax(places)

    def _count_calls(self, images: torch.Tensor) -> int:
        """How often a forward pass calls the layer; checks what comes out of it."""
        outputs: list[object] = []
        module = self.network.get_submodule(self._layer)
        handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
        self.network(images)
        handle.remove()
        shape = tuple(outputs[-1].shape) if outputs and hasattr(outputs[-1], "shape") else None
        if shape is None or not 2 <= len(shape) <= 4 or shape[0] != len(images):
            found = f"an output of shape {shape}" if shape else "no tensor" if outputs else "no use"
            raise UserError(
                f"percepts.layer: expected a module of {self._name} that gives (N, D), "
                f"(N, places, D) or (N, D, H, W), found {found} at '{self._layer}'; choose another"
            )
        return len(outputs)

    def _behind(self, images: torch.Tensor) -> set[str]:
        """Names of the modules that a forward pass up to the layer does not enter.

        Modules inside one that was run to its end count as used: it may use their weights without
        calling them.
        """
        entered: set[str] = set()
        left: set[str] = {self._layer}
        handles = []
        for name, module in self.network.named_modules():
            handles += [
                module.register_forward_pre_hook(lambda *_, name=name: entered.add(name)),
                module.register_forward_hook(lambda *_, name=name: left.add(name)),
            ]
        self._features(images)
        for handle in handles:
            handle.remove()
        return {
            name
            for name, _ in self.network.named_modules()
            if name not in entered and not any(_inside(name, done) for done in left)
        }


def _inside(name: str, outer: str) -> bool:
    return outer == "" or name.startswith(f"{outer}.")
