"""What a part of the configuration is, and the types that several parts use."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Stream = Literal["rgb", "motion", "flow1", "flow10"]
"""Percepts of frames; the same, read as movement; of single flows; of stacks of 10 flows."""


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _over_its_default(cls, values: Any) -> Any:
        """A section that is given in part keeps the rest of the default it has in this place."""
        if not isinstance(values, Mapping):
            return values
        defaults = {
            key: field.default.model_dump(exclude_unset=True)
            for key, field in cls.model_fields.items()
            if isinstance(field.default, Section) and isinstance(values.get(key), Mapping)
        }
        return {
            key: merged(defaults[key], value) if key in defaults else value
            for key, value in values.items()
        }


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping laid over another."""
    both = {
        key: merged(under[key], over[key])
        for key in under.keys() & over.keys()
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping)
    }
    return {**under, **over, **both}
