"""Asking a scheduler through the store that both machines use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from partita.engine.control import Answer, Cancel, ControlServer, Status
from partita.engine.postbox import Postbox, ask_by_post, leader_elsewhere, reach
from partita.errors import DefinitionError, WorldError
from partita.settings import Home
from partita.store.leases import ENGINE
from partita.store.postgres import PostgresStore, open_store
from partita.store.questions import Questions
from store import servers


class Engine:
    """What a control server uses of one; each request is carried out at once, in whoever's thread."""

    def post(self, request: object) -> object:
        from concurrent.futures import Future

        done: Future[object] = Future()
        try:
            done.set_result(request())  # type: ignore[operator]
        except BaseException as error:
            done.set_exception(error)
        return done


class Machines:
    """Two homes, one database; the scheduler is on the first."""

    def __init__(self, folder: Path, address: str) -> None:
        self.here, self.there = Home(folder / "here", address), Home(folder / "there", address)
        for home in (self.here, self.there):
            home.root.mkdir()
        self.store: PostgresStore = open_store(address)
        self.asked: list[str] = []
        self.control = ControlServer(self.here.socket, Engine(), {Cancel: self._cancel, Status: self._status})  # type: ignore[arg-type]

    def _cancel(self, request: Cancel) -> Answer:
        self.asked.append(request.run)
        if request.run == "none":
            raise DefinitionError("there is no such run", hint="partita runs")
        return Answer(lines=(f"cancelled {request.run}",))

    def _status(self, request: Status) -> Answer:
        return Answer(lines=(f"in {threading.current_thread().name.rpartition('_')[0]}",))

    def leads(self, holder: str = "one", lease_s: float = 60.0) -> None:
        self.store.acquire(ENGINE, holder, lease_s)

    def postbox(self, holder: str = "one") -> Postbox:
        return Postbox(self.here.store, ENGINE, holder, self.control.reply, look_s=0.2)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with servers.database() as address:
        made = Machines(tmp_path, address)
        try:
            yield made
        finally:
            made.control.close()
            made.store.close()


def test_a_question_on_another_machine_is_answered_by_the_scheduler_that_leads(machines: Machines) -> None:
    machines.leads()
    with closing(machines.postbox()):
        answer = reach(machines.there, Cancel("r1", "ann"))
    assert answer == Answer(lines=("cancelled r1",))
    assert machines.asked == ["r1"]


def test_on_its_own_machine_the_socket_is_asked(machines: Machines) -> None:
    machines.leads()
    answer = reach(machines.here, Status())
    assert answer is not None
    assert answer.lines == ("in partita-control",)


def test_what_was_wrong_travels_with_its_hint(machines: Machines) -> None:
    machines.leads()
    with closing(machines.postbox()), pytest.raises(DefinitionError, match="no such run") as caught:
        reach(machines.there, Cancel("none", "ann"))
    assert caught.value.hint == "partita runs"


def test_many_questions_at_once_each_get_their_own_answer(machines: Machines) -> None:
    machines.leads()
    answers: dict[str, Answer] = {}

    def ask(run: str) -> None:
        answers[run] = ask_by_post(machines.there, Cancel(run, "ann"), Answer)

    with closing(machines.postbox()):
        threads = [threading.Thread(target=ask, args=(f"r{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert {run: answer.lines for run, answer in answers.items()} == {f"r{i}": (f"cancelled r{i}",) for i in range(8)}
    assert sorted(machines.asked) == sorted(answers)


def test_without_a_leader_nobody_is_asked(machines: Machines) -> None:
    assert reach(machines.there, Status()) is None
    assert leader_elsewhere(machines.there) == ""


def test_a_question_that_nobody_takes_is_taken_back_and_never_carried_out(machines: Machines) -> None:
    machines.leads()
    with pytest.raises(WorldError, match="no scheduler has taken"):
        ask_by_post(machines.there, Cancel("r1", "ann"), Answer, taken_s=0.0)
    with closing(machines.postbox()):
        reach(machines.there, Cancel("r2", "ann"))
    assert machines.asked == ["r2"]


def test_whoever_leads_no_more_takes_nothing(machines: Machines) -> None:
    machines.leads("two")
    with closing(machines.postbox("one")), pytest.raises(WorldError, match="no scheduler has taken"):
        ask_by_post(machines.there, Cancel("r1", "ann"), Answer, taken_s=0.5)
    assert machines.asked == []


def test_what_is_no_question_is_told_so(machines: Machines) -> None:
    class Strange(msgspec.Struct, frozen=True, tag="strange"):
        """Nobody knows it."""

    machines.leads()
    with closing(machines.postbox()), pytest.raises(WorldError, match="cannot strange"):
        reach(machines.there, Strange())


def test_answers_do_not_pile_up(machines: Machines) -> None:
    machines.leads()
    with closing(machines.postbox()):
        reach(machines.there, Cancel("r1", "ann"))
    with closing(Questions(machines.here.store)) as questions:
        assert questions.reply(1) == (True, None)
        left = questions.ask(ENGINE, "cancel", b"")
        assert questions.reply(left) == (False, None)
    assert machines.store._db.fetch("SELECT count(*) FROM questions") == [(1,)]
