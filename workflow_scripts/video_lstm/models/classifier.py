"""Video classifiers: an LSTM over percepts, and a softmax on single frames (paper, section 3)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.models.lstm import Backend, LSTMStack, PeepholeLSTM, dropout
from video_lstm.models.matmul import Linear


class LSTMClassifier(nn.Module):
    """Stacked LSTM with a softmax on the top layer's output at every step (paper, section 3.4).

    Args:
        frame_size: D, number of values of a percept.
        hidden_size: H, LSTM units per layer.
        num_layers: Number of LSTM layers.
        classes: K, number of classes.
        dropout: Probability of zeroing a value between layers and before the softmax, never between
            time steps (Zaremba et al. 2014). Percepts are not dropped: the encoder was pretrained
            without dropout on its input.
        forget_bias: Initial bias of the forget gates.
        backend: LSTM implementation, see PeepholeLSTM.
        generator: Random generator for the weights: first the LSTM's, then the softmax's.
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
        """Copy the weights of a pretrained encoder.

        Raises:
            RuntimeError: The encoder has other sizes.
        """
        self.encoder.load_state_dict(model.encoder.state_dict())

    def features(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the input of the softmax, the top layer's h (T, B, H), for percepts (T, B, D)."""
        return self.encoder(x, generator=generator)[0]

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Classify every step.

        Args:
            x: Percepts (T, B, D) float32.
            generator: Random generator for dropout; required in training if dropout > 0.

        Returns:
            Logits (T, B, K) float32.
        """
        hidden = self.features(x, generator)
        return self.softmax(dropout(hidden, self.dropout, self.training, generator))


class SingleFrameClassifier(nn.Module):
    """Softmax on the percept of a single frame (paper, section 3.4).

    Args:
        frame_size: D, number of values of a percept.
        classes: K, number of classes.
        dropout: Probability of zeroing a value of the percept in training.
        generator: Random generator for the weights.
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
        """Return the input of the softmax: the percepts (T, B, D) themselves."""
        return x

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return logits (T, B, K) for percepts (T, B, D); frames are independent."""
        return self.softmax(dropout(x, self.dropout, self.training, generator))


def classifier_loss(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the cross-entropy in nats, averaged over all steps that are not padding.

    Args:
        logits: (T, B, K) float32.
        labels: (B,) int64, class of each block.
        mask: (T, B) bool, true for frames of the video, false for padding; None: no padding.

    Returns:
        Scalar loss.
    """
    steps, batch, _ = logits.shape
    losses = F.cross_entropy(
        logits.flatten(0, 1), labels.expand(steps, batch).reshape(-1), reduction="none"
    )
    if mask is None:
        return losses.mean()
    weights = mask.reshape(-1).to(losses)
    return (losses * weights).sum() / weights.sum()


def predict_blocks(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the class probabilities of blocks: the softmax averaged over steps.

    Args:
        logits: (T, B, K) float32.
        mask: (T, B) bool, true for frames of the video, false for padding; None: no padding.

    Returns:
        (B, K) float32; rows sum to 1.
    """
    probabilities = logits.softmax(2)
    if mask is None:
        return probabilities.mean(0)
    weights = mask.to(probabilities).unsqueeze(2)
    return (probabilities * weights).sum(0) / weights.sum(0)
