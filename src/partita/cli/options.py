"""The options and arguments that many commands share, written once.

Rule: an option means the same wherever it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from partita.cli.parsing import Argument, Option

Project = Annotated[
    Path | None,
    Option(("-C", "--project"), "The project (default: this folder or its nearest parent that is one)", "FOLDER"),
]
Json = Annotated[bool, Option(("--json",), "Print the data as JSON")]
Run = Annotated[str, Argument("RUN", "A number, an id or its beginning, `last`, or a pipeline's name")]
Steps = Annotated[list[str] | None, Argument("STEP", "A step: load, or of a map load[3], `load 3`")]
Reason = Annotated[str, Option(("--reason",), "Why, for the record", "TEXT")]
