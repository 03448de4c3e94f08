"""The base class of all sections of the configuration, and types that several sections use."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Stream = Literal["rgb", "motion", "flow1", "flow10"]
"""Percepts of RGB frames (`rgb`, and `motion` with the mean subtracted), of single optical flow
fields (`flow1`) and of stacks of 10 (`flow10`)."""


class Section(BaseModel):
    """Base class of a section of the configuration: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_other_defaults(cls, values: Any) -> Any:
        """Fill a partial subsection with the default that its field has in this section."""
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
    """Merge two nested mappings; values of `over` win."""
    both = {
        key: merged(under[key], over[key])
        for key in under.keys() & over.keys()
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping)
    }
    return {**under, **over, **both}
