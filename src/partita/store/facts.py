"""Which rows each fact writes: a table put together from the files of the nouns.

Rule: a noun's file has a function for each of its facts, and `WRITES` that names them. A fact without one does not pass
the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from partita.core import facts as all_facts
from partita.core.facts import Fact
from partita.store import (
    access,
    assets,
    backfills,
    deployments,
    gates,
    house,
    limits,
    messages,
    schedules,
    sensors,
    versions,
)
from partita.store.named import Execute

WRITES: Final[dict[type, Callable[[Execute, Any], None]]] = {
    **schedules.WRITES,
    **sensors.WRITES,
    **gates.WRITES,
    **assets.WRITES,
    **backfills.WRITES,
    **limits.WRITES,
    **messages.WRITES,
    **access.WRITES,
    **versions.WRITES,
    **deployments.WRITES,
    **house.WRITES,
}


def write_facts(execute: Execute, facts: tuple[Fact, ...]) -> None:
    """Journal facts, and write the rows that they make."""
    execute("insert_facts", (facts[-1].at, all_facts.encode(facts)))
    for fact in facts:
        WRITES[type(fact)](execute, fact)
