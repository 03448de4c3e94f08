"""What every script shares: its arguments, its log, its errors and its end.

A script declares its arguments as a pydantic model and hands its main function to `run`. Options
are the model's fields; a section of the settings is one option that takes JSON
(`--flow '{"method": "dis"}'`), and one dotted option for each of its keys
(`--flow.method dis`) that overrides it.
"""

import argparse
import gc
import json
import logging
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError

from video_lstm import artifacts
from video_lstm.code import code_hash
from video_lstm.errors import UserError, is_out_of_memory
from video_lstm.settings.base import Section

logger = logging.getLogger("video_lstm")


class CommandLine(BaseModel):
    """Arguments that every script has."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    not_identity: ClassVar[set[str]] = {
        "log", "threads", "device", "checkpoints", "checkpoint_seconds", "tensorboard"
    }  # fmt: skip
    """Fields that say how to work and not what to make: no part of the provenance."""

    log: Path | None = None
    """File that progress and tracebacks are appended to."""
    threads: int = 1
    """CPU threads to use."""

    def provenance(
        self, inputs: Mapping[str, Path | str], device: str = "cpu"
    ) -> artifacts.Provenance:
        """How what the script makes came about.

        Args:
            inputs: the artifacts and files it was made from, by role; a digest (str) where that is
                known already.
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
    """`auto` takes a GPU where there is one."""


class TrainingCommandLine(DeviceCommandLine):
    """Arguments of a script that trains."""

    checkpoints: Path = Path("results/checkpoints")
    """Folder for checkpoints, from which a job that was stopped continues."""
    checkpoint_seconds: PositiveFloat = 60.0
    """Seconds between two checkpoints."""
    tensorboard: Path | None = None
    """Folder below which the curves are written for TensorBoard, as they grow."""


class NewVideosCommandLine(DeviceCommandLine):
    """Arguments of a script that extracts percepts of videos that are in no data set."""

    weights: Path | None = None
    """Stream `rgb` or `motion`: the convnet's weights, where they are no longer where training
    found them."""
    flow_convnet: Path | None = None
    """Streams of flow: the convnet, such as results/flow_convnet/demo/split1/flow1.h5."""
    cache: Path = Path("results/checkpoints")
    """Folder for conversions to ONNX."""


Arguments = TypeVar("Arguments", bound=CommandLine)


class Terminated(BaseException):
    """The job was told to stop (SIGTERM)."""


def run(main: Callable[[Arguments], None], model: type[Arguments]) -> None:
    """Read the arguments, set up the log, run `main`, and turn an error into one line.

    Exits with 0, with 1 after an error, with 2 for wrong arguments, with 143 after SIGTERM.
    """
    # torch brings a million objects. Looking for garbage among them takes a third of a second when
    # the script ends, and again whenever it has made enough objects of its own.
    gc.freeze()
    arguments = parse(model)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _set_up_log(arguments.log)
        main(arguments)
    except UserError as error:
        _fail(str(error), arguments.log, 1)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here", arguments.log, 130)
    except Terminated:
        _fail("told to stop (SIGTERM); the same command goes on from here", arguments.log, 143)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(_out_of_memory(error, arguments), arguments.log, 1)
        where = f"; the traceback is in {arguments.log}" if arguments.log else ""
        _fail(f"unexpected {type(error).__name__}: {error}{where}", arguments.log, 1)


_TAKES_MEMORY = ("batch_size", "hidden_size", "channels", "num_train_sequences",
                 "num_test_sequences", "height", "width", "image_size", "patch_size", "crop_size",
                 "frames")  # fmt: skip
"""Settings that memory grows with, the most first."""


