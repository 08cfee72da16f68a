"""How storage is shown: by `partita db storage` and, in short, by `partita doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from partita.cli.tables import Column, print_table
from partita.cli.words import exact, iso, many, size

if TYPE_CHECKING:
    from partita.cli.terminal import Out
    from partita.engine.storage import Elsewhere, Kept, Storage


def print_storage(out: Out, found: Storage) -> None:
    """All of it: spaces, what is kept how long, what was removed last."""
    print_table(
        out,
        (Column("what"), Column("size", right=True), Column("files", right=True)),
        [[s.name, size(s.bytes), str(s.files)] for s in found.spaces if s.files],
    )
    if found.elsewhere is not None:
        out.line(f"values are in {_elsewhere(found.elsewhere)}")
    if found.free:
        out.line((f"{size(found.free)} of the database is free: partita db vacuum", "dim"))
    out.line()
    print_table(
        out,
        (Column("kind"), Column("kept for"), Column("at most", right=True), Column("older now", right=True)),
        [
            [
                k.kind,
                _age(k),
                "" if k.max_bytes is None else size(k.max_bytes),
                "" if k.removable is None else str(k.removable),
            ]
            for k in found.kept
        ],
    )
    if found.removals:
        out.line()
        print_table(
            out,
            (Column("removed"), Column("count", right=True), Column("size", right=True), Column("at")),
            [[r.what, str(r.count), size(r.bytes) if r.bytes else "", (exact(r.at), "dim")] for r in found.removals],
        )


def storage_object(found: Storage) -> dict[str, Any]:
    """All of it, as `--json` prints it."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(found)
    fields["removals"] = [{**r, "at": iso(r["at"]), "older_than": iso(r["older_than"])} for r in fields["removals"]]
    return {"bytes": found.bytes, **fields}


def in_short(found: Storage) -> str:
    """A line for the doctor."""
    parts = ", ".join(f"{s.name} {size(s.bytes)}" for s in sorted(found.spaces, key=lambda s: -s.bytes) if s.bytes)
    removable = next((k.removable for k in found.kept if k.kind == "runs"), None)
    if found.elsewhere is not None:
        parts += f", and values in {_elsewhere(found.elsewhere)}"
    more = f"; retention removes {many(removable, 'run')} next" if removable else ""
    return f"{size(found.bytes)}: {parts or 'nothing'}{more}"


def _elsewhere(found: Elsewhere) -> str:
    """What lies in an object storage, which is not in the sum."""
    if found.trouble:
        return f"{found.address}, which cannot be counted: {found.trouble}"
    if found.bytes is None or found.files is None:
        return f"{found.address}, not counted here: partita db storage"
    least = "more than " if found.more else ""
    return f"{found.address}: {least}{size(found.bytes)} in {least}{many(found.files, 'object')}"


def _age(kept: Kept) -> str:
    return "for ever" if kept.age_s is None else many(round(kept.age_s / 86_400), "day")
