"""What happened beside the runs: schedules ticked, sensors looked, backfills moved, people answered.

One file for each noun. Facts are journaled as the events of runs are, in the same transaction and the same journal (in
rows without a run), and the rows of their tables are made from them (`store/facts.py`).

Rule: frozen plain data; `at` is seconds since the epoch (UTC). Fields are added at the end, nothing is renamed.
"""

from __future__ import annotations

import msgspec

from partita.core.facts.access import AccessFact
from partita.core.facts.assets import AssetFact
from partita.core.facts.backfills import BackfillFact
from partita.core.facts.deployments import DeploymentFact
from partita.core.facts.gates import GateFact
from partita.core.facts.house import HouseFact
from partita.core.facts.limits import LimitFact
from partita.core.facts.messages import MessageFact
from partita.core.facts.schedules import ScheduleFact
from partita.core.facts.sensors import SensorFact
from partita.core.facts.versions import VersionFact

Fact = (
    ScheduleFact
    | SensorFact
    | GateFact
    | AssetFact
    | BackfillFact
    | LimitFact
    | MessageFact
    | AccessFact
    | VersionFact
    | DeploymentFact
    | HouseFact
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Fact, ...])


def encode(facts: tuple[Fact, ...]) -> bytes:
    """The bytes of facts."""
    return _encoder.encode(facts)


def decode(data: bytes) -> tuple[Fact, ...]:
    """The facts of their bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)
