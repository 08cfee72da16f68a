"""The values of a run's concurrency keys: "{region}" and the parameters of the run make "eu".

Rule: pure text; names in braces stand for parameters, or for the partition. Nothing else is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from partita.core.manifest import ConcurrencySpec, ParamSpec
from partita.core.plain import unpack
from partita.core.run_queue import Asked

_NAME = re.compile(r"\{(\w+)\}")


def asked(
    specs: tuple[ConcurrencySpec, ...], declared: tuple[ParamSpec, ...], params: Mapping[str, bytes], partition: str
) -> tuple[Asked, ...]:
    """The keys that a run with these parameters (packed; those left out have their defaults) brings with it.

    >>> from partita.core.plain import pack
    >>> asked((ConcurrencySpec("{region}"),), (), {"region": pack("eu")}, "")
    (Asked(value='eu', limit=1, strategy='queue'),)
    """
    defaults = {p.name: p.default for p in declared if p.default is not None}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "partition":
            return partition
        data = params.get(name, defaults.get(name))
        return "" if data is None else str(unpack(data))

    return tuple(Asked(_NAME.sub(value, spec.key), spec.limit, spec.strategy) for spec in specs)
