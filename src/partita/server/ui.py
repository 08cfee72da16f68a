"""The page: a built UI from the folder `ui` beside this file, or a plain page that says where the API is.

Rule: only files that were there when the server started are served, by their exact path. No name out of a request is ever
joined into a path of the disk.
"""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

_FOLDER = Path(__file__).parent / "ui"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
# The addresses of `ui/src/routes.tsx`; `*` is one name.
_SCREENS = [
    "runs",
    "runs/*",
    "runs/*/steps/*",
    "pipelines",
    "pipelines/*",
    "assets",
    "assets/*",
    "lineage",
    "schedules",
    "schedules/*/*",
    "sensors/*/*",
    "backfills",
    "backfills/*",
    "approvals",
    "approvals/*/*",
    "system",
    "signin",
]
_SHAPES = frozenset(tuple(screen.split("/")) for screen in _SCREENS)
_SLASHES = re.compile(r"[/\\]")
_PLAIN = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Partita</title>
<h1>Partita is at work</h1>
<p>This installation has no user interface built in. Use the command line, or the API:</p>
<ul>
<li>The API is under <code>/api/v1</code>; <a href="/api/v1/openapi.json">openapi.json</a> describes it.</li>
<li>Sign in with the link that <code>partita up</code> has printed, or send a token:
<code>Authorization: Bearer ...</code>.</li>
<li>A token: <code>partita tokens create</code>. Programs of this machine's user find one in
<code>.partita/token</code>.</li>
</ul>
</html>
"""


class File(msgspec.Struct, frozen=True):
    """What is served."""

    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...]


class Ui:
    """The files of the page, read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files: dict[bytes, File] = {}
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    self._files[b"/" + str(path.relative_to(folder)).encode()] = _file(path)
        # The page finds its way by itself: every other path of it is the page again.
        self._index = self._files.get(b"/index.html") or File(
            _PLAIN, "text/html; charset=utf-8", (("content-security-policy", _POLICY),)
        )
        self._is_built = b"/index.html" in self._files

    def file(self, raw_path: bytes) -> File | None:
        """The file of a path; None if there is none."""
        if raw_path in (b"", b"/"):
            return self._index
        found = self._files.get(raw_path)
        if found is None and self._is_built and _is_screen(raw_path):
            return self._index
        return found


def _is_screen(raw_path: bytes) -> bool:
    """Is it the address of a screen? Names in it may hold dots and (encoded) slashes, but nothing that leads upwards."""
    try:
        parts = [_decoded(part).decode() for part in raw_path[1:].split(b"/")]
    except UnicodeDecodeError:
        return False
    if not any(len(s) == len(parts) and all(a in ("*", b) for a, b in zip(s, parts, strict=True)) for s in _SHAPES):
        return False
    # What stands behind a semicolon are parameters to some who read paths.
    pieces = (piece.partition(";")[0] for part in parts for piece in _SLASHES.split(part))
    return all(piece not in ("", ".", "..") and "\0" not in piece for piece in pieces)


def _decoded(name: bytes) -> bytes:
    """As whoever decodes most often reads it."""
    while (once := unquote_to_bytes(name)) != name:
        name = once
    return name


def _file(path: Path) -> File:
    media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media.startswith("text/") or media in ("application/javascript", "application/json"):
        media += "; charset=utf-8"
    # Files of the build carry their content's hash in their names.
    keep = "no-cache" if path.suffix == ".html" else "public, max-age=31536000, immutable"
    return File(path.read_bytes(), media, (("content-security-policy", _POLICY), ("cache-control", keep)))
