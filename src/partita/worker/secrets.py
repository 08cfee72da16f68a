"""The values of secrets, in the processes that run user code: where each is kept, and how it is fetched.

A secret without a source of its own is looked for in the store (sealed), then in the environment. `[tool.partita.secrets]`
names other sources: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER`, `vault:MOUNT/PATH#FIELD`.

The engine keeps a copy of the sealed secrets in a file beside the store (0600), for workers read no store. It is read
again when it has changed, so what was set a moment ago is used by workers that have long been running.

Rule: a value is masked, here and in the host that writes our log, before whoever asked gets it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from partita.define.secret import from_environment
from partita.errors import DefinitionError, PartitaError, StoreError, WorldError
from partita.settings import Home
from partita.values.blobs import write_then_rename
from partita.values.sealing import KEY_VARIABLE, Keys, read_keys
from partita.worker.masking import SHORTEST

LONGEST = 64 << 10
# Others' vaults are not asked again for each step.
_FRESH_S = 60.0


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A secret as it lies in the file."""

    namespace: str
    name: str
    sealed: bytes
    key_id: str


class Where(msgspec.Struct, frozen=True):
    """What a process must know to find secrets. `key` is the text of PARTITA_SECRET_KEY ("" = there is a key file)."""

    namespace: str = "default"
    folder: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    key: str = ""

    def __repr__(self) -> str:
        return f"Where({self.namespace!r}, sources={[name for name, _ in self.sources]})"


_decoder = msgspec.msgpack.Decoder(tuple[Sealed, ...])
# Taken out of the environment of this process, so that no program that user code starts inherits it.
_key_variable = ""


def take_key_variable() -> str:
    """The text of PARTITA_SECRET_KEY, which is in the environment no more afterwards."""
    global _key_variable
    _key_variable = os.environ.pop(KEY_VARIABLE, "") or _key_variable
    return _key_variable


def write_sealed(home: Home, rows: Iterable[tuple[str, str, bytes, str]]) -> None:
    """Put the copy of all sealed secrets in its place; without any there is no file."""
    sealed = tuple(Sealed(*row) for row in rows)
    path = _sealed_file(home)
    if not sealed:
        path.unlink(missing_ok=True)
        return
    data = msgspec.msgpack.encode(sealed)
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass  # there is none yet, or it cannot be read: then it is made
    write_then_rename(path, data, sync=False)


def problem_of_value(value: str) -> str:
    """What is wrong with a value; "" if nothing is."""
    size = len(value.encode("utf-8", "surrogatepass"))
    if size < SHORTEST:
        return f"a secret has {SHORTEST} bytes or more: a shorter one cannot be masked in logs"
    if size > LONGEST:
        return f"a secret has {LONGEST >> 10} KiB at most"
    return ""


