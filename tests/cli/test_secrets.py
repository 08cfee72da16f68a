"""Secrets, users, tokens, resources and the audit on the command line; and secrets in real runs, which leave no trace."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from partita.server.passwords import verify
from partita.store import access
from partita.store.sqlite import open_reader

from .projects import Partita, call

VALUE = "hunter2 & sons: 100%"
CODE = """
import base64, logging, os, subprocess, sys, urllib.parse
import partita as pt


@pt.resource
class Warehouse:
    url: str = "db://x"
    password: pt.Secret


@pt.task
def connect(ctx: pt.Context, warehouse: Warehouse) -> str:
    value = warehouse.password.get()
    print("plain", value)
    print("encoded", urllib.parse.quote(value), base64.b64encode(value.encode()).decode(), repr(value))
    logging.getLogger().warning("logged %s", value)
    subprocess.run([sys.executable, "-c", "import sys; print('child', sys.stdin.read())"], input=value, text=True)
    ctx.add_metadata(note=f"with {value}")
    ctx.progress(1, 2, value)
    assert "PARTITA_SECRET_KEY" not in os.environ
    assert not any(value in text for text in os.environ.values())
    return value


@pt.task
def fail(value: str) -> None:
    print("handed on:", value)
    raise ValueError(f"cannot connect with {value}")


@pt.pipeline
def nightly():
    fail(connect())
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(CODE)
    return folder


@pytest.fixture
def partita(shop: Path, capsys: pytest.CaptureFixture[str]) -> Partita:
    return lambda *words: call(capsys, shop, *words)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def trace(folder: Path, value: str) -> list[str]:
    """Files below that hold a value, or its commonest encodings."""
    forms = [
        value.encode(),
        base64.b64encode(value.encode()),
        value.encode().hex().encode(),
        repr(value)[1:-1].encode(),
    ]
    found = [f for f in folder.rglob("*") if f.is_file() and any(form in f.read_bytes() for form in forms)]
    return [str(f.relative_to(folder)) for f in found]


def test_a_secret_is_used_by_a_run_and_leaves_no_trace(
    shop: Path, partita: Partita, typed: Callable[[str], None]
) -> None:
    typed(VALUE + "\n")
    assert partita("secrets", "set", "WAREHOUSE_PASSWORD").status == 0
    (shop / "pipelines.py").write_text(CODE.replace("    return value", "    return 'value'"))
    said = partita("run", "nightly")
    assert said.status == 1  # the second step fails, on purpose
    log = partita("logs", "last", "connect").out
    for word in ("plain ***", "encoded ***", "logged ***", "child ***"):
        assert word in log
    everything = said.out + said.err + log + partita("show", "last", "--json").out + partita("why", "last", "fail").out
    assert VALUE not in everything
    assert trace(shop, VALUE) == []
    used = json.loads(partita("audit", "--json").out)
    assert [(e["action"], e["object"]) for e in used] == [
        ("secret.use", "secret:WAREHOUSE_PASSWORD"),
        ("secrets.set", "secret:WAREHOUSE_PASSWORD"),
    ]
    assert used[0]["principal"].startswith("run:")
    assert partita("audit", "verify").status == 0


def test_a_step_that_was_handed_a_secret_prints_it_masked(
    shop: Path, partita: Partita, typed: Callable[[str], None]
) -> None:
    typed(VALUE)
    partita("secrets", "set", "WAREHOUSE_PASSWORD")
    said = partita("run", "nightly")
    assert said.status == 1
    assert "handed on: ***" in partita("logs", "last", "fail").out
    assert "cannot connect with ***" in partita("show", "last", "fail").out
    assert VALUE not in said.out + said.err
    # The value itself is data: it lies where results lie, and nowhere else.
    assert {name.split("/")[1] for name in trace(shop, VALUE)} <= {"partita.db", "partita.db-wal"}


LATE = """
from pathlib import Path
import partita as pt


@pt.task
def fetch() -> None:
    print("got", pt.secret("LATE").get())


@pt.task
def stumble() -> None:
    found = Path("copied").read_text()
    print("found", found)
    raise ValueError(f"stumbled over {found}")


@pt.pipeline
def late():
    fetch()


@pt.pipeline
def copied():
    stumble()
"""


def test_a_secret_that_nobody_knew_before_the_step_asked_is_masked_too(shop: Path, partita: Partita) -> None:
    (shop / "pipelines.py").write_text(LATE)
    (shop / "pyproject.toml").write_text('[tool.partita]\nsecrets = { LATE = "file:late" }\n')
    (shop / "late").write_text("late-value-1\n")
    assert partita("run", "late").status == 0
    assert "got ***" in partita("logs", "last").out


