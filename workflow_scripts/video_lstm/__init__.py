"""Unsupervised learning of video representations using LSTMs (Srivastava et al. 2015).

The names below are public: docs/python.md documents them, and they keep their meaning within a
major version. All other modules serve the workflow and may change.
"""

from importlib import import_module
from typing import Any

# Imported on first use, since most scripts of the workflow do without PyTorch. Their types are in
# __init__.pyi.
_MODULES = {
    "VARIANTS": "models.encoder_decoder",
    "EncoderDecoder": "models.encoder_decoder",
    "LSTMClassifier": "models.classifier",
    "LSTMStack": "models.lstm",
    "PeepholeConvLSTM": "models.convlstm",
    "PeepholeLSTM": "models.lstm",
    "PerceptStore": "sequences.percepts",
    "load_classifier": "training.finetuning",
    "load_pretrained": "training.pretrained",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'video_lstm' has no attribute '{name}'")
    return getattr(import_module(f"video_lstm.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
