"""A stored Python value as the scheduler sees it: codec, size, digest, and the bytes or where they lie.

Rule: nothing here decodes a user's value. Encoding and decoding happen in workers (`partita.values`).
"""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, array_like=True):
    """One encoded value: `data` holds it inline, or `ref` names the blob ("ab/abcd...") that holds it.

    `digest` is the SHA-256 (hex) of the encoded bytes; empty for inline values, whose bytes speak for themselves.
    Of an asset whose data lies elsewhere (bytes: nil) it stands for the version of that data.
    `length` is the number of elements when the value is a sequence that can be mapped over; else None.
    `preview` is plain text made by the worker for people; empty when the bytes are inline and plain.
    `table` is what a frame begins with, as packed plain data: {"columns": [[name, type], ...], "rows": [...], "count": n,
    "width": m}. Made by the worker too, for nobody else decodes frames.
    """

    codec: str
    size: int
    data: bytes | None = None
    ref: str | None = None
    digest: str = ""
    length: int | None = None
    preview: str = ""
    table: bytes | None = None


class Whole(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    """An input: the value, then `path` applied to it (`value["a"][0]` is ("a", 0))."""

    value: Value
    path: tuple[str | int, ...] = ()


class Part(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """An input: one element of a sequence value, then `path` applied to the element."""

    value: Value
    at: int
    path: tuple[str | int, ...] = ()


class Many(msgspec.Struct, frozen=True, array_like=True, tag="m"):
    """An input: a list of inputs."""

    items: tuple[Whole | Part | Many | Named | Of | Missing, ...]


class Named(msgspec.Struct, frozen=True, array_like=True, tag="n"):
    """An input: a dict of inputs."""

    items: tuple[tuple[str, Whole | Part | Many | Named | Of | Missing], ...]


class Of(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """An input that is of another partition of its asset than that of the step."""

    partition: str
    item: Whole


class Missing(msgspec.Struct, frozen=True, array_like=True, tag="-"):
    """An input whose step gave no value (skipped or failed, and the join rule let this step run): None."""


Input = Whole | Part | Many | Named | Of | Missing
