"""Compute percepts of frames with a layer of any convnet."""

from contextlib import suppress
from difflib import get_close_matches

import torch
from torch import nn

from video_lstm.errors import UserError


class _StopForward(Exception):  # noqa: N818 (no error: it ends a forward pass)
    """Ends the forward pass after the selected layer."""


class PerceptNetwork(nn.Module):
    """Computes percepts: normalisation, a convnet up to one of its layers, pooling.

    Args:
        network: Convnet; it may be on the meta device until weights are loaded.
        layer: Name of the module whose output is used, "" for the whole network; if it is called
            several times, the last output.
        pooling: "average" or "max" over positions, "flatten", or "token", the first position of
            tokens.
        crop: Side of the frames in pixels.
        mean: Mean of each channel, of pixels in 0..255.
        std: Standard deviation of each channel.
        name: Name of the network in messages.

    Attributes:
        dim: Length of a percept.
        unused: Names of the modules after the layer, which are not run.

    Raises:
        UserError: The layer does not exist, its output cannot be pooled, or the network cannot
            process frames of this size.
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
            matches = get_close_matches(layer, modules, n=1)
            names = [module for module in modules if len(module) > 0 and module.count(".") < 2]
            raise UserError(
                f"percepts.layer: expected a module of {name}, found '{layer}'; "
                + (f"did you mean '{matches[0]}'? " if matches else "")
                + f"known are {', '.join(names)}, and the modules inside these"
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
            self.unused = self._find_unused(images)
            self.dim = self._pool(self._features(images)).shape[1]

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the percepts of frames.

        Args:
            frames: RGB frames, (N, crop, crop, 3) uint8.

        Returns:
            (N, dim) float32, or autocast's dtype.
        """
        images = frames.permute(0, 3, 1, 2).to(torch.float32)
        return self._pool(self._features((images - self.mean) / self.std))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for normalised images (N, 3, crop, crop)."""
        outputs: list[torch.Tensor] = []

        def capture(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            outputs.append(output)
            # An exporter traces the whole network and then drops what the output does not need.
            if len(outputs) == self._calls and not torch.compiler.is_exporting():
                raise _StopForward

        handle = self.network.get_submodule(self._layer).register_forward_hook(capture)
        try:
            with suppress(_StopForward):
                self.network(images)
        finally:
            handle.remove()
        return outputs[self._calls - 1]

    def _pool(self, output: torch.Tensor) -> torch.Tensor:
        """Pool (N, dim), tokens (N, positions, dim), or feature maps (N, dim, H, W) to (N, dim)."""
        if output.ndim == 2 or self.pooling == "flatten":
            return output.flatten(1)
        if self.pooling == "token":
            if output.ndim != 3:
                raise UserError(
                    f"percepts.pooling: expected tokens (N, positions, D) for 'token', found "
                    f"{tuple(output.shape)} at '{self._layer}' of {self._name}; choose the last "
                    "normalisation of a transformer as percepts.layer, or another pooling"
                )
            return output[:, 0]
        axes = {3: (1,), 4: (2, 3)}[output.ndim]
        return output.mean(axes) if self.pooling == "average" else output.amax(axes)

    def _count_calls(self, images: torch.Tensor) -> int:
        """Count the calls of the layer in a forward pass, and check its output."""
        outputs: list[object] = []
        module = self.network.get_submodule(self._layer)
        handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
        try:
            self.network(images)
        except (AssertionError, RuntimeError) as error:
            raise unsuitable_size(self._name, images.shape[-1], error) from error
        handle.remove()
        shape = tuple(outputs[-1].shape) if outputs and hasattr(outputs[-1], "shape") else None
        if shape is None or not 2 <= len(shape) <= 4 or shape[0] != len(images):
            output = (
                f"an output of shape {shape}" if shape else "no tensor" if outputs else "no call"
            )
            raise UserError(
                f"percepts.layer: expected a module of {self._name} that returns (N, D), "
                f"(N, positions, D) or (N, D, H, W), found {output} at '{self._layer}'; "
                "choose another"
            )
        return len(outputs)

    def _find_unused(self, images: torch.Tensor) -> set[str]:
        """Return the names of the modules that a forward pass up to the layer does not call.

        Children of a module that finished count as used: it may use their weights without calling
        them.
        """
        started: set[str] = set()
        finished: set[str] = {self._layer}
        handles = []
        for name, module in self.network.named_modules():
            handles += [
                module.register_forward_pre_hook(lambda *_, name=name: started.add(name)),
                module.register_forward_hook(lambda *_, name=name: finished.add(name)),
            ]
        self._features(images)
        for handle in handles:
            handle.remove()
        return {
            name
            for name, _ in self.network.named_modules()
            if name not in started and not any(_is_inside(name, module) for module in finished)
        }


def unsuitable_size(name: str, crop: int, error: Exception) -> UserError:
    """Return the error for a network that cannot process frames of a size."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"percepts.crop_size: {name} cannot process frames of {crop} x {crop} pixels ({reason}); "
        "choose another size"
    )


def _is_inside(name: str, outer: str) -> bool:
    return outer == "" or name.startswith(f"{outer}.")
