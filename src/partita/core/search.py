"""Finding assets and pipelines by what people remember of them: a name, a column, an owner, a word of the description.

Rule: every word must be found somewhere; where it was found decides the place in the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from partita.core.manifest import AssetSpec, Manifest, PipelineSpec

_WEIGHTS = {"name": 100, "column": 60, "tag": 50, "owner": 40, "group": 40, "kind": 30, "description": 20}


class Hit(msgspec.Struct, frozen=True):
    """Something that was found. `where` names the fields that hold the words."""

    kind: Literal["asset", "pipeline"]
    name: str
    project: str
    where: tuple[str, ...]
    score: int
    description: str = ""


def search(manifests: Iterable[Manifest], text: str, *, limit: int = 50) -> list[Hit]:
    """What has all words of `text` in its name, columns, tags, owner, group, kinds or description; the best first.

    >>> search([Manifest("shop", assets=(AssetSpec("orders", owner="ann"),))], "ann orders")[0].where
    ('owner', 'name')
    """
    words = text.casefold().split()
    found: dict[tuple[str, str], Hit] = {}
    for manifest in manifests:
        for asset in manifest.assets:
            _keep(found, _hit("asset", asset.name, manifest.project, _fields_of_asset(asset), words, asset))
        for pipeline in manifest.pipelines:
            _keep(found, _hit("pipeline", pipeline.name, manifest.project, _fields(pipeline), words, pipeline))
    return sorted(found.values(), key=lambda hit: (-hit.score, hit.name))[:limit] if words else []


def _keep(found: dict[tuple[str, str], Hit], hit: Hit | None) -> None:
    """An asset of several projects is one: as the one that says most of it declares it."""
    if hit is None:
        return
    key = hit.kind, hit.name if hit.kind == "asset" else f"{hit.project}/{hit.name}"
    if key not in found or found[key].score < hit.score:
        found[key] = hit


def _hit(
    kind: Literal["asset", "pipeline"],
    name: str,
    project: str,
    fields: list[tuple[str, str]],
    words: list[str],
    spec: AssetSpec | PipelineSpec,
) -> Hit | None:
    where: list[str] = []
    score = 0
    for word in words:
        best = max(((_score(field, text, word), field) for field, text in fields if word in text), default=None)
        if best is None:
            return None
        score += best[0]
        where.append(best[1])
    return Hit(kind, name, project, tuple(dict.fromkeys(where)), score, spec.description.partition("\n")[0])


def _score(field: str, text: str, word: str) -> int:
    weight = _WEIGHTS[field]
    if text == word:
        return weight * 3
    return weight * 2 if text.startswith(word) else weight


def _fields(spec: AssetSpec | PipelineSpec) -> list[tuple[str, str]]:
    found = [("name", spec.name), ("owner", spec.owner), ("description", spec.description)]
    return [(field, text.casefold()) for field, text in [*found, *(("tag", tag) for tag in spec.tags)] if text]


def _fields_of_asset(spec: AssetSpec) -> list[tuple[str, str]]:
    more = [("group", spec.group), *(("kind", kind) for kind in spec.kinds), *(("column", c) for c, _ in spec.columns)]
    return [*_fields(spec), *((field, text.casefold()) for field, text in more if text)]
