"""Users, tokens, secrets and the audit as rows; and an audit in which nothing can be changed unseen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from partita.core.chain import GENESIS, link
from partita.core.facts import Fact
from partita.core.facts.access import (
    AccessSwept,
    Audited,
    AuditTrimmed,
    RequestAnswered,
    SecretChanged,
    TokenIssued,
    TokenRevoked,
    UserChanged,
)
from partita.store import access
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore


@pytest.fixture
def store() -> Iterator[SqlStore]:
    with closing(open_in_memory(clock=lambda: 1000.0)) as store:
        yield store


def put(store: SqlStore, *facts: Fact) -> None:
    store.commit([], epoch=0, facts=facts)


def entries(count: int) -> list[Audited]:
    found, previous = [], GENESIS
    for n in range(count):
        parts = (float(n), f"user{n % 7}", "POST /api/v1/runs", f"run:{n}", "done", "default", b"", "127.0.0.1")
        hashed = link(previous, *parts)
        at, who, action, about, result, place, detail, address = parts
        found.append(Audited(at, who, action, about, result, place, previous, hashed, detail, address))
        previous = hashed
    return found


def test_what_facts_say_is_what_is_read(store: SqlStore) -> None:
    put(
        store,
        UserChanged(1.0, "ann", "hash", (("sales", "operator"),), True, "a@x", 3),
        TokenIssued(2.0, "t1", b"d1", "ann", "ci", (("*", "view"),), 50.0),
        TokenIssued(2.0, "s1", b"d2", "ann", "session", (), 60.0, "session", 3),
        SecretChanged(3.0, "sales", "DB", b"sealed", "k1", "ann"),
        RequestAnswered(4.0, "ann", "key", b"digest", 201, b"{}"),
    )
    assert access.user(store, "ann") == access.UserRow("ann", "hash", (("sales", "operator"),), True, "a@x", 3, 1.0)
    assert [t.id for t in access.tokens(store)] == ["t1"]
    assert [t.id for t in access.tokens(store, owner="ann", of="session")] == ["s1"]
    assert access.tokens(store, owner="bob") == []
    found = access.token_by_digest(store, b"d1")
    assert found is not None
    assert found.holds(49.0)
    assert not found.holds(50.0)
    assert access.secret(store, "sales", "DB") == access.SecretRow("sales", "DB", b"sealed", "k1", 3.0, "ann")
    assert access.answer(store, "ann", "key") == access.AnswerRow(b"digest", 201, b"{}", 4.0)
    put(store, TokenRevoked(5.0, "t1", "ann"), SecretChanged(6.0, "sales", "DB", None, "", "ann"))
    assert access.tokens(store) == []
    assert access.secret(store, "sales", "DB") is None
    put(store, AccessSwept(100.0, 59.0))
    assert access.token(store, "t1") is None
    assert access.token(store, "s1") is not None


def test_lists_go_on_after_where_they_were(store: SqlStore) -> None:
    put(store, *(SecretChanged(1.0, ns, f"S{n:02}", b"x", "k", "a") for ns in ("a", "b") for n in range(5)))
    first = access.secrets(store, limit=4)
    rest = access.secrets(store, after=(first[-1].namespace, first[-1].name))
    assert [(r.namespace, r.name) for r in (*first, *rest)] == [(ns, f"S{n:02}") for ns in "ab" for n in range(5)]
    assert len(list(access.every_secret(store, "b"))) == 5


def test_the_audit_of_a_store_that_nobody_touched_is_whole(store: SqlStore) -> None:
    assert list(access.broken_links(store)) == []
    put(store, *entries(700))
    assert list(access.broken_links(store)) == []
    assert [row.no for row in access.audit_entries(store, principal="user3", limit=2)] == [697, 690]
    assert not [finding for finding in store.audit() if finding.invariant == "I20"]


COLUMNS = {
    "at": "at + 1",
    "principal": "principal || 'x'",
    "action": "'GET'",
    "object": "'run:x'",
    "result": "'denied'",
    "namespace": "'other'",
    "detail": "x'00'",
    "address": "'10.0.0.1'",
    "hash": "zeroblob(32)",
}


def tampered(rng: random.Random, count: int) -> list[str]:
    """Statements that change what was written, one way or another."""
    a, b = rng.sample(range(1, count + 1), 2)
    kind = rng.choice(["change", "remove", "swap", "cut", "insert"])
    if kind == "change":
        column = rng.choice(list(COLUMNS))
        return [f"UPDATE audit SET {column} = {COLUMNS[column]} WHERE no = {a}"]
    if kind == "remove":
        return [f"DELETE FROM audit WHERE no = {a}"]
    if kind == "cut":
        return [f"DELETE FROM audit WHERE no > {a - 1}"]
    if kind == "swap":
        return [
            f"UPDATE audit SET no = -1 WHERE no = {a}",
            f"UPDATE audit SET no = {a} WHERE no = {b}",
            f"UPDATE audit SET no = {b} WHERE no = -1",
        ]
    columns = "at, principal, action, object, result, namespace, detail, address, hash"
    return [f"INSERT INTO audit ({columns}) SELECT {columns} FROM audit WHERE no = {a}"]


def test_a_thousand_ways_to_tamper_are_all_seen(store: SqlStore) -> None:
    rng = random.Random(5)
    put(store, *entries(40))
    seen = 0
    for _ in range(1_000):
        statements = tampered(rng, 40)
        store._db.fetch("SAVEPOINT before")
        for statement in statements:
            store._db.fetch(statement)
        seen += bool(list(access.broken_links(store)))
        store._db.fetch("ROLLBACK TO before")
        store._db.fetch("RELEASE before")
    assert seen == 1_000
    assert list(access.broken_links(store)) == []


def test_what_retention_trims_leaves_a_chain_that_holds(store: SqlStore) -> None:
    put(store, *entries(30))
    cut = access.audit_entries(store, before_no=11, limit=1)[0]
    put(store, AuditTrimmed(5_000.0, cut.no, cut.hash))
    assert list(access.broken_links(store)) == []
    assert [row.no for row in access.audit_entries(store)][-1] == 11
    store._db.fetch("DELETE FROM audit WHERE no = 11")
    assert list(access.broken_links(store)) == ["the audit has lost entry 11", "entry 12 of the audit, or its place in it, is not as it was written"]  # fmt: skip


def test_a_chain_that_was_tampered_with_is_a_finding_of_the_stores_audit(store: SqlStore) -> None:
    put(store, *entries(3))
    store._db.fetch("UPDATE audit SET object = 'x' WHERE no = 2")
    assert [f.message for f in store.audit() if f.invariant == "I20"] == [
        "entry 2 of the audit, or its place in it, is not as it was written"
    ]
