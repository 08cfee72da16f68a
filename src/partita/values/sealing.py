"""Secrets as they lie in the store: sealed by ChaCha20-Poly1305 under a key that lies elsewhere.

The key file (0600) has a key in a line: its id, a space, 32 bytes in base64; the first is the one to seal with. The same
may stand in the variable PARTITA_SECRET_KEY, its lines joined by commas. A sealed secret is bound to its namespace and
name, so that none can be put in another's place.

Rule: what cannot be opened is an error that says which key is missing; nothing here writes a value down.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from partita.errors import StoreError
from partita.values.blobs import write_then_rename

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_VARIABLE = "PARTITA_SECRET_KEY"
_NONCE = 12


class Keys:
    """Keys by id; the first is the one to seal with."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"<keys {', '.join(self._keys)}>"

    @property
    def current(self) -> str:
        """The id of the key to seal with."""
        return next(iter(self._keys))

    def text(self) -> str:
        """The text of a key file."""
        return "".join(f"{id} {base64.b64encode(key).decode()}\n" for id, key in self._keys.items())

    def with_new(self) -> Keys:
        """These keys, behind a fresh one."""
        return Keys({_new_id(): secrets.token_bytes(32), **self._keys})

    def only_current(self) -> Keys:
        """The key to seal with, alone."""
        return Keys({self.current: self._keys[self.current]})

    def seal(self, namespace: str, name: str, value: bytes) -> bytes:
        """Seal a value under the current key."""
        nonce = os.urandom(_NONCE)
        return nonce + _cipher(self._keys[self.current]).encrypt(nonce, value, _bound_to(namespace, name))

    def open(self, namespace: str, name: str, sealed: bytes, key_id: str) -> bytes:
        """The value of a sealed secret. Raises `StoreError` if its key is not here, or it is not as it was sealed."""
        from cryptography.exceptions import InvalidTag

        key = self._keys.get(key_id)
        if key is None:
            raise StoreError(
                f"secret {name!r} is sealed with key {key_id}, which is not here",
                hint=f"bring back the key file, or {KEY_VARIABLE}; or set the secret again: partita secrets set {name}",
            )
        try:
            return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(namespace, name))
        except (InvalidTag, ValueError):
            raise StoreError(
                f"secret {name!r} is damaged: it is not what was sealed",
                hint=f"set it again: partita secrets set {name}",
            ) from None


def read_keys(path: Path, variable: str | None = None) -> Keys | None:
    """The keys of the variable's text, else those of the file; None if there is neither. Raises `StoreError`."""
    if variable:
        return _parsed(variable.replace(",", "\n"), KEY_VARIABLE)
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the key file {path} cannot be read: {error}") from error
    if path.stat().st_mode & 0o077:
        raise StoreError(f"others can read the key file {path}", hint=f"chmod 600 {path}, then: partita secrets rotate")
    return _parsed(text, str(path))


def make_keys(path: Path, variable: str | None = None) -> Keys:
    """The keys that there are; a first one is made if there is none."""
    known = read_keys(path, variable)
    if known is not None:
        return known
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever makes the file first has made the key; two processes may ask at once.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            keys = Keys({}).with_new()
            file.write(keys.text())
            file.flush()
            os.fsync(file.fileno())
            return keys
    except FileExistsError:
        found = read_keys(path)
        if found is None:
            raise StoreError(f"the key file {path} comes and goes") from None
        return found


def write_keys(path: Path, keys: Keys) -> None:
    """Put other keys in the file's place."""
    write_then_rename(path, keys.text().encode(), sync=True)
    os.chmod(path, 0o600)


def _parsed(text: str, where: str) -> Keys:
    found: dict[str, bytes] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        id, _, encoded = line.rpartition(" ")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise StoreError(
                f"{where} is no key file: a line has an id, a space, and 32 bytes in base64",
                hint="for example: k1 $(head -c 32 /dev/urandom | base64)",
            )
        found[id or "key"] = key
    if not found:
        raise StoreError(f"{where} is empty", hint="bring back the key file, or remove it and set the secrets again")
    return Keys(found)


def _new_id() -> str:
    return f"k{secrets.token_hex(4)}"


def _bound_to(namespace: str, name: str) -> bytes:
    return f"partita secret\0{namespace}\0{name}".encode("utf-8", "surrogatepass")


def _cipher(key: bytes) -> ChaCha20Poly1305:
    # Imported by whoever opens a secret, and by no worker that uses none.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)
