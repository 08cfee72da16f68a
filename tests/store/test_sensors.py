"""Rows of sensors: what each fact writes, exactly-once keys, and what the audit finds of I15."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from partita.core.events import RunCreated
from partita.core.facts import Fact
from partita.core.facts.sensors import (
    DeliveryTaken,
    Requested,
    SensorChanged,
    SensorEvaluated,
    SensorPaused,
    SensorReset,
    SensorsHeard,
)
from partita.core.graph import Graph
from partita.core.graph import encode as encode_graph
from partita.core.graph import version as graph_version
from partita.core.manifest import SensorSpec
from partita.store import sensors as rows
from partita.store.contract import RunCommit
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

SPEC = msgspec.msgpack.encode(SensorSpec("s", "function"))


class Desk:
    def __init__(self) -> None:
        self.store: SqlStore = open_in_memory(clock=lambda: 0.0)
        self.epoch = self.store.acquire("engine", "tests", 1e9).epoch
        self.record(SensorChanged(1.0, "default", "s", "p", SPEC, heard=5))

    def record(self, *facts: Fact) -> None:
        self.store.commit([], epoch=self.epoch, facts=facts)

    def look(self, at: float, *requests: Requested, **more: Any) -> None:
        self.record(SensorEvaluated(at, "default", "s", 0.1, b"state", requests, **more))

    @property
    def row(self) -> rows.SensorRow:
        found = rows.sensor(self.store, "default", "s")
        assert found is not None
        return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.store.close()


def test_a_look_moves_the_state_and_counts_the_quiet_ones_before_it(desk: Desk) -> None:
    desk.look(2.0, quiet=7)
    desk.look(3.0, Requested("k", "r1", "load"), quiet=2)
    row = desk.row
    assert (row.state, row.evaluated_at, row.looks, row.quiet, row.heard) == (b"state", 3.0, 11, 10, 5)
    (kept,) = rows.evaluations(desk.store, "default", "s")
    assert kept.requests == (Requested("k", "r1", "load"),)


def test_a_key_keeps_its_first_run(desk: Desk) -> None:
    desk.look(2.0, Requested("k", "r1"))
    desk.look(3.0, Requested("k", "r2"))
    assert rows.run_of_key(desk.store, "default", "s", "k") == "r1"
    assert [row.run for row in rows.run_keys(desk.store, "default", "s")] == ["r1"]


def test_lists_have_pages(desk: Desk) -> None:
    for n in range(5):
        desk.record(SensorChanged(1.0, "default", f"t{n}", "p", SPEC))
        desk.look(float(n), skipped=f"no {n}")
    assert [r.name for r in rows.all_sensors(desk.store)] == ["s", "t0", "t1", "t2", "t3", "t4"]
    first = rows.sensors(desk.store, limit=2)
    assert [r.name for r in rows.sensors(desk.store, after=("default", first[-1].name), limit=2)] == ["t1", "t2"]
    looks = rows.evaluations(desk.store, "default", "s", limit=2)
    older = rows.evaluations(desk.store, "default", "s", before_no=looks[-1].no, limit=9)
    assert [look.skipped for look in (*looks, *older)] == ["no 4", "no 3", "no 2", "no 1", "no 0"]


def test_a_delivery_waits_with_its_body_until_it_was_dealt_with(desk: Desk) -> None:
    for delivery in ("d1", "d2", "d1"):
        desk.record(DeliveryTaken(2.0, "default", "s", delivery, b"{}", (("x-kind", "push"),)))
    waiting = rows.waiting(desk.store, "default", "s")
    assert [(row.delivery, row.body, row.headers) for row in waiting] == [
        ("d1", b"{}", (("x-kind", "push"),)),
        ("d2", b"{}", (("x-kind", "push"),)),
    ]
    desk.look(3.0, delivered=("d1",))
    assert [row.delivery for row in rows.waiting(desk.store, "default", "s")] == ["d2"]
    assert rows.is_delivered(desk.store, "default", "s", "d1")
    desk.look(4.0, error="no", dropped=("d2",))
    assert rows.waiting(desk.store, "default", "s") == []


def test_pause_reset_and_how_far_it_has_heard(desk: Desk) -> None:
    desk.look(2.0, failures=3, error="no")
    desk.record(SensorPaused(3.0, "default", "s", True, "ana", "holidays"))
    assert (desk.row.paused, desk.row.reason, desk.row.failures) == (True, "holidays", 3)
    desk.record(SensorPaused(4.0, "default", "s", False, "ana", heard=9), SensorReset(4.0, "default", "s", None, "ana"))
    assert (desk.row.paused, desk.row.heard, desk.row.state, desk.row.failures) == (False, 9, None, 0)
    desk.record(SensorsHeard(5.0, 12))
    desk.record(SensorsHeard(5.0, 3))
    assert desk.row.heard == 12


def test_an_edit_keeps_what_it_remembers_and_whether_it_is_paused(desk: Desk) -> None:
    desk.look(2.0)
    desk.record(SensorPaused(3.0, "default", "s", True, "ana"))
    desk.record(SensorChanged(4.0, "default", "s", "other", SPEC, paused=False, heard=99))
    assert (desk.row.project, desk.row.paused, desk.row.state, desk.row.heard) == ("other", True, b"state", 5)


def findings(desk: Desk) -> list[str]:
    return [finding.message for finding in desk.store.audit() if finding.invariant == "I15"]


def test_the_audit_finds_a_request_without_its_key(desk: Desk) -> None:
    desk.look(2.0, Requested("k", "r1"), Requested("", "r2"), Requested("k", "r1", repeated=True))
    assert findings(desk) == []
    desk.store._db.fetch("DELETE FROM run_keys WHERE key = 'k'")
    assert "key 'k' is not kept with its run r1" in findings(desk)[0]


def test_the_audit_finds_a_run_of_another_origin(desk: Desk) -> None:
    graph = Graph("load", ())
    run = RunCreated(1.0, "r1", "default", "p", "load", graph_version(graph), "", "cli:7")
    graphs = [(graph_version(graph), encode_graph(graph))]
    desk.store.commit([RunCommit("r1", 1, 1.0, (run,))], epoch=desk.epoch, graphs=graphs)
    desk.look(2.0, Requested("k", "r1", repeated=True))
    assert findings(desk) == []
    desk.look(3.0, Requested("k", "r1"))
    assert [message for message in findings(desk) if "has the origin 'cli:7'" in message]


def test_the_audit_finds_a_key_with_another_run(desk: Desk) -> None:
    desk.look(2.0, Requested("k", "r1"))
    desk.store._db.fetch("UPDATE run_keys SET run = 'r9'")
    assert len(findings(desk)) == 1
