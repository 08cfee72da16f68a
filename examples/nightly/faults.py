"""The four things that go wrong when PARTITA_NIGHTLY_BREAK asks for it.

Rule: a fault is something that happens to real pipelines, and the same one every time. The stations do not
know about it: it comes in through what the outside world delivers and through the memory a step needs.

`PARTITA_NIGHTLY_BREAK=1` switches all on; a list such as `columns,memory` switches on only those.
"""

from __future__ import annotations

import os

import pyarrow as pa

VARIABLE = "PARTITA_NIGHTLY_BREAK"
FAULTS = ("columns", "duplicates", "memory", "timeouts")

BROKEN_FEED = "AA-JFK"
DUPLICATED_PLANE_ROWS = 3
GREEDY_MODEL = "cancellation_risk"
SLOW_SOURCE = "weather"
TIMED_OUT_ATTEMPTS = 2

_MIB = 1 << 20
# Above the limit that the engine sets (1 GiB), below what hurts the machine if nobody set one.
_GREED_BYTES = 1536 * _MIB


def switched_on() -> tuple[str, ...]:
    """The faults in force. Part of a cache key: with a fault a step is another step."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted in ("", "0", "false", "no"):
        return ()
    if wanted in ("1", "true", "yes", "all"):
        return FAULTS
    names = tuple(name.strip() for name in wanted.split(","))
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        raise ValueError(f"{VARIABLE} names no fault {', '.join(unknown)!r}; there are: {', '.join(FAULTS)}")
    return names


def before_delivery(source: str, attempt: int) -> None:
    """The weather service does not answer twice, then it does."""
    if "timeouts" in switched_on() and source == SLOW_SOURCE and attempt <= TIMED_OUT_ATTEMPTS:
        raise TimeoutError(f"source {source}: no answer within 30 s")


def as_delivered(source: str, table: pa.Table) -> pa.Table:
    """One feed renames a column overnight; the planes register lists some planes twice."""
    if "columns" in switched_on() and source == BROKEN_FEED:
        names = ["departure_delay" if name == "dep_delay" else name for name in table.column_names]
        return table.rename_columns(names)
    if "duplicates" in switched_on() and source == "planes":
        return pa.concat_tables([table, table.slice(0, DUPLICATED_PLANE_ROWS)])
    return table


def before_training(model: str) -> None:
    """One training step needs more memory than it may have."""
    if "memory" not in switched_on() or model != GREEDY_MODEL:
        return
    hoard = bytearray()
    while len(hoard) < _GREED_BYTES:
        hoard.extend(b"\x01" * (32 * _MIB))  # written to, so that it counts as used and not as promised
    # Reached only where nobody limits or kills the step; it must not pass as a success there.
    raise MemoryError(f"model {model} took {len(hoard) // _MIB} MiB and wanted more")
