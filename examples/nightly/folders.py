"""Where the nightly keeps what it makes.

Rule: one root, everything below it can be deleted and is made again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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

    def dbt_environment(self) -> dict[str, str]:
        """What the dbt project asks of its environment."""
        return {"NIGHTLY_LANDING": str(self.landing), "NIGHTLY_WAREHOUSE": str(self.warehouse)}


def default_folders() -> Folders:
    return Folders(Path(os.environ.get("NIGHTLY_ROOT") or HERE / "out").resolve())
