"""Write the reference of all settings, docs/settings.md, from the model that checks them.

A test keeps the file in step: run this after a change in video_lstm/settings.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from command_line import CommandLine, run
from video_lstm.settings.base import Section
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.training import TrainingSettings

_HEAD = """# Settings

Made from `workflow_scripts/video_lstm/settings/` by
`python workflow_scripts/document_settings.py`. A configuration says what differs from these
defaults; a key that is not here is refused, with the nearest one that is.

`datasets.NAME` stands for a labelled set by a name of yours. A setting without a default is
required. Every section `training` has the keys of [training](#training); its defaults that differ
are given where the section is listed.
"""
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class Arguments(CommandLine):
    """Where to."""

    output: Path = Path("docs/settings.md")
    """The file to write."""


def main(arguments: Arguments) -> None:
    """Write the reference."""
    arguments.output.write_text(reference())


def reference() -> str:
    """The whole reference, in Markdown."""
    sections = [*_section(Settings, "", None), *_section(TrainingSettings, "training", None)]
    return "\n".join([_HEAD, *sections])


def _section(model: type[Section], path: str, default: Section | None) -> Iterator[str]:
    """A heading and a table of a section, then the sections in it."""
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    yield f"## {path or 'Top level'}\n\n{about}\n"
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    inner: list[tuple[str, type[Section], Section | None]] = []
    for key, field in model.model_fields.items():
        value = getattr(default, key) if default is not None else field.default
        sections = _sections(field.annotation)
        meaning = " ".join((field.description or "").split())
        if field.annotation is TrainingSettings:
            own = value.model_dump(mode="json", exclude_defaults=True)
            default_text = f"`{json.dumps(own)}`" if own else ""
            yield _row(key, "[training](#training)", default_text, meaning)
            continue
        named = f"{key}.NAME" if get_origin(field.annotation) is dict else key
        place = f"{path}.{named}" if path else named
        for kind in sections:
            tag = f" (by: {kind.model_fields['by'].annotation.__args__[0]})" if (
                len(sections) > 1) else ""  # fmt: skip
            inner.append((place + tag, kind, value if isinstance(value, kind) else None))
        default_text = "" if sections or field.is_required() else f"`{json.dumps(value)}`"
        yield _row(key, "see below" if sections else _values(field), default_text, meaning)
    yield ""
    for place, kind, inner_default in inner:
        yield from _section(kind, place, inner_default)


def _row(key: str, *cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key}`", *cells)) + " |"


def _sections(annotation: Any) -> list[type[Section]]:
    """Sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _sections(part)]


def _values(field: FieldInfo) -> str:
    return " ".join([_type(field.annotation), *_bounds(field.metadata)])


def _bounds(metadata: list[Any]) -> Iterator[str]:
    for bound in metadata:
        if isinstance(bound, FieldInfo):
            yield from _bounds(bound.metadata)
        if isinstance(bound, annotated_types.BaseMetadata):
            for name, sign in _BOUNDS.items():
                if (value := getattr(bound, name, None)) is not None:
                    yield f"{sign} {value}"


def _type(annotation: Any) -> str:
    """A type as Python names it: numbers with their bounds, choices with their values."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([_type(inside[0]), *_bounds(list(inside[1:]))])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in inside)
    if origin in (list, tuple):
        return f"{origin.__name__}[{_type(inside[0])}]"
    return {NoneType: "null"}.get(annotation, annotation.__name__)


if __name__ == "__main__":
    run(main, Arguments)
