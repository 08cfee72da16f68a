"""Secrets in the processes that run user code: found where they are kept, masked before anybody can print them."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from partita.define.secret import Secret, from_environment, resolve_with, secret
from partita.errors import PartitaError, StoreError, WorldError
from partita.settings import Home
from partita.values.sealing import KEY_VARIABLE, Keys, make_keys, read_keys, write_keys
from partita.worker.logs import PipeLog
from partita.worker.markers import Known, Splitter, Text, log_name, mark, secret_marks
from partita.worker.masking import Masker
from partita.worker.secrets import SecretBook, Where, problem_of_value, take_key_variable, write_sealed

NONCE = "0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".partita")


def keep(home: Home, namespace: str = "default", **values: str) -> None:
    keys = make_keys(home.key)
    rows = [(namespace, n, keys.seal(namespace, n, v.encode()), keys.current) for n, v in values.items()]
    write_sealed(home, rows)


# --- sealed -------------------------------------------------------------------------------------------------------


def test_a_sealed_secret_opens_with_its_key_for_its_name_only() -> None:
    keys = Keys({}).with_new()
    sealed = keys.seal("default", "DB", b"hunter2")
    assert b"hunter2" not in sealed
    assert keys.open("default", "DB", sealed, keys.current) == b"hunter2"
    assert sealed != keys.seal("default", "DB", b"hunter2")
    for namespace, name in (("other", "DB"), ("default", "DB2"), ("default\0DB", "")):
        with pytest.raises(StoreError, match="damaged"):
            keys.open(namespace, name, sealed, keys.current)
    for at in range(len(sealed)):
        with pytest.raises(StoreError, match="damaged"):
            keys.open("default", "DB", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], keys.current)
    with pytest.raises(StoreError, match="key k0, which is not here"):
        keys.open("default", "DB", sealed, "k0")


def test_the_key_is_its_owners_and_is_made_once(home: Home) -> None:
    first = make_keys(home.key)
    assert make_keys(home.key).text() == first.text()
    assert home.key.stat().st_mode & 0o777 == 0o600
    assert first.text().split()[1] not in repr(first)
    home.key.chmod(0o644)
    with pytest.raises(StoreError, match="others can read"):
        read_keys(home.key)
    home.key.chmod(0o600)
    home.key.write_text("nonsense")
    with pytest.raises(StoreError, match="no key file"):
        read_keys(home.key)


def test_after_a_rotation_the_new_key_seals_and_the_old_one_is_gone(home: Home) -> None:
    keep(home, DB="hunter2")
    book = SecretBook(home, Where())
    assert book.value("DB") == "hunter2"
    keys = make_keys(home.key).with_new()
    write_keys(home.key, keys)
    keep(home, DB="hunter2")
    write_keys(home.key, keys.only_current())
    assert book.value("DB") == "hunter2"
    assert len(make_keys(home.key).text().splitlines()) == 1


def test_the_key_may_come_by_a_variable_which_nobody_inherits(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys({}).with_new()
    monkeypatch.setenv(KEY_VARIABLE, keys.text().strip())
    text = take_key_variable()
    assert KEY_VARIABLE not in os.environ
    write_sealed(home, [("default", "DB", keys.seal("default", "DB", b"hunter2"), keys.current)])
    assert SecretBook(home, Where(key=text)).value("DB") == "hunter2"
    assert text not in repr(Where(key=text))
    with pytest.raises(StoreError, match="there is no key"):
        SecretBook(home, Where()).value("DB")


# --- where they are -----------------------------------------------------------------------------------------------


def test_a_secret_that_was_set_a_moment_ago_is_found_by_whoever_has_long_been_running(home: Home) -> None:
    book = SecretBook(home, Where())
    keep(home, DB="one-one")
    assert book.value("DB") == "one-one"
    keep(home, DB="two-two")
    assert book.value("DB") == "two-two"
    write_sealed(home, [])
    with pytest.raises(PartitaError, match="there is no secret DB"):
        book.value("DB")


def test_a_namespace_sees_its_own_only(home: Home) -> None:
    keep(home, "sales", DB="of sales")
    with pytest.raises(PartitaError, match="there is no secret DB"):
        SecretBook(home, Where("default")).value("DB")
    assert SecretBook(home, Where("default")).known() == []
    assert SecretBook(home, Where("sales")).known() == [b"of sales"]


def test_environment_and_files_are_sources(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "db").write_text("from a file\n")
    monkeypatch.setenv("PLAIN", "from here")
    monkeypatch.setenv("OTHER", "from there")
    sources = (
        ("FILE", "file:db"),
        ("ENV", "env:OTHER"),
        ("GONE", "env:NOT_SET"),
        ("LOST", "file:no/such"),
        ("S", "store"),
    )
    told: list[tuple[str, bytes]] = []
    book = SecretBook(home, Where(folder=str(tmp_path), sources=sources), lambda *what: told.append(what))
    assert [book.value(n) for n in ("PLAIN", "FILE", "ENV")] == ["from here", "from a file", "from there"]
    assert told == [("PLAIN", b"from here"), ("FILE", b"from a file"), ("ENV", b"from there")]
    for name, says in (("GONE", "as NOT_SET"), ("LOST", "cannot be read"), ("S", "in namespace default")):
        with pytest.raises(PartitaError, match=says):
            book.value(name)
    assert book.known() == [b"from there"]


def test_a_keyring_is_a_source(home: Home) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1.0  # type: ignore[assignment]
        kept = {("partita/sales", "DB"): "from a keyring"}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        book = SecretBook(home, Where(sources=(("DB", "keyring:partita/sales/DB"), ("NO", "keyring:a/b"))))
        assert book.value("DB") == "from a keyring"
        with pytest.raises(PartitaError, match="in the keyring"):
            book.value("NO")
    finally:
        keyring.set_keyring(before)


class AVault(BaseHTTPRequestHandler):
    """What Vault's KV engine, version 2, answers; strict about path, token and method."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("X-Vault-Token") != "s.token":
            self._say(403, {"errors": ["permission denied"]})
            return
        if self.path.split("?")[0] != "/v1/kv/data/warehouse/main":
            self._say(404, {"errors": []})
            return
        data = {"password": "from a vault", "port": 5432}
        metadata = {"version": 3, "destroyed": False, "deletion_time": "", "created_time": "", "custom_metadata": None}
        self._say(200, {"data": {"data": data, "metadata": metadata}, "lease_id": "", "renewable": False})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    AVault.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), AVault)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("VAULT_TOKEN", "s.token")
    monkeypatch.delenv("VAULT_NAMESPACE", raising=False)
    yield os.environ["VAULT_ADDR"]
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_vault_is_a_source_and_is_not_asked_for_each_step(home: Home, vault: str) -> None:
    book = SecretBook(home, Where(sources=(("DB", "vault:kv/warehouse/main#password"),)))
    assert [book.value("DB") for _ in range(3)] == ["from a vault"] * 3
    assert len(AVault.asked) == 1


