"""Representations of blocks: what a frozen encoder makes of them, or plain means of percepts."""

import torch
from torch import Tensor, nn

from video_lstm.models.lstm import LSTMStack
from video_lstm.models.standardize import Standardize


class BlockEncoder(nn.Module):
    """Represents blocks of percepts.

    Args:
        standardize: what percepts are read through.
        stack: the encoder; None: percepts stand for themselves, those of the stream `motion`, whose
            mean is zero, by their absolute values.
    """

    def __init__(self, standardize: Standardize, stack: LSTMStack | None) -> None:
        super().__init__()
        self.standardize, self.stack = standardize, stack

    @torch.inference_mode()
    def forward(self, percepts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Representations of blocks, of their frames without the padding.

        Args:
            percepts: (T, B, D).
            mask: (T, B), true where a frame is of the video; padding comes last.

        Returns:
            `state`, (B, 2 * layers * H): h and c of every layer after the last frame, the lowest
            layer first; `mean`, (B, H): the mean over the steps of the top layer's h. Without an
            encoder only `mean`, (B, D): of the percepts, or of their absolute movement.
        """
        lengths = mask.sum(0)
        parts: dict[str, Tensor] = {}
        for length in lengths.unique().tolist():
            rows = lengths == length
            for name, values in self._whole(percepts[:length, rows]).items():
                if name not in parts:
                    parts[name] = values.new_empty(len(lengths), values.shape[1])
                parts[name][rows] = values
        return parts

    def _whole(self, percepts: Tensor) -> dict[str, Tensor]:
        """The same of blocks (T, B, D) without padding."""
        frames = self.standardize(percepts)
        if self.stack is None:
            is_motion = self.standardize.motion_scale is not None
            return {"mean": (frames.abs() if is_motion else frames).mean(0)}
        hidden, state = self.stack(frames)
        return {"state": torch.cat([part for h, c in state for part in (h, c)], 1),
                "mean": hidden.mean(0)}  # fmt: skip
