"""The wheel has the screens in it: they are built while it is made, with the Node that comes from PyPI.

Rule: an editable install builds nothing (`make ui` does); PARTITA_BUILD_UI=0 makes a wheel without screens, which must be asked for.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INDEX = "src/partita/server/ui/index.html"


class BuildScreens(BuildHookInterface):  # type: ignore[type-arg]
    """Builds what is not there yet; a source distribution brings them built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or os.environ.get("PARTITA_BUILD_UI") == "0":
            return
        root = Path(self.root)
        if not (root / INDEX).exists():
            runpy.run_path(str(root / "ui/build.py"))["build"]()
        if not (root / INDEX).exists():
            raise RuntimeError(f"{INDEX} is missing after the build of the screens")
        build_data["artifacts"].append("src/partita/server/ui/**")
