"""The options that many commands share, written once.

Rule: an option means the same wherever it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[
    Path | None,
    typer.Option("-C", "--project", metavar="FOLDER", help="The project (default: here or the nearest parent)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the data as JSON.")]
Run = Annotated[str, typer.Argument(metavar="[RUN]", help="A number, an id, `last`, or a pipeline's name.")]
Steps = Annotated[
    list[str] | None, typer.Argument(metavar="[STEP]", help="A step: load, load[3], or `load 3`.", show_default=False)
]
