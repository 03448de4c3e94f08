"""Classifiers of videos: an LSTM over percepts, and a softmax on single ones (paper, section 3)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.models.lstm import Backend, LSTMStack, PeepholeLSTM, dropout
from video_lstm.models.matmul import Linear


class LSTMClassifier(nn.Module):
    """An LSTM stack with a softmax on the top layer's output at every step (paper, section 3.4).

    Args:
        frame_size: D, the values of a percept.
        hidden_size: H, the units of every layer.
        num_layers: how many.
        classes: K.
        dropout: probability of dropping a value on its way from a layer to the next and from the
            top one to the softmax; never in time (Zaremba et al. 2014). The percepts themselves
            are left whole: an encoder that was pretrained on whole ones has no use for torn ones.
        forget_bias: see PeepholeLSTM.
        backend: see PeepholeLSTM.
        generator: draws the weights: the stack, then the softmax.
    """

    def __init__(
        self,
        frame_size: int,
        hidden_size: int,
        num_layers: int,
        classes: int,
        *,
        dropout: float = 0.0,
        forget_bias: float = 0.0,
        backend: Backend = "auto",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder = LSTMStack(
            frame_size,
            hidden_size,
            num_layers,
            dropout=dropout,
            forget_bias=forget_bias,
            cell=partial(PeepholeLSTM, backend=backend),
            generator=generator,
        )
        self.softmax = Linear(hidden_size, classes, generator=generator)

    def load_encoder(self, model: EncoderDecoder) -> None:
        """Starts from the weights of a pretrained encoder of the same sizes.

        Raises:
            RuntimeError: its sizes are other ones.
        """
        self.encoder.load_state_dict(model.encoder.state_dict())

    def features(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the softmax reads of percepts (T, B, D): the top layer's h, (T, B, H)."""
        return self.encoder(x, generator=generator)[0]

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Classifies at every step.

        Args:
            x: (T, B, D).
            generator: draws the dropout in training.

        Returns:
            Logits (T, B, K).
        """
        hidden = self.features(x, generator)
        return self.softmax(dropout(hidden, self.dropout, self.training, generator))


class SingleFrameClassifier(nn.Module):
    """A softmax on one frame's percept (paper, section 3.4).

    Args:
        frame_size: D, the values of a percept.
        classes: K.
        dropout: probability of dropping a value of the percept in training.
        generator: draws the weights.
    """

    def __init__(
        self,
        frame_size: int,
        classes: int,
        *,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.softmax = Linear(frame_size, classes, generator=generator)

    def features(self, x: Tensor) -> Tensor:
        """What the softmax reads of percepts (T, B, D): themselves."""
        return x

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits (T, B, K) of percepts (T, B, D), each on its own."""
        return self.softmax(dropout(x, self.dropout, self.training, generator))


def classifier_loss(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """The cross-entropy at every step of a block, in nats, averaged over the steps that count.

    Args:
        logits: (T, B, K).
        labels: (B,), the class of each block.
        mask: (T, B), true where a frame is of the video and not padding; None: everywhere.

    Returns:
        A scalar.
    """
    steps, batch, _ = logits.shape
    errors = F.cross_entropy(
        logits.flatten(0, 1), labels.expand(steps, batch).reshape(-1), reduction="none"
    )
    if mask is None:
        return errors.mean()
    weights = mask.reshape(-1).to(errors)
    return (errors * weights).sum() / weights.sum()


def predict_blocks(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """A block's class probabilities: the mean of its steps' softmaxes.

    Args:
        logits: (T, B, K).
        mask: (T, B), true where a frame is of the video and not padding; None: everywhere.

    Returns:
        (B, K); rows sum to 1.
    """
    scores = logits.softmax(2)
    if mask is None:
        return scores.mean(0)
    weights = mask.to(scores).unsqueeze(2)
    return (scores * weights).sum(0) / weights.sum(0)
