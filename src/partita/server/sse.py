"""Server-sent events: how a message looks on the wire.

Rule: data is one line of JSON, so nothing in it can end a message early.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

END: Final = "end"
"""The last message of a stream that the server ends: its data says why."""

HEARTBEAT_S: Final = 15.0

LOOK_AGAIN_S: Final = 4.0
"""How long a stream goes on before it is looked again whether its client may still listen."""

_encode = msgspec.json.Encoder().encode


def message(event: str, data: Any, id: str = "") -> bytes:
    r"""One message.

    >>> message("line", {"text": "a"}, "12")
    b'id: 12\nevent: line\ndata: {"text":"a"}\n\n'
    """
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: ".encode() + _encode(data) + b"\n\n"


def comment(text: str = "") -> bytes:
    """A line that clients ignore: it keeps connections open, and shows which have gone."""
    return f": {text}\n\n".encode()
