"""One search over everything that is defined: names, descriptions, columns, owners, tags."""

from __future__ import annotations

from typing import Annotated

import msgspec

from partita.core.manifest import AssetSpec, PipelineSpec
from partita.server.calling import Call, Limit
from partita.server.objects import Page
from partita.server.routing import route

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="Words that are all to be found")]


class Hit(msgspec.Struct, frozen=True):
    """Something that was found; `where` says in which field, `of` what it is."""

    of: str
    name: str
    project: str
    namespace: str
    where: str
    text: str


@route(
    "GET",
    "/search",
    permission="view",
    summary="Pipelines, assets and runs by their names, descriptions, columns, owners and tags",
    errors=(422,),
    example=Page([Hit("asset", "daily_delays", "shop", "default", "description", "Mean delay of each route")]),
)
def search(call: Call, q: Words, limit: Limit = 50) -> Page[Hit]:
    words = q.lower().split()
    found: list[tuple[int, Hit]] = []
    for manifest in call.visible(call.catalog.manifests.values(), lambda m: m.namespace):
        place = (manifest.project, manifest.namespace)
        for of, specs in (("pipeline", manifest.pipelines), ("asset", manifest.assets)):
            for spec in specs:
                hit = _hit(spec, words)
                if hit is not None:
                    rank, where, text = hit
                    found.append((rank, Hit(of, spec.name, *place, where, text[:300])))
    row = call.reader.run(q)
    if row is not None and call.sees(row.namespace):
        found.append((0, Hit("run", row.id, row.project, row.namespace, "id", f"run {row.no} of {row.pipeline}")))
    found.sort(key=lambda f: (f[0], f[1].name))
    return Page([hit for _, hit in found[:limit]])


def _hit(spec: PipelineSpec | AssetSpec, words: list[str]) -> tuple[int, str, str] | None:
    """How well it fits (0 is best), in which field, and that field; None if a word is nowhere."""
    fields = [("name", spec.name), ("tags", " ".join(spec.tags)), ("owner", spec.owner or "")]
    if isinstance(spec, AssetSpec):
        fields += [("group", spec.group), ("columns", " ".join(name for name, _ in spec.columns))]
    fields.append(("description", spec.description))
    everything = "\n".join(text for _, text in fields).lower()
    if not words or not all(word in everything for word in words):
        return None
    for rank, (where, text) in enumerate(fields):
        if words[0] in text.lower():
            return (0 if text.lower() == " ".join(words) else rank + 1), where, text
    return len(fields), "description", spec.description
