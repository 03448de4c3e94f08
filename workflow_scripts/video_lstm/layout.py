"""Folders of the workflow: those of a checkout, or those that were installed with the library."""

from pathlib import Path

_LIBRARY = Path(__file__).resolve().parent
_INSTALLED = _LIBRARY / "workflow"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _LIBRARY.parents[1]
"""Folder of the Snakefile, rules, profiles and configurations."""
SCRIPTS = ROOT / "workflow_scripts"
"""Folder of the scripts, one per rule."""
SNAKEFILE = ROOT / "Snakefile"
