"""What a step reads of assets that its run does not make: of which partitions, and what is stored of them.

Rule: the store is asked when the step is handed out, so it finds what the run itself has made before.
"""

from __future__ import annotations

from collections.abc import Sequence

from partita.core import mappings, partitions
from partita.core.events import RunCreated
from partita.core.graph import Binding, DictOf, Graph, ListOf, Step, Stored
from partita.core.manifest import Manifest, PartitionSpec
from partita.core.mappings import Mapping
from partita.core.values import Input, Missing, Named, Of, Value, Whole
from partita.store import assets as rows
from partita.store.contract import Reader
from partita.store.reading import SqlReader

_NONE = Value("plain", 1, b"\xc0")
_MOST = 1_000_000


def stored_input(reader: Reader, run: RunCreated, binding: Stored) -> Input:
    """The argument that a binding stands for in a run."""
    if not binding.mapping:
        if run.partitions:
            return _named(reader, binding.asset, run.partitions)
        value = stored_value(reader, run, binding.asset)
        return Whole(value) if value is not None else Missing()
    mapping = mapping_of(reader, binding, run.namespace)
    keys = keys_read(reader, mapping, run.partitions or (run.partition,))
    if mapping.is_many or run.partitions:
        return _named(reader, binding.asset, keys)
    if not keys:
        return Missing()
    return Of(keys[0], Whole(_value(reader, binding.asset, keys[0]) or _NONE))


def stored_value(reader: Reader, run: RunCreated, asset: str) -> Value | None:
    """The newest value of an asset: of the run's partition, else of the asset without one, else of the last one made."""
    row = reader.materialization(asset, run.partition) if run.partition else None
    row = row or reader.materialization(asset)
    if row is None and not run.partition:
        keys = made_keys(reader, asset)
        row = reader.materialization(asset, max(keys)) if keys else None
    return row.value if row is not None else None


def mapping_of(reader: Reader, binding: Stored, namespace: str) -> Mapping:
    """The mapping of a binding, with the keys that dynamic definitions have now."""
    mapping = mappings.decode(binding.mapping)
    return mappings.resolved(mapping, lambda name: dynamic_keys(reader, namespace, name))


def keys_read(reader: Reader, mapping: Mapping, keys: Sequence[str]) -> list[str]:
    """The partitions of the upstream that these partitions are made from, each once, in order."""
    asset = mapping.dep.asset
    found: dict[str, None] = {}
    for key in keys:
        found.update(dict.fromkeys(mapping.upstream(key, lambda: made_keys(reader, asset))))
    return list(found)


def stored_bindings(step: Step) -> list[Stored]:
    """What a step reads from where it is stored."""
    found: list[Stored] = []
    todo: list[Binding] = [binding for _, binding in step.args]
    while todo:
        binding = todo.pop()
        if isinstance(binding, Stored):
            found.append(binding)
        elif isinstance(binding, ListOf):
            todo.extend(binding.items)
        elif isinstance(binding, DictOf):
            todo.extend(item for _, item in binding.items)
    return found


def never_made(graph: Graph, manifest: Manifest, keys: Sequence[str], reader: Reader) -> dict[str, str]:
    """What a run for these partitions would read though nobody has made it, with the step that does."""
    external = {spec.name for spec in manifest.assets if spec.external}
    own = {step.asset for step in graph.steps if step.asset is not None}
    missing: dict[str, str] = {}
    for step in graph.steps:
        for binding in stored_bindings(step):
            if binding.asset in external:
                continue
            for name in _missing(reader, manifest.namespace, binding, keys, is_own=binding.asset in own):
                missing.setdefault(name, step.key)
    return missing


def _missing(reader: Reader, namespace: str, binding: Stored, keys: Sequence[str], *, is_own: bool) -> list[str]:
    asset = binding.asset
    if not binding.mapping:
        there = any(reader.materialization(asset, key) for key in dict.fromkeys((keys[0], "")))
        return [] if there or (not keys[0] and made_keys(reader, asset)) else [asset]
    mapping = mapping_of(reader, binding, namespace)
    read = keys_read(reader, mapping, keys)
    if mapping.is_open:
        return [] if read or is_own else [asset]
    made_here = set(keys) if is_own else set()
    return [f"{asset} of {key}" for key in read if key not in made_here and reader.materialization(asset, key) is None]


def made_keys(reader: Reader, asset: str) -> list[str]:
    """The partitions of an asset that were made."""
    if isinstance(reader, SqlReader):
        return rows.made_keys(reader, asset)
    # The store in memory, for runs of a test.
    return list({row.partition for row in reader.materializations(asset, limit=_MOST)})


def dynamic_keys(reader: Reader, namespace: str, name: str) -> tuple[str, ...]:
    """The keys of a dynamic partition definition."""
    return rows.dynamic_keys(reader, namespace, name) if isinstance(reader, SqlReader) else ()


def has_partition(reader: Reader, namespace: str, spec: PartitionSpec, key: str) -> bool:
    """Is there such a partition now?"""
    return partitions.contains(partitions.resolved(spec, lambda name: dynamic_keys(reader, namespace, name)), key)


def _named(reader: Reader, asset: str, keys: Sequence[str]) -> Named:
    """A dict by partition. Data that lies elsewhere has no value here, and still its place."""
    return Named(tuple((key, Whole(_value(reader, asset, key) or _NONE)) for key in keys))


def _value(reader: Reader, asset: str, key: str) -> Value | None:
    row = reader.materialization(asset, key)
    return row.value if row is not None else None
