"""Put the scripts of the workflow into the wheel, without the library that lies between them."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ScriptsHook(BuildHookInterface):
    """Adds `workflow_scripts/*.py`; a pattern in pyproject.toml could not leave the library out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the scripts, except to an editable installation, which uses the checkout."""
        if version == "editable":
            return
        for script in sorted(Path(self.root, "workflow_scripts").glob("*.py")):
            target = f"video_lstm/workflow/workflow_scripts/{script.name}"
            build_data["force_include"][str(script)] = target
