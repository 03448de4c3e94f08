"""Command line, log, error messages and signals of all scripts.

A script declares its arguments as a pydantic model and passes its main function to `run`. Each
field is an option. A section of the settings is one option that takes JSON
(`--flow '{"method": "dis"}'`) and a dotted option for each of its keys (`--flow.method dis`), which
overrides it.
"""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError
from pydantic_core import PydanticUndefined

from video_lstm import artifacts
from video_lstm.code import code_hash
from video_lstm.errors import UserError, is_out_of_memory
from video_lstm.settings.base import Section

logger = logging.getLogger("video_lstm")


class CommandLine(BaseModel):
    """Arguments of every script."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    not_identity: ClassVar[set[str]] = {
        "log", "threads", "device", "checkpoints", "checkpoint_seconds", "tensorboard"
    }  # fmt: skip
    """Fields that do not affect the output; the provenance leaves them out."""

    log: Path | None = None
    """Log file to append progress and tracebacks to."""
    threads: int = 1
    """Number of CPU threads."""

    def provenance(
        self, inputs: Mapping[str, Path | str], device: str = "cpu"
    ) -> artifacts.Provenance:
        """Return the provenance of the script's output.

        Args:
            inputs: Input artifacts and files by role; a string is a digest that is known already.
            device: "cpu", or the name of the GPU.
        """
        settings = self.model_dump(mode="json", exclude=self.not_identity)
        paths = {name for name in settings if _is_path(type(self).model_fields[name].annotation)}
        script = Path(sys.modules[type(self).__module__].__file__ or "")
        return artifacts.Provenance(
            stage=script.stem,
            settings={name: value for name, value in settings.items() if name not in paths},
            code=code_hash(script),
            inputs={
                role: artifacts.identity(paths_or_path)
                if isinstance(paths_or_path, Path)
                else paths_or_path
                for role, paths_or_path in inputs.items()
            },
            device=device,
        )


class DeviceCommandLine(CommandLine):
    """Arguments of a script that uses a GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to compute on; `auto` uses a GPU if there is one."""


class TrainingCommandLine(DeviceCommandLine):
    """Arguments of a script that trains a model."""

    checkpoints: Path = Path("results/checkpoints")
    """Folder for checkpoints, from which an interrupted job resumes."""
    checkpoint_seconds: PositiveFloat = 60.0
    """Seconds between two checkpoints of a training."""
    tensorboard: Path | None = None
    """Folder to write training curves for TensorBoard to; by default none are written."""


class NewVideosCommandLine(DeviceCommandLine):
    """Arguments of a script that extracts percepts of new videos."""

    weights: Path | None = None
    """Weights of the percept network, for streams `rgb` and `motion`; by default the file that was
    used in training."""
    flow_convnet: Path | None = None
    """Flow convnet, for streams `flow1` and `flow10`, such as
    results/flow_convnet/demo/split1/flow1.h5."""
    features: Path | None = None
    """Folder of features of the videos, a.npy or a.h5 for a.mp4, if the model was trained on
    features of your own (setting `percepts.features`)."""
    cache: Path = Path("results/checkpoints")
    """Cache folder for networks converted to ONNX."""


Arguments = TypeVar("Arguments", bound=CommandLine)


class Terminated(BaseException):
    """The job received SIGTERM."""


def run(main: Callable[[Arguments], None], model: type[Arguments]) -> None:
    """Run a script: parse its arguments, set up its log, report an error in one line.

    The exit status is 0 after success, 1 after an error, 2 for wrong arguments, 130 after SIGINT
    and 143 after SIGTERM.
    """
    # torch creates a million objects; a garbage collection over them takes a third of a second.
    gc.freeze()
    arguments = parse(model)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _set_up_log(arguments.log)
        main(arguments)
    except UserError as error:
        _fail(str(error), arguments.log, 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command to resume", arguments.log, 130)
    except Terminated:
        _fail("stopped by SIGTERM; run the same command to resume", arguments.log, 143)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(_out_of_memory(error, arguments), arguments.log, 1)
        log_hint = f"; the traceback is in {arguments.log}" if arguments.log else ""
        _fail(f"unexpected {type(error).__name__}: {error}{log_hint}", arguments.log, 1)
    # Everything is written. Destroying torch's objects would take another tenth of a second.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


_TAKES_MEMORY = ("batch_size", "hidden_size", "channels", "num_train_sequences",
                 "num_test_sequences", "height", "width", "image_size", "patch_size", "crop_size",
                 "frames")  # fmt: skip
"""Settings that memory use grows with, in the order of their effect."""


def _out_of_memory(error: Exception, arguments: CommandLine) -> str:
    """Return a message that names the settings to lower."""
    memory_settings: dict[str, Any] = {}

    def collect(prefix: str, section: BaseModel) -> None:
        for key in type(section).model_fields:
            value = getattr(section, key)
            if isinstance(value, Section):
                collect(f"{prefix}{key}.", value)
            elif key in _TAKES_MEMORY:
                memory_settings[f"{prefix}{key}"] = value

    collect("", arguments)
    by_effect = sorted(
        memory_settings, key=lambda name: _TAKES_MEMORY.index(name.rsplit(".", 1)[-1])
    )
    lower = " or ".join(f"{name} (now {memory_settings[name]})" for name in by_effect[:3])
    reason = textwrap.shorten((str(error).splitlines() or [""])[0], 160, placeholder=" ...")
    return (
        f"out of memory{f' ({reason})' if reason else ''}; "
        f"{f'lower {lower}, or ' if lower else ''}give the job more memory"
    )


def parse(model: type[Arguments], argv: list[str] | None = None) -> Arguments:
    """Parse and validate the command line; exit with a usage message if it is wrong.

    Args:
        model: Model whose fields are the options.
        argv: Words of the command line; None takes those of this process.
    """
    required = (
        f"{_option(name)} {name.upper()}"
        for name, field in model.model_fields.items()
        if field.is_required()
    )
    parser = argparse.ArgumentParser(
        usage=" ".join(["%(prog)s", *required, "[options]"]),
        description=cleandoc(sys.modules[model.__module__].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        description = field.description or (cleandoc(section.__doc__ or "") if section else None)
        parser.add_argument(
            _option(name),
            dest=name,
            required=field.is_required(),
            nargs="+" if get_origin(field.annotation) is list else None,
            metavar=_metavar(field.annotation),
            help=_help(description, field.default if not section else None),
            default=argparse.SUPPRESS,
        )
        if section:
            _add_section(parser, name, section)
    options = vars(parser.parse_args(argv))
    try:
        values: dict[str, Any] = {}
        # Sections first, so that dotted options override them in whatever order they come.
        for name, value in sorted(options.items(), key=lambda option: "." in option[0]):
            top, *path = name.split(".")
            if path:
                target = values.setdefault(top, {})
                for part in path[:-1]:
                    target = target.setdefault(part, {}) if isinstance(target, dict) else target
                if not isinstance(target, dict):
                    parser.error(
                        f"{name}: expected an object with keys for its section, found {target!r}"
                    )
                target[path[-1]] = yaml.safe_load(value)
            else:
                section = _section(model.model_fields[name].annotation)
                values[name] = json.loads(value) if section else value
        return model.model_validate(values)
    except json.JSONDecodeError as error:
        parser.error(f"{name}: expected JSON, found {value} ({error})")
    except yaml.YAMLError:
        parser.error(f"{name}: expected a number, a word or a list, found {value}")
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        parser.error("; ".join(problems))


def _add_section(parser: argparse.ArgumentParser, prefix: str, section: type[Section]) -> None:
    """Add a dotted option for each key of a section and of its subsections."""
    for key, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner:
            _add_section(parser, f"{prefix}.{key}", inner)
            continue
        parser.add_argument(
            f"{_option(prefix)}.{key}",
            dest=f"{prefix}.{key}",
            metavar=_metavar(field.annotation),
            help=_help(field.description, field.default),
            default=argparse.SUPPRESS,
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _metavar(annotation: Any) -> str:
    """Return the placeholder for an option's value in help texts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "{" + ",".join(map(str, arguments)) + "}"
    if origin is Annotated or (origin is list and _metavar(arguments[0]) != "VALUE"):
        return _metavar(arguments[0])
    if origin in (Union, UnionType):
        types = [part for part in arguments if part is not NoneType]
        return _metavar(types[0]) if len(types) == 1 else "VALUE"
    if _section(annotation) or origin is dict:
        return "JSON"
    names = {Path: "PATH", int: "INT", float: "NUMBER", bool: "{true,false}", str: "TEXT"}
    return names.get(annotation, "VALUE")


def _help(description: str | None, default: Any) -> str:
    text = " ".join((description or "").split())
    has_default = default is not None and default is not PydanticUndefined
    return (text + (f" (default: {default})" if has_default else "")).replace("%", "%%")


def _section(annotation: Any) -> type[Section] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation if is_section else None


def _is_path(annotation: Any) -> bool:
    return annotation is Path or Path in getattr(annotation, "__args__", ())


def _set_up_log(log: Path | None) -> None:
    log_format = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    handlers[0].setFormatter(logging.Formatter(f"{Path(sys.argv[0]).stem}: %(message)s"))
    if log:
        with artifacts.translate_write_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(log))
        handlers[1].setFormatter(log_format)
    logger.handlers, logger.propagate = handlers, False
    logger.setLevel(logging.INFO)
    logging.raiseExceptions = False  # on a full disk, writing the output fails with a message


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _fail(line: str, log: Path | None, status: int) -> None:
    """Print one line, write the traceback to the log and exit."""
    print(f"{Path(sys.argv[0]).stem}: {line}", file=sys.stderr)
    if log:
        for handler in logger.handlers[1:]:
            logger.handlers = [handler]
            logger.exception(line)
    sys.exit(status)
