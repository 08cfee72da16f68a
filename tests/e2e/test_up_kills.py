"""kill -9 of each process of `partita up`, in the middle of ticks, a sensor, a backfill, gates and their logs.

Whatever is killed and whenever: no tick is lost or doubled, no run is stuck, no step runs twice at once, logs are whole, the
audit finds nothing, and the port answers again.

PARTITA_UP_KILLS says how many kills the large test has (default 500).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from up_kills.night import KILLS_A_NIGHT, Night

KILLS = int(os.environ.get("PARTITA_UP_KILLS", "500"))


def test_a_service_whose_processes_are_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path / "project", "a short night")
    done = night.play(12)
    assert sum(night.kills.values()) >= 8
    assert done["ticks"] >= 5
    assert done["runs"] >= 60


@pytest.mark.slow
@pytest.mark.parametrize("number", range(-(-KILLS // KILLS_A_NIGHT)))
def test_nights_with_hundreds_of_kills(tmp_path: Path, number: int) -> None:
    night = Night(tmp_path / "project", f"night {number}")
    night.play(min(KILLS_A_NIGHT, KILLS - number * KILLS_A_NIGHT))
    assert sum(night.kills.values()) >= min(KILLS_A_NIGHT, KILLS) // 2