def _out_of_memory(error: Exception, arguments: CommandLine) -> str:
    """A line that names the settings to lower."""
    memory_settings: dict[str, Any] = {}

    def look(prefix: str, section: BaseModel) -> None:
        for key in type(section).model_fields:
            value = getattr(section, key)
            if isinstance(value, Section):
                look(f"{prefix}{key}.", value)
            elif key in _TAKES_MEMORY:
                memory_settings[f"{prefix}{key}"] = value

    look("", arguments)
    by_weight = sorted(
        memory_settings, key=lambda name: _TAKES_MEMORY.index(name.rsplit(".", 1)[-1])
    )
    lower = " or ".join(f"{name} (now {memory_settings[name]})" for name in by_weight[:3])
    reason = textwrap.shorten((str(error).splitlines() or [""])[0], 160, placeholder=" ...")
    return (
        f"out of memory{f' ({reason})' if reason else ''}; "
        f"{f'lower {lower}, or ' if lower else ''}give the job more memory"
    )


def parse(model: type[Arguments], argv: list[str] | None = None) -> Arguments:
    """Arguments from the command line, checked; exits with a usage line if they are wrong."""
    parser = argparse.ArgumentParser(
        description=cleandoc(sys.modules[model.__module__].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, field in model.model_fields.items():
        many = get_origin(field.annotation) is list
        section = _section(field.annotation)
        description = field.description or (cleandoc(section.__doc__ or "") if section else None)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            required=field.is_required(),
            nargs="+" if many else None,
            metavar="JSON" if section else name.rsplit("_", 1)[-1].upper(),
            help=_help(description, field.default if not section else None),
            default=argparse.SUPPRESS,
        )
        if section:
            _add_section(parser, name, section)
    options = vars(parser.parse_args(argv))
    try:
        values: dict[str, Any] = {}
        # Sections before their keys, which stand over them in whatever order they are given.
        for name, value in sorted(options.items(), key=lambda option: "." in option[0]):
            top, *path = name.split(".")
            if path:
                target = values.setdefault(top, {})
                for part in path[:-1]:
                    target = target.setdefault(part, {}) if isinstance(target, dict) else target
                if not isinstance(target, dict):
                    parser.error(f"{name}: its section is given as {target!r}, not by keys")
                target[path[-1]] = yaml.safe_load(value)
            else:
                section = _section(model.model_fields[name].annotation)
                values[name] = json.loads(value) if section else value
        return model.model_validate(values)
    except json.JSONDecodeError as error:
        parser.error(f"not JSON: {error}")
    except yaml.YAMLError:
        parser.error(f"{name}: expected a number, a word or a list, found {value}")
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        parser.error("; ".join(problems))


def _add_section(parser: argparse.ArgumentParser, prefix: str, section: type[Section]) -> None:
    """One dotted option per key of a section, those of its sections too."""
    for key, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner:
            _add_section(parser, f"{prefix}.{key}", inner)
            continue
        parser.add_argument(
            f"--{prefix.replace('_', '-')}.{key}",
            dest=f"{prefix}.{key}",
            metavar="VALUE",
            help=_help(field.description, field.default),
            default=argparse.SUPPRESS,
        )


def _help(description: str | None, default: Any) -> str:
    text = " ".join((description or "").split())
    default_text = (
        "" if default is None or repr(default) == "PydanticUndefined" else f" (default: {default})"
    )
    return (text + default_text).replace("%", "%%")


def _section(annotation: Any) -> type[Section] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation if is_section else None


def _is_path(annotation: Any) -> bool:
    return annotation is Path or Path in getattr(annotation, "__args__", ())


def _set_up_log(log: Path | None) -> None:
    form = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    handlers[0].setFormatter(logging.Formatter(f"{Path(sys.argv[0]).stem}: %(message)s"))
    if log:
        with artifacts.translate_write_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(log))
        handlers[1].setFormatter(form)
    logger.handlers, logger.propagate = handlers, False
    logger.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk is told by what cannot be kept, not by its log


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _fail(line: str, log: Path | None, status: int) -> None:
    """One line to the person, the traceback to the log."""
    print(f"{Path(sys.argv[0]).stem}: {line}", file=sys.stderr)
    if log:
        for handler in logger.handlers[1:]:
            logger.handlers = [handler]
            logger.exception(line)
    sys.exit(status)
