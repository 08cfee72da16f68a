"""Facts about limits that are set while the service runs."""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class PoolChanged(FactBase, frozen=True, array_like=True, tag="pool_changed"):
    """Somebody set the slots of a pool; None = back to what the project declares."""

    namespace: str
    name: str
    slots: int | None
    by: str
    reason: str = ""


class LimitChanged(FactBase, frozen=True, array_like=True, tag="limit_changed"):
    """Somebody set another limit. `of`: "pipeline", "task", "tag", "namespace"; None = back to what is declared."""

    namespace: str
    of: str
    name: str
    limit: int | None
    by: str
    reason: str = ""


LimitFact = PoolChanged | LimitChanged
