"""The command `video-lstm`: every script of the workflow is a subcommand."""

import ast
import difflib
import sys
import types
from importlib.metadata import version
from pathlib import Path

from video_lstm.layout import SCRIPTS, SNAKEFILE

_SHORT_NAMES = {
    "classify_videos": "classify",
    "predict_frames": "predict",
    "encode_videos": "encode",
    "export_weights": "export",
    "check_machine": "doctor",
}
"""Subcommands that people call themselves; the others are stages of the workflow."""
_DEVELOPERS = {"document_settings", "draw_workflow"}
"""Scripts that write files of the repository."""


def subcommands() -> dict[str, Path]:
    """Return the scripts by the name of their subcommand, those for people first."""
    stems = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem not in _DEVELOPERS)
    names = _SHORT_NAMES | {
        stem: stem.replace("_", "-") for stem in stems if stem not in _SHORT_NAMES
    }
    return {name: SCRIPTS / f"{stem}.py" for stem, name in names.items()}


def main() -> None:
    """Run a subcommand with the remaining words of the command line."""
    scripts = subcommands()
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_help(scripts))
    elif name == "--version":
        print(version("video-lstm"))
    elif name == "snakefile":
        print(SNAKEFILE)
    elif name in scripts:
        sys.argv = [f"video-lstm {name}", *words]
        _run(scripts[name])
    else:
        close = difflib.get_close_matches(name, [*scripts, "snakefile"], 1)
        hint = f"did you mean '{close[0]}'?" if close else "see video-lstm --help"
        print(f"video-lstm: expected a subcommand, found '{name}'; {hint}", file=sys.stderr)
        sys.exit(2)


def _run(script: Path) -> None:
    """Run a script as Python does; `runpy.run_path` would show its file name in messages."""
    module = types.ModuleType("__main__")
    module.__file__ = str(script)
    sys.modules["__main__"] = module
    exec(compile(script.read_bytes(), script, "exec"), module.__dict__)


def _help(scripts: dict[str, Path]) -> str:
    entries = [f"  {name:26}{_summary(path)}" for name, path in scripts.items()]
    return "\n".join(
        [
            "usage: video-lstm SUBCOMMAND [options]",
            "       video-lstm SUBCOMMAND --help",
            "\nUse a trained model, or prepare a run:",
            *entries[: len(_SHORT_NAMES)],
            f"  {'snakefile':26}Print the path of the workflow, for snakemake --snakefile.",
            "\nStages of the workflow:",
            *entries[len(_SHORT_NAMES) :],
        ]
    )


def _summary(script: Path) -> str:
    docstring = ast.get_docstring(ast.parse(script.read_text())) or ""
    return docstring.splitlines()[0]


if __name__ == "__main__":
    main()
