"""What people and programs show to be known: tokens, session cookies, links to sign in once, the machine user's token file.

Rule: random bits of ours, 256 of them (a link: 128, for it works once and not for long). Stored is their SHA-256 only.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from partita.engine.ids import new_run_id
from partita.values.blobs import write_then_rename

TOKEN_PREFIX = "ptk_"
LINK_S = 15 * 60.0


class Bearer(NamedTuple):
    """Something new to show: `text` goes to its holder and nowhere else, `digest` into the store."""

    id: str
    text: str
    digest: bytes


def new_token(now: float) -> Bearer:
    """A token for a program."""
    return _new(now, 32, TOKEN_PREFIX)


def new_session(now: float) -> Bearer:
    """What a browser's cookie holds."""
    return _new(now, 32, "")


def new_link(now: float) -> Bearer:
    """What stands behind the # of a link to sign in once: it is never sent to a server by following the link."""
    return _new(now, 16, "")


def digest_of(text: str) -> bytes:
    """What is stored of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def local_token(path: Path) -> str:
    """The token of this machine's user, which is made if there is none. Only its owner can read the file."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        text = ""
    if len(text) < 40:
        text = _new(0.0, 32, TOKEN_PREFIX).text
        write_private(path, text.encode() + b"\n")
    return text


def write_private(path: Path, data: bytes) -> None:
    """A file of ours (0600) that is there as a whole or not at all."""
    before = os.umask(0o077)
    try:
        write_then_rename(path, data, sync=True)
    finally:
        os.umask(before)
    os.chmod(path, 0o600)


def _new(now: float, size: int, prefix: str) -> Bearer:
    text = prefix + base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()
    return Bearer(new_run_id(now), text, digest_of(text))
