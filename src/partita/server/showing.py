"""Stored values as people may see them: bounded plain data, tables, images by address, and a description of all else.

Rule: nothing is imported or unpickled here. Frames show what their worker has kept of them, of what only its owner can read
type, size and digest are told, and known secrets are masked before anything leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import msgspec

from partita.core import plain
from partita.core.values import Input, Many, Missing, Named, Of, Part, Value, Whole
from partita.errors import PartitaError
from partita.server.jsonable import as_json, stand_in
from partita.server.secrecy import masked
from partita.values.blobs import Blobs
from partita.values.storing import items_in

MOST_READ: Final = 4 << 20
MOST_IMAGE: Final = 8 << 20
_MOST_ITEMS: Final = 20
_MOST_NODES: Final = 4000
_MOST_LIST: Final = 200
_MOST_TEXT: Final = 20_000
_MOST_DEPTH: Final = 12

Mask = Callable[[str], str]

_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Table(msgspec.Struct, frozen=True):
    """The first rows of a frame that has `count` rows and `width` columns; `columns` are pairs of name and type."""

    columns: list[list[str]]
    rows: list[list[Any]]
    count: int
    width: int


class Preview(msgspec.Struct, frozen=True):
    """A value as far as it can be shown.

    `kind`: "json" (`value`), "text" (`value`), "table" (`table`), "image" (`media`; its address is the image's route), "file"
    (`value` is its name), "several" (`items`, of `length`), "described" (only `preview`, type, size and digest are known),
    "nothing". `of` are the steps, assets or parameters that it comes from. `note` says what is left out.
    """

    name: str
    kind: Literal["json", "text", "table", "image", "file", "several", "described", "nothing"]
    codec: str = ""
    size: int = 0
    length: int | None = None
    digest: str = ""
    of: list[str] = []
    value: Any = None
    table: Table | None = None
    media: str = ""
    preview: str = ""
    note: str = ""
    items: list[Preview] = []


class Shower:
    """Shows the values of one run."""

    def __init__(self, blobs: Blobs, folder: Path | None, mask: Mask) -> None:
        self._blobs = blobs
        # Of files below it the size is told.
        self._folder = folder
        self._mask = mask

    def shown(self, name: str, given: Input, of: Sequence[str] = ()) -> Preview:
        """What a step gets for an argument."""
        match given:
            case Whole(value=value, path=path):
                return self._whole(name, value, path, of)
            case Part(value=value, at=at, path=path):
                return self._element(name, value, at, path, of)
            case Of(partition=partition, item=item):
                found = self._whole(name, item.value, item.path, of)
                return msgspec.structs.replace(found, note=_joined(f"of partition {partition}", found.note))
            case Many(items=items):
                parts = [self.shown(f"[{at}]", item) for at, item in enumerate(items[:_MOST_ITEMS])]
                return self._several(name, parts, len(items), of)
            case Named(items=pairs):
                parts = [self.shown(self._mask(key), item) for key, item in pairs[:_MOST_ITEMS]]
                return self._several(name, parts, len(pairs), of)
            case Missing():
                return Preview(name, "nothing", of=list(of), note="its step gave no value")

    def image(self, given: Input) -> tuple[bytes, str] | None:
        """The bytes of an image and its type; None if the value is none."""
        if not isinstance(given, Whole) or given.path or given.value.size > MOST_IMAGE:
            return None
        try:
            value = self._decoded(given.value, MOST_IMAGE)
        except (PartitaError, _Unreadable):
            return None
        media = _media(value)
        return (value, media) if media else None

    def _several(self, name: str, parts: list[Preview], count: int, of: Sequence[str]) -> Preview:
        note = f"and {count - len(parts):,} more" if count > len(parts) else ""
        plain_parts = [p for p in parts if p.kind in ("json", "text", "nothing") and not p.note]
        if len(plain_parts) == len(parts) and not note and _is_small(parts):
            # What is plain all through reads better as the list or mapping that it will be.
            named = not parts or parts[0].name != "[0]"
            value: Any = {p.name: p.value for p in parts} if named and parts else [p.value for p in parts]
            return Preview(name, "json", length=count, of=list(of), value=value)
        return Preview(name, "several", length=count, of=list(of), items=parts, note=note)

    def _whole(self, name: str, value: Value, path: Sequence[str | int], of: Sequence[str]) -> Preview:
        known = Preview(
            name,
            "described",
            codec=value.codec,
            size=value.size,
            length=value.length,
            digest=value.digest,
            of=list(of),
            preview=self._mask(value.preview),
        )
        if value.table is not None and not path:
            table = msgspec.convert(masked(plain.unpack(value.table), self._mask), Table)
            return msgspec.structs.replace(known, kind="table", table=table)
        if value.codec == "plain" and value.digest and value.data == b"\xc0":
            return msgspec.structs.replace(known, note="its io keeps it elsewhere")
        try:
            found, path = self._items(value, path)
            if found is not None:
                return found(name, of)
            return self._plain(known, _followed(self._decoded(value, MOST_READ), path))
        except (PartitaError, _Unreadable) as error:
            where = "".join(f"[{step!r}]" for step in path)
            return msgspec.structs.replace(known, note=_joined(str(error), f"of it: {where}" if where else ""))

    def _items(
        self, value: Value, path: Sequence[str | int]
    ) -> tuple[Callable[[str, Sequence[str]], Preview] | None, Sequence[str | int]]:
        """A list of values that are not plain: shown one by one."""
        if value.codec != "items":
            return None, path
        if value.size > MOST_READ:
            raise _Unreadable("it is too large to be shown")
        items = items_in(value, self._blobs)
        if path and isinstance(path[0], int) and -len(items) <= path[0] < len(items):
            at, rest = path[0], path[1:]
            return lambda name, of: self._whole(name, items[at], rest, of), ()
        if path:
            raise _Unreadable("it is stored in parts")
        return (
            lambda name, of: self._several(
                name,
                [self._whole(f"[{n}]", item, (), ()) for n, item in enumerate(items[:_MOST_ITEMS])],
                len(items),
                of,
            )
        ), ()

    def _element(self, name: str, value: Value, at: int, path: Sequence[str | int], of: Sequence[str]) -> Preview:
        known = Preview(
            name, "described", codec=value.codec, of=list(of), note=f"element {at} of {value.length or 0:,}"
        )
        try:
            if value.codec == "items":
                found = items_in(value, self._blobs)[at]
                return self._whole(name, found, path, of)
            parts = plain.elements(self._bytes(value, MOST_READ)) if value.codec == "plain" else None
            if parts is None:
                raise _Unreadable(f"element {at} of {value.length or 0:,}: only its step can read it")
            return self._plain(
                msgspec.structs.replace(known, size=len(parts[at])), _followed(_unpacked(parts[at]), path)
            )
        except (PartitaError, _Unreadable, IndexError) as error:
            return msgspec.structs.replace(known, note=str(error))

    def _plain(self, known: Preview, value: Any) -> Preview:
        """A decoded value in the form that suits it."""
        media = _media(value)
        if media:
            return msgspec.structs.replace(known, kind="image", media=media, size=len(value), preview="")
        if isinstance(value, PurePath):
            return msgspec.structs.replace(known, kind="file", value=self._mask(str(value)), note=self._file(value))
        if isinstance(value, bytes):
            return msgspec.structs.replace(
                known, note=_joined(known.note, f"{len(value):,} bytes"), preview=self._mask(repr(value[:200]))
            )
        if isinstance(value, str):
            cut = value[:_MOST_TEXT]
            note = "" if len(cut) == len(value) else f"the first {len(cut):,} of {len(value):,} characters"
            return msgspec.structs.replace(
                known, kind="text", value=self._mask(cut), preview="", note=_joined(known.note, note)
            )
        cutter = _Cutter()
        shown = masked(as_json(cutter.cut(value, 0)), self._mask)
        note = "only a part of it is shown" if cutter.has_cut else ""
        return msgspec.structs.replace(known, kind="json", value=shown, preview="", note=_joined(known.note, note))

    def _file(self, path: PurePath) -> str:
        """The size of a file of the project; of what lies elsewhere nothing is told."""
        if self._folder is None:
            return ""
        try:
            found = (self._folder / path).resolve()
            if found.is_relative_to(self._folder.resolve()) and found.is_file():
                return f"{found.stat().st_size:,} bytes"
        except (OSError, ValueError):
            pass  # it is gone, or a name that no file has
        return ""

    def _decoded(self, value: Value, most: int) -> Any:
        if value.codec != "plain":
            raise _Unreadable("only its step can read it")
        return _unpacked(self._bytes(value, most))

    def _bytes(self, value: Value, most: int) -> bytes:
        if value.data is not None:
            return value.data
        if value.ref is None:
            raise _Unreadable("it is not stored here")
        if value.size > most:
            raise _Unreadable("it is too large to be shown")
        return self._blobs.read(value.ref, value.digest, value.size)


class _Unreadable(Exception):
    """Why a value is described and not shown."""


class _Cutter:
    """Cuts a value down to what a page can hold."""

    def __init__(self) -> None:
        self.has_cut = False
        self._left = _MOST_NODES

    def cut(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes):
            return self._text(repr(value[:200]))
        if isinstance(value, dict | list | tuple | set | frozenset):
            if depth >= _MOST_DEPTH:
                self.has_cut = True
                return "…"
            if isinstance(value, dict):
                pairs = self._some(value.items())
                return {key if isinstance(key, str) else str(key): self.cut(item, depth + 1) for key, item in pairs}
            return [self.cut(item, depth + 1) for item in self._some(value)]
        return value

    def _text(self, text: str) -> str:
        if len(text) <= _MOST_TEXT // 10:
            return text
        self.has_cut = True
        return text[: _MOST_TEXT // 10] + "…"

    def _some(self, items: Any) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if len(found) >= _MOST_LIST or self._left <= 0:
                self.has_cut = True
                break
            found.append(item)
        return found


def _unpacked(data: bytes) -> Any:
    try:
        return plain.unpack(data, stand_in)
    except (ValueError, TypeError, LookupError, RecursionError, msgspec.MsgspecError):
        raise _Unreadable("only its step can read it") from None


def _followed(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise _Unreadable(f"it has no [{step!r}]") from None
    return value


def _media(value: Any) -> str:
    if not isinstance(value, bytes) or len(value) > MOST_IMAGE:
        return ""
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "image/webp"
    return next((media for magic, media in _IMAGES if value.startswith(magic)), "")


def _is_small(parts: list[Preview]) -> bool:
    return sum(part.size for part in parts) <= 16 << 10


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
