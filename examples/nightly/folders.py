"""Where the nightly keeps what it makes.

Rule: one root, everything below it can be deleted and is made again.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from faults import switched_on

HERE = Path(__file__).resolve().parent
DBT_PROJECT = HERE / "dbt"


@dataclass(frozen=True)
class Folders:
    root: Path

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def dbt_target(self) -> Path:
        return self.root / "dbt_target"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def dashboards(self) -> Path:
        return self.root / "dashboards"

    @property
    def public(self) -> Path:
        return self.root / "public"

    @property
    def again(self) -> Path:
        """Whoever delivers a night again puts a file of its name here: `2013-12-17.txt`."""
        return self.root / "delivered_again"

    def dbt_environment(self) -> dict[str, str]:
        """What the dbt project asks of its environment."""
        return {"NIGHTLY_LANDING": str(self.landing), "NIGHTLY_WAREHOUSE": str(self.warehouse)}


def name_of(folder: Path) -> str:
    """A name for this folder and what lies in it, drawn when it is first asked for: once deleted, it has another."""
    file = folder / ".name"
    try:
        return file.read_text()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".name.{os.getpid()}.tmp"
        unfinished.write_text(secrets.token_hex(4))
        try:
            os.link(unfinished, file)  # unlike a rename it never replaces what another process wrote first
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
        return file.read_text()


def default_folders() -> Folders:
    """Where the nightly works: `out` here, or what NIGHTLY_ROOT says; with faults in force, in a root of its own."""
    root = Path(os.environ.get("NIGHTLY_ROOT") or HERE / "out")
    return Folders((root / "broken" if switched_on() else root).resolve())
