"""How each partition of an asset is, small enough for ten years of days at once: one letter for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from partita.core.manifest import AssetSpec, Manifest, PartitionSpec
from partita.engine import asset_health
from partita.engine.asset_health import Marks
from partita.server.calling import Call, Name
from partita.server.routes.assets import found
from partita.server.routing import route
from partita.store import assets as rows

_WORDS = {"m": "made", "s": "stale", "f": "failed", "r": "running", ".": "missing"}


class Dimension(msgspec.Struct, frozen=True):
    """One dimension of the partitions: its name ("" = there is only one), its kind, its keys in their order."""

    name: str
    kind: str
    keys: list[str]


class PartitionStates(msgspec.Struct, frozen=True):
    """A letter for each partition: "m" made, "s" stale, "f" failed (its run, or a check of it), "r" running, "." missing.

    The last dimension goes fastest; a key joins those of its dimensions by "|". `counts` has them by word. An asset
    without partitions has no dimension and one letter.
    """

    asset: str
    dimensions: list[Dimension]
    states: str
    counts: dict[str, int]


@route(
    "GET",
    "/assets/{asset}/partition-states",
    permission="view",
    summary="How each partition of an asset is: one letter for each",
    errors=(404,),
    example=PartitionStates(
        "daily_delays",
        [Dimension("", "daily", ["2026-11-20", "2026-11-21"])],
        "m.",
        {"made": 1, "stale": 0, "failed": 0, "running": 0, "missing": 1},
    ),
)
def partition_states(call: Call, asset: Name) -> PartitionStates:
    manifest, spec = found(call, asset)
    assets = [(m.project, s) for m, s in call.catalog.assets()]
    marks = asset_health.marks(call.reader, assets, spec, now=time.time(), namespace=manifest.namespace)
    letters = _letters(call, manifest, spec, marks)
    dimensions = _dimensions(spec.partitions, marks.keys[1:])
    by_key = dict(zip(marks.keys[1:], letters[1:], strict=True))
    states = "".join(by_key.get(key, ".") for key in _keys(dimensions)) if dimensions else letters[1]
    counts = Counter(states)
    return PartitionStates(asset, dimensions, states, {word: counts[letter] for letter, word in _WORDS.items()})


def _letters(call: Call, manifest: Manifest, spec: AssetSpec, marks: Marks) -> list[str]:
    """The letter of each key, by its place."""
    letters = ["."] * len(marks.keys)
    for mask, letter in ((marks.made, "m"), (marks.stale, "s"), (marks.failing, "f")):
        # As text, since a shift for each of many thousand bits would copy the number as often.
        for at, bit in enumerate(reversed(f"{mask:b}")):
            if bit == "1":
                letters[at] = letter
    place = {key: at for at, key in enumerate(marks.keys)}
    failures = rows.failures(call.reader, manifest.project, spec.step) if spec.step else []
    for key, failed_at in {key: f.at for f in failures for key in _own(spec, f.partitions)}.items():
        at = place.get(key, 0)
        if at and not _made_since(call, spec.name, key, failed_at, letters[at]):
            letters[at] = "f"
    for open_step in rows.open_steps(call.reader):
        if (open_step.project, open_step.step) == (manifest.project, spec.step):
            for key in _own(spec, open_step.partitions):
                letters[place.get(key, 0)] = "r"
    return letters


def _own(spec: AssetSpec, partitions: Sequence[str]) -> Sequence[str]:
    """The partitions of the asset in a run: one without partitions is made in a run of any."""
    return ("",) if spec.partitions is None else partitions


def _made_since(call: Call, asset: str, key: str, at: float, letter: str) -> bool:
    if letter == ".":
        return False
    made = rows.made(call.reader, asset, key)
    return made is not None and made.at >= at


def _dimensions(spec: PartitionSpec | None, keys: Sequence[str]) -> list[Dimension]:
    if spec is None:
        return []
    if spec.kind != "product":
        return [Dimension("", spec.kind, list(keys))]
    parts = [key.split("|") for key in keys]
    return [
        Dimension(name, inner.kind, list(dict.fromkeys(part[at] for part in parts)))
        for at, (name, inner) in enumerate(spec.dimensions)
    ]


def _keys(dimensions: list[Dimension]) -> list[str]:
    found = [""]
    for at, dimension in enumerate(dimensions):
        found = [f"{key}|{part}" if at else part for key in found for part in dimension.keys]
    return found