def test_a_kept_secret_is_masked_in_steps_that_never_asked_for_it(
    shop: Path, partita: Partita, typed: Callable[[str], None]
) -> None:
    (shop / "pipelines.py").write_text(LATE)
    (shop / "copied").write_text("copied-value-1")
    typed("copied-value-1")
    partita("secrets", "set", "KEPT")
    said = partita("run", "copied")
    assert said.status == 1
    assert "found ***" in partita("logs", "last").out
    assert "stumbled over ***" in partita("show", "last", "stumble").out
    assert trace(shop / ".partita", "copied-value-1") == []


def test_secrets_are_listed_removed_and_rotated(shop: Path, partita: Partita, typed: Callable[[str], None]) -> None:
    assert "no secret is kept here" in partita("secrets").err
    for name in ("A_KEY", "B_KEY"):
        typed(f"value of {name}")
        assert partita("secrets", "set", name).status == 0
    key = (shop / ".partita/secrets.key").read_text()
    assert [row["name"] for row in json.loads(partita("secrets", "--json").out)] == ["A_KEY", "B_KEY"]
    assert "value of" not in partita("secrets").out
    assert "2 secrets sealed" in partita("secrets", "rotate").out
    assert (shop / ".partita/secrets.key").read_text() != key
    assert partita("secrets", "remove", "A_KEY").status == 0
    gone = partita("secrets", "remove", "A_KEY")
    assert (gone.status, "there is no secret A_KEY in namespace default" in gone.err) == (2, True)
    typed("abc")
    assert "cannot be masked" in partita("secrets", "set", "SHORT").err
    typed("abcde")
    assert "hint: it is short" in partita("secrets", "set", "SHORT").err


def test_a_value_on_the_command_line_is_refused(partita: Partita) -> None:
    said = partita("secrets", "set", "NAME", "the-value-itself")
    assert said.status == 2
    assert "a word too many" in said.err


def test_users_are_added_changed_and_closed(shop: Path, partita: Partita, typed: Callable[[str], None]) -> None:
    typed("correct horse battery\n")
    assert partita("users", "add", "ann", "--role", "sales:operator", "--role", "viewer").status == 0
    listed = json.loads(partita("users", "--json").out)
    assert [(u["name"], u["roles"], u["active"]) for u in listed] == [("ann", ["sales:operator", "viewer"], True)]
    with closing(open_reader(shop / ".partita/partita.db")) as reader:
        row = access.user(reader, "ann")
        assert row is not None
        assert verify("correct horse battery", row.password)
    typed("x" * 20)
    assert "there is a user 'ann' already" in partita("users", "add", "ann", "--role", "viewer").err
    assert partita("users", "set", "ann", "--role", "admin").status == 0
    assert partita("users", "close", "ann").status == 0
    assert "closed" in partita("users").out
    assert partita("users", "open", "ann").status == 0
    assert "there is no user 'bob'" in partita("users", "close", "bob").err
    assert "there is no role or permission 'king'" in partita("users", "set", "ann", "--role", "king").err
    typed("short")
    assert "10 characters" in partita("users", "add", "bob", "--role", "viewer").err
    actions = [e["action"] for e in json.loads(partita("audit", "--json").out)]
    assert actions[:3] == ["users.open", "users.close", "users.set"]


def test_a_token_is_printed_once_and_revoked(partita: Partita) -> None:
    made = json.loads(partita("tokens", "make", "ci", "--scope", "sales:operate", "--json").out)
    assert re.fullmatch(r"ptk_[A-Za-z0-9_-]{43}", made["text"])
    listed = partita("tokens").out
    assert made["id"] in listed
    assert made["text"] not in listed
    assert "needs a scope" in partita("tokens", "make", "ci").err
    assert partita("tokens", "revoke", made["id"]).status == 0
    assert "there is no token" in partita("tokens", "revoke", made["id"]).err
    assert "no service is at work here" in partita("tokens", "link").err


def test_resources_are_listed_and_tested_by_the_service_only(partita: Partita) -> None:
    listed = json.loads(partita("resources", "--json").out)
    assert [(r["name"], r["secrets"], r["can_test"]) for r in listed] == [("warehouse", ["WAREHOUSE_PASSWORD"], False)]
    assert "did you mean warehouse?" in partita("resources", "test", "warehous").err


def test_an_audit_that_was_tampered_with_is_found(shop: Path, partita: Partita) -> None:
    import apsw

    partita("tokens", "make", "ci", "--scope", "viewer")
    assert partita("audit", "verify").status == 0
    connection = apsw.Connection(str(shop / ".partita/partita.db"))
    connection.execute("UPDATE audit SET principal = 'somebody else'")
    connection.close()
    said = partita("audit", "verify")
    assert said.status == 1
    assert "entry 1 of the audit" in said.out
    assert "I20" in partita("db", "audit").out
