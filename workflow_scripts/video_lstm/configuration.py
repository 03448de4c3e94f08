"""Load a configuration, and report all its mistakes at once with what to write instead."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from video_lstm.errors import UserError
from video_lstm.settings.pipeline import Settings

_RENAMED = {
    "batch": ["batch_size"],
    "centre": ["subtract_mean"],
    "clip_norm": ["max_grad_norm"],
    "colour": ["color"],
    "count": ["num_splits"],
    "crop": ["crop_size"],
    "digits": ["num_digits"],
    "draws": ["num_draws"],
    "encoder_rate": ["encoder_lr_scale"],
    "feedback_rate": ["feedback_lr_scale"],
    "frames": ["block_frames"],
    "head": ["softmax_init"],
    "input_rate": ["input_lr_scale"],
    "kernel": ["kernel_size"],
    "layers": ["num_layers"],
    "map_patch": ["patch_size"],
    "normalisation": ["normalization"],
    "patience": ["early_stopping_patience"],
    "pile_seconds": ["unlabelled_seconds"],
    "pile_videos": ["unlabelled_videos"],
    "processes": ["num_processes"],
    "rate": ["frame_rate"],
    "sampling": ["scheduled_sampling"],
    "sampling_rise": ["scheduled_sampling_warmup"],
    "seconds": ["labelled_seconds"],
    "shards": ["num_shards"],
    "size": ["image_size", "patch_size"],
    "small": ["small_set_labels"],
    "stride": ["block_stride"],
    "test": ["test_fraction", "test_groups"],
    "test_sequences": ["num_test_sequences"],
    "test_videos": ["test_fraction"],
    "train_sequences": ["num_train_sequences"],
    "units": ["hidden_size", "hidden_sizes"],
    "validation": ["validation_fraction"],
}
"""Keys of earlier versions, and the keys that replace them in one section or another."""
_REPLACED = {
    "pretraining.percepts.centre": "the stream 'motion'",
    "finetuning.freeze_encoder": "'encoder_lr_scale: 0'",
}
"""Settings of earlier versions without a direct successor, and what to write instead."""


def load_settings(config: Mapping[str, Any], source: str = "config") -> Settings:
    """Validate a configuration and fill in the defaults.

    Args:
        config: Configuration as read from YAML.
        source: Name of the configuration in messages, usually the file name.

    Raises:
        UserError: The configuration is wrong. The message lists every unknown key with the nearest
            valid one, and every wrong value with its key.
    """
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        problems = [_explain(dict(problem)) for problem in error.errors()]
        raise UserError(f"{source}: " + "; ".join(problems)) from error


def _explain(problem: dict[str, Any]) -> str:
    """Describe one of pydantic's errors so that the user can fix it."""
    # pydantic adds the names of union members to the path of a key.
    unions = {"fraction", "group", "list", "constrained-int", "literal['all']"}
    keys = [part for part in problem["loc"] if part not in unions]
    path = ".".join(map(str, keys)) or "the configuration"
    if problem["type"] == "extra_forbidden":
        if path in _REPLACED:
            return f"unknown setting '{path}'; it is replaced by {_REPLACED[path]}"
        known = _known_keys(problem["loc"][:-1])
        for key in _RENAMED.get(str(keys[-1]), ()):
            if key in known:
                return f"unknown setting '{path}'; it is called '{key}' now"
        near = difflib.get_close_matches(str(keys[-1]), known, n=1, cutoff=0.0)
        return f"unknown setting '{path}'; did you mean '{near[0]}'?" if near else path
    if problem["type"] == "missing":
        return f"'{path}' is required"
    value = problem["input"]
    if problem["type"] in ("model_type", "dict_type"):
        known = "" if path == "datasets" else f", such as '{_known_keys(problem['loc'])[0]}'"
        return f"'{path}': expected keys below it{known}, found {value!r}"
    message = problem["msg"].removeprefix("Value error, ")
    suffix = "" if isinstance(value, dict) else f", found {value!r}"
    return f"'{path}': {message[0].lower()}{message[1:]}{suffix}"


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section at `path` may have."""
    models: list[type[BaseModel]] = [Settings]
    for part in path:
        inner = [
            model
            for outer in models
            if part in outer.model_fields
            for model in _models_in(outer.model_fields[str(part)].annotation)
        ]
        # Names of data sets and tags of unions are not fields of a model.
        models = inner or models
    return [key for model in models for key in model.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a type annotation contains."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
