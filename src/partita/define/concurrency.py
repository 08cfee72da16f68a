"""How many runs of a pipeline run at once for each value of a key: `pt.concurrency("{region}", limit=1)`.

Rule: only the form is checked here; values are filled in when a run is asked for (`core.concurrency`).
"""

from __future__ import annotations

import re
from typing import Any

from partita.core.manifest import ConcurrencySpec
from partita.define.guess import did_you_mean

STRATEGIES = ("queue", "skip", "cancel_oldest", "cancel_newest", "round_robin")
_NAME = re.compile(r"\{(\w+)\}")


def concurrency(key: str, *, limit: int = 1, strategy: str = "queue") -> ConcurrencySpec:
    """At most `limit` runs at once of each value of `key`, a text with names of parameters (or `partition`) in braces.

    What becomes of a run that finds as many: "queue" waits; "skip" and "cancel_newest" cancel it at once; "cancel_oldest"
    cancels the oldest for it; "round_robin" waits, and keys take turns under `max_runs`.

    >>> concurrency("{region}", limit=2).key
    '{region}'
    """
    if not isinstance(key, str) or not key:
        raise ValueError(f'{key!r} is no key: write "{{region}}" with the name of a parameter')
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"{limit!r} is no number of 1 or more")
    if strategy not in STRATEGIES:
        raise ValueError(
            f"there is no strategy {strategy!r}: there are {', '.join(STRATEGIES)}"
            + (f"; {hint}" if (hint := did_you_mean(str(strategy), STRATEGIES)) else "")
        )
    return ConcurrencySpec(key, limit, strategy)  # type: ignore[arg-type]


def read_concurrency(value: Any, names: set[str]) -> tuple[ConcurrencySpec, ...]:
    """What a pipeline with these parameters was given. Raises `ValueError`."""
    items = value if isinstance(value, list | tuple) else () if value is None else (value,)
    specs = tuple(concurrency(item) if isinstance(item, str) else item for item in items)
    for spec in specs:
        if not isinstance(spec, ConcurrencySpec):
            raise ValueError(f'{spec!r} is no concurrency: write pt.concurrency("{{region}}")')
        for name in _NAME.findall(spec.key):
            if name not in names | {"partition"}:
                raise ValueError(f"the key {spec.key!r} names {name!r}, which is no parameter of the pipeline")
    return specs
