"""Representations of blocks of percepts by a frozen encoder, or by the mean percept."""

import torch
from torch import Tensor, nn

from video_lstm.models.lstm import LSTMStack
from video_lstm.models.standardize import Standardize


class BlockEncoder(nn.Module):
    """Frozen encoder that maps blocks of percepts to fixed-size representations.

    Args:
        standardize: Standardisation of the percepts.
        stack: LSTM encoder; None represents a block by its mean percept, or, on stream `motion`,
            where that mean is zero, by the mean of the absolute values.
    """

    def __init__(self, standardize: Standardize, stack: LSTMStack | None) -> None:
        super().__init__()
        self.standardize, self.stack = standardize, stack

    @torch.inference_mode()
    def forward(self, percepts: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Encode blocks, without their padding.

        Args:
            percepts: (T, B, D) float32.
            mask: (T, B) bool, true for frames of the video, false for padding, which comes last.

        Returns:
            `state`, (B, 2 * num_layers * H): h and c of every layer after the last frame, lowest
            layer first; `mean`, (B, H): top layer's h averaged over time. Without an encoder only
            `mean`, (B, D): the mean percept, or mean absolute motion.
        """
        lengths = mask.sum(0)
        representations: dict[str, Tensor] = {}
        for length in lengths.unique().tolist():
            rows = lengths == length
            for name, values in self._encode_unpadded(percepts[:length, rows]).items():
                if name not in representations:
                    representations[name] = values.new_empty(len(lengths), values.shape[1])
                representations[name][rows] = values
        return representations

    def _encode_unpadded(self, percepts: Tensor) -> dict[str, Tensor]:
        """Encode blocks (T, B, D) without padding."""
        frames = self.standardize(percepts)
        if self.stack is None:
            is_motion = self.standardize.motion_scale is not None
            return {"mean": (frames.abs() if is_motion else frames).mean(0)}
        hidden, state = self.stack(frames)
        return {"state": torch.cat([tensor for h, c in state for tensor in (h, c)], 1),
                "mean": hidden.mean(0)}  # fmt: skip