@pytest.mark.parametrize(
    ("source", "token", "says"),
    [
        ("vault:kv/warehouse/other#password", "s.token", "in Vault, at kv/warehouse/other"),
        ("vault:kv/warehouse/main#nothing", "s.token", "has no text 'nothing'"),
        ("vault:kv/warehouse/main#port", "s.token", "has no text 'port'"),
        ("vault:kv/warehouse/main#password", "wrong", "cannot be asked: Forbidden"),
    ],
)
def test_what_vault_does_not_give_is_one_clear_error(
    home: Home, vault: str, monkeypatch: pytest.MonkeyPatch, source: str, token: str, says: str
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", token)
    with pytest.raises(PartitaError, match=says):
        SecretBook(home, Where(sources=(("DB", source),))).value("DB")


def test_without_an_address_vault_is_not_guessed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    with pytest.raises(WorldError) as error:
        SecretBook(home, Where(sources=(("DB", "vault:kv/x#y"),))).value("DB")
    assert error.value.hint == "set VAULT_ADDR and VAULT_TOKEN"


def test_a_value_that_cannot_be_masked_is_not_kept() -> None:
    assert "cannot be masked" in problem_of_value("abc")
    assert problem_of_value("abcd") == ""
    assert "64 KiB" in problem_of_value("x" * 70_000)


# --- masked -------------------------------------------------------------------------------------------------------

VALUE = 'p/w "q" é+&\\x'


def test_what_becomes_known_is_masked_from_then_on_in_twelve_encodings() -> None:
    masker = Masker([b"first-one"])
    raw = VALUE.encode()
    from urllib.parse import quote, quote_plus

    forms = [
        raw,
        quote(VALUE, safe="").encode(),
        quote_plus(VALUE).encode(),
        base64.b64encode(raw),
        base64.b64encode(b"x" + raw),
        base64.b64encode(b"xy" + raw),
        base64.urlsafe_b64encode(raw),
        json.dumps(VALUE)[1:-1].encode(),
        repr(VALUE)[1:-1].encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        VALUE.replace("&", "&amp;").replace('"', "&quot;").encode(),
    ]
    before = masker.masked(b" ".join(forms))
    masker.add(raw)
    after = masker.masked(b" ".join(forms))
    assert before == b" ".join(forms)
    pieces = [form[3:-4] for form in forms]
    assert not [piece for piece in pieces if piece in after]
    assert masker.masked(b"first-one") == b"***"


@pytest.mark.parametrize("size", [4, 149, 150, 151, 1000, 40_000])
def test_a_secret_travels_in_the_stream_and_never_into_a_log(tmp_path: Path, size: int) -> None:
    value = os.urandom(size).hex()[:size].encode()
    marks = secret_marks(NONCE, value)
    assert all(len(piece) <= 300 for piece in marks)
    name = log_name(1, "load", "", 1)
    stream = mark(NONCE, "B", name) + b"before " + b"".join(marks) + b"it is " + value + b"\n" + mark(NONCE, "E", name)
    whole = Splitter(NONCE).feed(stream)
    assert [piece.secret for piece in whole if isinstance(piece, Known)] == [value]
    assert b"".join(p.data for p in whole if isinstance(p, Text)) == b"before it is " + value + b"\n"
    log = PipeLog(tmp_path, NONCE, Masker())
    step = 7 if size < 2000 else 4096
    for at in range(0, len(stream), step):
        log.feed(stream[at : at + step], 1.0)
    log.close(1.0)
    written = (tmp_path / f"{name}.log").read_bytes()
    assert b"before it is ***" in written
    assert value not in written


def test_a_secret_names_itself_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from partita.define.context import Context

    found = secret("DB")
    assert repr(found) == "<secret DB>"
    assert pickle.loads(pickle.dumps(found)) == Secret("DB")
    monkeypatch.setenv("DB", "of the test")
    assert (found.get(), Context().secret("DB")) == ("of the test", "of the test")
    resolve_with(lambda name: f"value of {name}")
    try:
        assert found.get() == "value of DB"
    finally:
        resolve_with(from_environment)
    for name in ("", "1x", "a b", "../x", "x\n"):
        with pytest.raises(PartitaError, match="no name of a secret"):
            secret(name)
