"""Facts about one thing, as a heading and aligned pairs: what `show` prints before its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from partita.cli.objects import plain
from partita.cli.styled import Line, short
from partita.cli.terminal import Out
from partita.cli.words import number

if TYPE_CHECKING:
    from partita.core.events import Meta
    from partita.core.manifest import PartitionSpec
    from partita.core.values import Value

_LONGEST = 100


def print_facts(out: Out, pairs: Iterable[tuple[str, str | Line]]) -> None:
    """Print what is known, one a line; what is empty is left out."""
    told = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        first, *more = [value] if not isinstance(value, str) else value.splitlines()
        out.line((f"  {name:<{width}}  ", "dim"), *([first] if isinstance(first, str) else first))
        for line in more:
            out.line(" " * (width + 4), line if isinstance(line, str) else "")


def heading(out: Out, text: str) -> None:
    """Print the heading of a part."""
    out.blank()
    out.line((text, "bold"))


def shown(value: Any) -> str:
    """A plain value in a few words."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return number(value)
    return short(json.dumps(value, ensure_ascii=False), _LONGEST)


def packed(data: bytes) -> str:
    """A packed parameter as it would be typed."""
    value = plain(data)
    return value if isinstance(value, str) else short(json.dumps(value, ensure_ascii=False), _LONGEST)


def meta_text(metadata: Sequence[Meta]) -> str:
    """Metadata in one line: `rows 12,345   score 0.913`."""
    return "   ".join(f"{m.name} {_meta_value(m)}" for m in metadata)


def _meta_value(meta: Meta) -> str:
    value = plain(meta.data)
    if meta.kind == "table" and isinstance(value, dict):
        return f"table of {len(value.get('rows', []))} rows"
    if meta.kind == "markdown":
        return short(str(value), 40)
    return short(shown(value), 60)


def value_text(value: Value | None) -> str:
    """A stored value in a few words."""
    if value is None:
        return ""
    if value.preview:
        return value.preview
    if value.codec == "plain" and value.data is not None:
        return short(json.dumps(plain(value.data), ensure_ascii=False), _LONGEST)
    return f"{value.codec}, {number(value.size)} bytes"


def partitions_text(spec: PartitionSpec | None) -> str:
    """A partition definition in words."""
    if spec is None:
        return ""
    if spec.kind == "product":
        return " × ".join(f"{name} ({partitions_text(inner)})" for name, inner in spec.dimensions)
    if spec.kind == "dynamic":
        return f"dynamic: {spec.name}"
    if spec.kind == "static":
        keys = ", ".join(spec.keys[:6])
        return f"static: {keys}{f' and {len(spec.keys) - 6} more' if len(spec.keys) > 6 else ''}"
    until = f" to {spec.end}" if spec.end else ""
    return f"{spec.kind} from {spec.start}{until}, {spec.tz}"
