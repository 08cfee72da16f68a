"""Asking a scheduler that is on another machine: through the store that both use.

A question is a request of `engine.control`, as it goes over the socket. Whoever has the lease takes it and answers; a
question that nobody takes in a few seconds is taken back, and was not done.

Rule: the socket of this machine is asked first (`reach`); nothing is asked here that could not be asked there.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from partita.engine import control
from partita.errors import StoreError, WorldError
from partita.store.leases import ENGINE, shard_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from partita.settings import Home
    from partita.store.questions import Question, Questions
    from partita.store.reading import SqlReader

A = TypeVar("A")
_THREADS: Final = 8
_LOOK_S: Final = 1.0
_SWEEP_S: Final = 600.0
_AWAY_S: Final = 1.0
# How long a scheduler may take to see a question, and to answer it.
_TAKEN_S: Final = 5.0
_ANSWERED_S: Final = 30.0
_FIRST_LOOK_S: Final = 0.002
_LONGEST_LOOK_S: Final = 0.05
_log = logging.getLogger("partita.control")


class Postbox:
    """Takes what is asked of the lease of `resource`, in threads of its own, for as long as `holder` has it."""

    def __init__(
        self, address: str, resource: str, holder: str, reply: Callable[[str, bytes], bytes], *, look_s: float = _LOOK_S
    ) -> None:
        self._address, self._resource, self._holder, self._reply = address, resource, holder, reply
        self._look_s = look_s
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="partita-postbox")
        self._thread = threading.Thread(target=self._serve, name="partita-postbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take nothing more."""
        self._ended.set()
        self._thread.join(self._look_s + 1.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        from partita.store.questions import Questions

        while not self._ended.is_set():
            try:
                taking, answering = Questions(self._address), Questions(self._address)
            except StoreError:
                self._ended.wait(_AWAY_S)
                continue
            try:
                self._take(taking, answering)
            except StoreError as error:
                _log.debug("questions wait: %s", error)
                self._ended.wait(_AWAY_S)
            finally:
                taking.close()
                answering.close()

    def _take(self, taking: Questions, answering: Questions) -> None:
        sweep_at = 0.0
        while not self._ended.is_set():
            for question in taking.taken(self._resource, self._holder):
                self._pool.submit(self._answer, answering, question)
            if time.monotonic() > sweep_at:
                taking.sweep()
                sweep_at = time.monotonic() + _SWEEP_S
            taking.wait(self._resource, self._look_s)

    def _answer(self, answering: Questions, question: Question) -> None:
        reply = self._reply(question.tag, question.body)
        try:
            answering.answer(question.no, reply)
        except StoreError as error:
            # It was done, and whoever asked does not hear of it: as over a socket that breaks.
            _log.warning("the answer to %s was lost: %s", question.tag, error)


def reach(home: Home, request: msgspec.Struct, returns: type[A] = control.Answer) -> A | None:  # type: ignore[assignment]
    """Ask the engine of a home, on this machine or on another one; None when there is none. Raises as `control.ask`."""
    from partita.store import opening

    if not home.store or not opening.is_shared(home) or not opening.exists(home):
        return control.ask(home.socket, request, returns)
    from partita.engine import whom

    with closing(opening.open_reader(home)) as reader:
        asked = [_reached(home, reader, namespace, request, returns) for namespace in whom.whom(reader, request)]
    answers = [answer for answer in asked if answer is not None]
    return whom.together(answers) if answers else None


def leader_elsewhere(home: Home) -> str:
    """Who has the lease of a store that others use as well; "" = nobody, or the store is this machine's alone."""
    from partita.store import opening

    if not opening.is_shared(home) or opening.own_server(home) is not None or not opening.exists(home):
        return ""
    with closing(opening.open_reader(home)) as reader:
        return _leader(reader, ENGINE)


def _reached(home: Home, reader: SqlReader, namespace: str, request: msgspec.Struct, returns: type[A]) -> A | None:
    """The answer of the scheduler of a namespace ("" = of all others); None when there is none."""
    answer = control.ask(home.of_namespace(namespace).socket, request, returns)
    if answer is None and _leader(reader, shard_of(namespace)):
        return ask_by_post(home, request, returns, resource=shard_of(namespace))
    return answer


def _leader(reader: SqlReader, resource: str) -> str:
    known = reader.lease(resource)
    # By this machine's clock: one that differs by minutes finds nobody, or asks in vain for a few seconds.
    return known.holder if known is not None and known.until > time.time() else ""


def ask_by_post(
    home: Home,
    request: msgspec.Struct,
    returns: type[A],
    *,
    resource: str = ENGINE,
    post: Questions | None = None,
    taken_s: float = _TAKEN_S,
) -> A:
    """Ask who has the lease of `resource`, through the store. Raises as `control.ask`. `post`: over that connection."""
    from partita.store.questions import Questions

    own = Questions(home.store) if post is None else None
    questions = post or own
    assert questions is not None
    try:
        no = questions.ask(resource, control.tag_of(type(request)), msgspec.msgpack.encode(request))
        return control.told(_waited(questions, no, taken_s), returns)
    finally:
        if own is not None:
            own.close()


def _waited(questions: Questions, no: int, taken_s: float) -> bytes:
    """The answer to a question. Raises `WorldError`."""
    began = time.monotonic()
    look_s = _FIRST_LOOK_S
    while time.monotonic() < began + _ANSWERED_S:
        taken, reply = questions.reply(no)
        if reply is not None:
            questions.remove(no)
            return reply
        if not taken and time.monotonic() > began + taken_s and questions.take_back(no):
            raise WorldError("no scheduler has taken the question", hint="is one at work? see: partita system")
        time.sleep(look_s)
        look_s = min(look_s * 1.5, _LONGEST_LOOK_S)
    raise WorldError("the scheduler does not answer", hint="it may be busy or blocked, see `partita doctor`")
