"""What the last attempts of a pipeline's steps have used.

Rule: functions over a reader; the statement is in `sql/sizes.sql`. Bounded: so many of the newest attempts, whatever a run holds.
"""

from __future__ import annotations

import msgspec

from partita.core.sizing import Sample
from partita.store.named import Fetching
from partita.store.rows import AttemptDetail

_detail = msgspec.msgpack.Decoder(AttemptDetail).decode


def samples(reader: Fetching, pipeline: str, *, runs: int = 20, limit: int = 2000) -> list[Sample]:
    """Of the last runs that succeeded, and of those that failed, the attempts that succeeded and were measured."""
    found: list[Sample] = []
    for state in ("succeeded", "failed"):
        for step, began_at, ended_at, detail in reader.fetch("measured_attempts", (pipeline, state, runs, limit)):
            usage = _detail(detail).usage
            if usage is not None:
                found.append(Sample(step, usage.peak_rss_bytes, usage.cpu_s, ended_at - began_at))
    return found
