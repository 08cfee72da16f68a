"""Two schedulers on one store, each for a namespace: each does its own, nobody does it twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from partita.core.manifest import Manifest
from partita.engine.access import Entry, Note, SetUser, carried
from partita.engine.asking import Retry, Submit, Submitted
from partita.engine.clock import FakeClock
from partita.engine.control import Cancel, Status
from partita.engine.gates import ReportExternal
from partita.engine.limits import ListLimits, SetLimit
from partita.engine.pulse import Pulse, TakePulse
from partita.engine.realm import Realm
from partita.engine.service import Service
from partita.engine.tokens import GateTokens
from partita.engine.whom import together, whom
from partita.errors import Fenced
from partita.settings import Home, Settings
from partita.store.access import broken_links
from partita.store.schedules import ticks
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

from .backfilling import Hands
from .ticking import NOON, hourly, pipeline


def manifest(namespace: str) -> Manifest:
    return Manifest(f"of-{namespace}", namespace=namespace, pipelines=(pipeline(f"daily-{namespace}", hourly()),))


class Scheduler:
    """One for a namespace ("" = all others); it serves what it is for."""

    def __init__(self, folder: Path, store: SqlStore, clock: FakeClock, namespace: str = "") -> None:
        self.store = SqlStore(store._db, clock=clock.now)
        self.hands = Hands()
        home = Home(folder / ".partita").of_namespace(namespace)
        home.root.mkdir(parents=True, exist_ok=True)
        settings = Settings(project=folder, home=home, workers=2)
        self.service = Service(
            self.store, self.hands, settings=settings, clock=clock, holder=f"of {namespace}", namespace=namespace
        )
        realm = Realm.of(self.store, namespace)
        for of in ("default", "team"):
            if realm.has(of):
                self.service.load(manifest(of))
        self.service.start()

    def turns(self, count: int = 4) -> None:
        for _ in range(count):
            self.service.turn(0.0)

    def ask(self, request: msgspec.Struct) -> object:
        handler = self.service.handlers()[type(request)]
        answer = self.service.engine.post(lambda: handler(request))
        self.turns()
        return answer.result(0)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, FakeClock(NOON)
        self.store = open_in_memory(clock=self.clock.now)

    def scheduler(self, namespace: str = "") -> Scheduler:
        return Scheduler(self.folder, self.store, self.clock, namespace)

    def both(self) -> tuple[Scheduler, Scheduler]:
        self.store.give_out("team")
        return self.scheduler(), self.scheduler("team")

    def decided(self, namespace: str) -> int:
        return sum(tick.count for tick in ticks(self.store, namespace, "hourly", limit=100))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_each_decides_the_ticks_of_its_namespaces_and_of_no_other(world: World) -> None:
    rest, own = world.both()
    world.clock.advance(3600)
    rest.turns()
    assert (world.decided("default"), world.decided("team")) == (1, 0)
    own.turns()
    assert (world.decided("default"), world.decided("team")) == (1, 1)
    assert {run.namespace for run in (r.run for r in own.service.engine.active.values())} == {"team"}
    assert list(world.store.audit()) == []


def test_a_namespace_that_is_given_out_ends_the_epoch_of_who_led_all_and_goes_on_with_its_own(world: World) -> None:
    one = world.scheduler()
    world.clock.advance(3600)
    one.turns()
    assert (world.decided("default"), world.decided("team")) == (1, 1)
    world.store.give_out("team")
    world.clock.advance(5)
    with pytest.raises(Fenced):
        one.turns()
    rest, own = world.scheduler(), world.scheduler("team")
    # Each takes up the runs of its own.
    assert [r.run.namespace for r in rest.service.engine.active.values()] == ["default"]
    assert [r.run.namespace for r in own.service.engine.active.values()] == ["team"]
    world.clock.advance(3600)
    rest.turns()
    own.turns()
    assert (world.decided("default"), world.decided("team")) == (2, 2)
    assert list(world.store.audit()) == []


def test_a_namespace_that_is_taken_back_goes_on_with_all_others(world: World) -> None:
    _, own = world.both()
    world.store.take_back("team")
    world.clock.advance(3600)
    with pytest.raises(Fenced):
        own.turns()
    one = world.scheduler()
    one.turns()
    assert (world.decided("default"), world.decided("team")) == (1, 1)
    assert not one.service.engine.realm.only
    assert one.service.engine.realm.has("team")


def test_one_of_them_keeps_house(world: World) -> None:
    rest, own = world.both()
    assert "retention" in {part.name for part in rest.service.parts}
    assert "retention" not in {part.name for part in own.service.parts}


def test_the_audit_of_two_schedulers_is_one_chain(world: World) -> None:
    rest, own = world.both()
    for i in range(3):
        rest.ask(Note(Entry("ann", f"rest {i}"), "done"))
        own.ask(Note(Entry("bob", f"own {i}"), "done"))
    assert list(broken_links(world.store)) == []


# --- whom a request is for --------------------------------------------------------------------------------------------


def test_while_nothing_is_given_out_one_scheduler_is_asked_everything(world: World) -> None:
    world.scheduler()
    assert whom(world.store, Cancel("r1", "ann")) == [""]


def test_a_request_is_for_the_scheduler_of_what_it_names(world: World) -> None:
    rest, own = world.both()
    made = own.ask(Submit("daily-team", "ann"))
    assert isinstance(made, Submitted)
    other = rest.ask(Submit("daily-default", "ann"))
    assert isinstance(other, Submitted)
    token = GateTokens(b"k" * 32).token(made.run, "a", "")
    of_team: list[msgspec.Struct] = [
        Cancel(made.run, "ann"),
        Retry(str(made.no), "ann"),
        Submit("daily-team", "ann"),
        Submit("of-team/daily-team", "ann"),
        SetLimit("team", "pool", "w", 3, "ann"),
        ReportExternal(token),
        carried(Cancel(made.run, "ann"), Entry("ann", "runs.cancel", made.run)),
    ]
    assert [whom(world.store, request) for request in of_team] == [["team"]] * len(of_team)
    of_others: list[msgspec.Struct] = [
        Cancel(other.run, "ann"),
        Submit("daily-default", "ann"),
        Submit("unknown", "ann"),
        Cancel("no such run", "ann"),
        carried(SetUser("ann", "bob"), Entry("bob", "users.set", "ann", "team")),
        Note(Entry("ann", "looked", namespace="team"), "done"),
    ]
    assert [whom(world.store, request) for request in of_others] == [[""]] * len(of_others)


def test_what_is_of_all_is_asked_of_all_and_told_together(world: World) -> None:
    rest, own = world.both()
    for request in (ListLimits(), TakePulse(), Status()):
        assert whom(world.store, request) == ["", "team"]
    pulse = together([rest.ask(TakePulse()), own.ask(TakePulse())])
    assert isinstance(pulse, Pulse)
    assert not pulse.blocked
    assert len(together([rest.ask(Status()), own.ask(Status())]).lines) >= 2


def test_a_schedule_is_declared_once_whatever_the_others_do(world: World) -> None:
    rest, own = world.both()
    rest.turns()
    own.turns()
    rest.service.load(msgspec.structs.replace(manifest("default"), pipelines=()))
    rest.turns()
    world.clock.advance(3600)
    rest.turns()
    own.turns()
    assert (world.decided("default"), world.decided("team")) == (0, 1)