class SecretBook:
    """Finds values in one process. `told` is called with each value before it is given out."""

    def __init__(self, home: Home, where: Where, told: Callable[[str, bytes], None] = lambda name, value: None) -> None:
        self._home = home
        self._where = where
        self._sources = dict(where.sources)
        self._told = told
        self._rows: dict[str, Sealed] = {}
        self._read_at: tuple[int, int] | None = None
        self._keys: Keys | None = None
        # Fetched from elsewhere: name -> (value, when it is fetched again).
        self._fetched: dict[str, tuple[str, float]] = {}

    def value(self, name: str) -> str:
        """The value of a secret. Raises `PartitaError` if there is none, or where it is kept cannot be reached."""
        source = self._sources.get(name, "")
        kind, _, rest = source.partition(":")
        value = _FETCH[kind](self, name, rest) if kind in _FETCH else self._stored(name, kind == "store")
        self._told(name, value.encode("utf-8", "surrogatepass"))
        return value

    def known(self) -> list[bytes]:
        """The values of this namespace that can be known without asking anybody: all of them are masked from the start.

        What cannot be opened is told when somebody asks for it.
        """
        found: list[bytes] = []
        for row in self._sealed().values():
            try:
                found.append(self._opened(row))
            except StoreError:
                continue
        for name, source in self._sources.items():
            kind, _, rest = source.partition(":")
            variable = os.environ.get(rest if kind == "env" else name) if kind in ("", "env") else None
            if variable:
                found.append(variable.encode("utf-8", "surrogateescape"))
        return found

    # --- where it is ----------------------------------------------------------------------------------------------

    def _stored(self, name: str, only_there: bool) -> str:
        row = self._sealed().get(name)
        if row is not None:
            return self._opened(row).decode("utf-8", "surrogatepass")
        if only_there:
            raise _missing(name, f"in namespace {self._where.namespace}")
        return from_environment(name)

    def _sealed(self) -> Mapping[str, Sealed]:
        """The sealed secrets of our namespace, as the file has them now."""
        path = _sealed_file(self._home)
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_ino)
            if version != self._read_at:
                rows = _decoder.decode(path.read_bytes())
                self._rows = {row.name: row for row in rows if row.namespace == self._where.namespace}
                # A rotation has brought other keys.
                self._keys = None
                self._read_at = version
        except FileNotFoundError:
            self._rows, self._read_at = {}, None
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"the sealed secrets cannot be read: {error}", hint="partita doctor") from error
        return self._rows

    def _opened(self, row: Sealed) -> bytes:
        if self._keys is None:
            self._keys = read_keys(self._home.key, self._where.key)
        if self._keys is None:
            raise StoreError(
                f"secret {row.name!r} is sealed, and there is no key",
                hint=f"bring back {self._home.key}, or set {KEY_VARIABLE}",
            )
        return self._keys.open(row.namespace, row.name, row.sealed, row.key_id)

    def _env(self, name: str, variable: str) -> str:
        value = os.environ.get(variable)
        if value is None:
            raise _missing(name, f"in the environment, as {variable}")
        return value

    def _file(self, name: str, path: str) -> str:
        try:
            # As with mounted secrets everywhere: the newline at the end is the editor's.
            return (Path(self._where.folder) / path).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise WorldError(f"secret {name} cannot be read from {path}: {reason}") from None

    def _keyring(self, name: str, rest: str) -> str:
        service, _, user = rest.rpartition("/")
        return self._fresh(name, lambda: _from_keyring(name, service, user))

    def _vault(self, name: str, rest: str) -> str:
        return self._fresh(name, lambda: _from_vault(name, rest))

    def _fresh(self, name: str, fetch: Callable[[], str]) -> str:
        value, until = self._fetched.get(name, ("", 0.0))
        if time.monotonic() >= until:
            value = fetch()
            self._fetched[name] = (value, time.monotonic() + _FRESH_S)
        return value


_FETCH: dict[str, Callable[[SecretBook, str, str], str]] = {
    "env": SecretBook._env,
    "file": SecretBook._file,
    "keyring": SecretBook._keyring,
    "vault": SecretBook._vault,
}


def _from_keyring(name: str, service: str, user: str) -> str:
    try:
        import keyring
    except ImportError:
        raise WorldError(f"secret {name} is in a keyring", hint="pip install 'partita[keyring]'") from None
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise WorldError(f"secret {name}: the keyring cannot be asked: {error}") from None
    if found is None:
        raise _missing(name, f"in the keyring, as {service}/{user}")
    return found


def _from_vault(name: str, where: str) -> str:
    """A field of a secret of a KV engine (version 2). VAULT_ADDR, VAULT_TOKEN and VAULT_NAMESPACE say whom to ask."""
    try:
        import hvac
    except ImportError:
        raise WorldError(f"secret {name} is in Vault", hint="pip install 'partita[vault]'") from None
    address = os.environ.get("VAULT_ADDR")
    if not address:
        raise WorldError(f"secret {name} is in Vault", hint="set VAULT_ADDR and VAULT_TOKEN")
    path, _, field = where.rpartition("#")
    mount, _, path = path.partition("/")
    client = hvac.Client(url=address, namespace=os.environ.get("VAULT_NAMESPACE"), timeout=10)
    try:
        answer: dict[str, Any] = client.secrets.kv.v2.read_secret_version(
            path=path, mount_point=mount, raise_on_deleted_version=True
        )
    except hvac.exceptions.InvalidPath:
        raise _missing(name, f"in Vault, at {mount}/{path}") from None
    except Exception as error:  # whatever it has to say about the connection; its text may quote the request
        raise WorldError(
            f"secret {name}: Vault at {address} cannot be asked: {type(error).__name__}",
            hint="is VAULT_TOKEN valid, and may it read this path?",
        ) from None
    value = answer["data"]["data"].get(field)
    if not isinstance(value, str):
        raise _missing(name, f"in Vault: {mount}/{path} has no text {field!r}")
    return value


def _missing(name: str, where: str) -> PartitaError:
    return DefinitionError(f"there is no secret {name} {where}", hint=f"keep it: partita secrets set {name}")


def _sealed_file(home: Home) -> Path:
    return home.root / "secrets.sealed"
