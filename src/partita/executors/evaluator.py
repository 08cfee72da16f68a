"""Asking a project's evaluator, from the engine's thread: small user functions without taking worker slots.

`ask` gives a `Future`; it is done in the engine's thread, while the executor is polled, so what is called back may use the
engine freely. What user code did, well or badly, is the future's result (`Answered`); its exception is an `ExecutorError`
that says what became of the evaluator.

For gates: a wait-step's condition is `questions.EvaluateCondition(of="file" | "object" | "http" | "sql" | "function", ...)`
with packed options as `worker/conditions.py` lists them; the answer is a `ConditionMet`, whose `memory` goes into the next.

Rule: an evaluator that dies or hangs takes no innocent question with it: each that was open is asked once more, alone, in
another process, and only the one that kills again has failed.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from partita.core.plain import NotPlain, pack
from partita.errors import ExecutorError, ParamError
from partita.executors import control
from partita.executors.channel import Channel
from partita.executors.loading import HostConnection
from partita.worker import questions
from partita.worker.answering import Functions, answer, driven, told
from partita.worker.evaluating import STUCK
from partita.worker.questions import Answered, Ask, Request
from partita.worker.spoken import Spoken

DEFAULT_TIMEOUT_S = 60.0
# Without any word for so long beyond the longest time that a question has, it hangs.
_SLACK_S = 10.0
# An evaluator is replaced after so many answers, whatever user code has piled up in it.
_MANY = 50_000
# Processes in which suspects are asked again.
_EXAMINERS = 4
_HOPELESS = 3
_PAUSE_S = 5.0
_NEVER = float("inf")


class Evaluator(Protocol):
    """Carries out small functions of projects. One thread: the engine's."""

    def ask(self, project: str, request: Request, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Future[Answered]:
        """Have a question answered; the future is done in this thread. Never raises."""
        ...


class NoEvaluator:
    """Where there are no processes of projects, nothing of theirs can be asked."""

    def ask(self, project: str, request: Request, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Future[Answered]:
        """It cannot be answered."""
        future: Future[Answered] = Future()
        future.set_exception(ExecutorError("nothing runs the project's functions here", hint="start it: partita up"))
        return future


def bind(evaluator: Evaluator, project: str, pipeline: str, raw: Mapping[str, object]) -> Future[dict[str, bytes]]:
    """Check and pack the parameters of a pipeline without waiting for it; the future has them, or a `ParamError`."""
    bound: Future[dict[str, bytes]] = Future()
    try:
        asked = evaluator.ask(project, questions.BindParams(pipeline, pack(dict(raw))))
    except NotPlain as error:
        bound.set_exception(ParamError(f"a parameter cannot be stored: {error}", hint="texts must be valid Unicode"))
        return bound
    asked.add_done_callback(lambda done: _bind(done, bound))
    return bound


def _bind(asked: Future[Answered], bound: Future[dict[str, bytes]]) -> None:
    error = asked.exception()
    if error is not None:
        bound.set_exception(error)
        return
    answered = asked.result()
    if not isinstance(answered.answer, questions.BoundParams):
        # A user's own type checks a value here: whatever it does, it is the parameters that are refused.
        message = answered.failure.message if answered.failure else "no answer"
        bound.set_exception(ParamError(f"the parameters cannot be checked: {message}"))
    elif answered.answer.problems:
        first, *others = answered.answer.problems
        text = "; ".join([first.message, *(p.message for p in others)])
        bound.set_exception(ParamError(text, hint=first.hint or None))
    else:
        bound.set_result(dict(answered.answer.params))


class _Open(NamedTuple):
    """A question on its way. `tries`: how many evaluators have died of it, perhaps."""

    request: Request
    timeout_s: float
    future: Future[Answered]
    tries: int = 0


class _Link:
    """One evaluator process, and what it was asked."""

    def __init__(self, project: str, connection: HostConnection) -> None:
        self.project = project
        self.connection = connection
        self.open: dict[int, _Open] = {}
        self.ready = False
        self.leaving = False
        self.dropped = False
        self.answered = 0
        self.heard_at = time.monotonic()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        self.channel: Channel[Answered] = Channel(ours, questions.answered_decoder)
        self.number = connection.start_evaluator(theirs.detach())

    def silent_until(self) -> float:
        """When its silence means that it hangs."""
        if not self.open:
            return _NEVER
        patience = max(o.timeout_s for o in self.open.values()) if len(self.open) < 100 else 0.0
        patience = patience or max(o.timeout_s for o in itertools.islice(self.open.values(), 100)) + DEFAULT_TIMEOUT_S
        start = 0.0 if self.ready else self.connection.settings.load_timeout_s
        return self.heard_at + patience + _SLACK_S + start


class ProcessEvaluator:
    """The evaluators of all projects, each started when it is first needed.

    `connection_of` gives the host of a project as it is now, alive if that is possible.
    """

    def __init__(self, selector: selectors.BaseSelector, connection_of: Callable[[str], HostConnection | None]) -> None:
        self._selector = selector
        self._connection_of = connection_of
        self._numbers = itertools.count(1)
        self._links: dict[str, _Link] = {}
        # Replaced ones that still owe answers, and those in which suspects are asked again, one at a time.
        self._others: list[_Link] = []
        self._suspects: dict[str, deque[_Open]] = {}
        self._deaths: dict[str, int] = {}
        self._hopeless_until: dict[str, float] = {}
        self._closed = False

    def ask(self, project: str, request: Request, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Future[Answered]:
        """Have a question answered."""
        opened = _Open(request, timeout_s, Future())
        try:
            self._send(self._link(project), opened)
        except (ExecutorError, OSError) as error:
            opened.future.set_exception(
                error if isinstance(error, ExecutorError) else ExecutorError(f"no evaluator can be started: {error}")
            )
        return opened.future

    def due_at(self) -> float:
        """When `look` is next to be called, if nothing is heard (monotonic)."""
        return min((link.silent_until() for link in self._all()), default=_NEVER)

    def look(self, now: float) -> None:
        """End evaluators that hang, and let those go whose host was let go."""
        for link in self._all():
            if link.connection.gone and not link.open:
                self._drop(link)
            elif link.silent_until() <= now:
                link.connection.send(control.Kill(link.number, 0.0))
                self._lost(link, "it did not answer in time, and was ended")

    def died(self, connection: HostConnection, death: control.Died) -> None:
        """The host says that one of its children is gone: perhaps an evaluator."""
        for link in self._all():
            if link.connection is connection and link.number == death.worker:
                self._take(link)
                self._lost(link, _told(death))

    def lost_host(self, connection: HostConnection) -> None:
        """A host is gone, and nobody will say what became of its evaluators."""
        for link in self._all():
            if link.connection is connection:
                self._take(link)
                self._lost(link, "the host of the project is gone")

    def close(self) -> None:
        """Let all evaluators go; what is open fails."""
        self._closed = True
        for link in self._all():
            self._drop(link)
            self._fail(list(link.open.values()), "the service is being stopped")
        for waiting in self._suspects.values():
            self._fail(list(waiting), "the service is being stopped")
        self._suspects.clear()

    # --- questions out --------------------------------------------------------------------------------------------

    def _link(self, project: str) -> _Link:
        """The evaluator of a project, of its newest host."""
        if time.monotonic() < self._hopeless_until.get(project, 0.0):
            raise ExecutorError(
                f"the evaluator of project {project!r} dies again and again", hint="it is tried again in some seconds"
            )
        connection = None if self._closed else self._connection_of(project)
        if connection is None:
            raise ExecutorError(f"no host for project {project!r}", hint="was it loaded by this engine?")
        link = self._links.get(project)
        if link is not None and (link.connection is not connection or link.channel.gone or link.leaving):
            self._replace(link)
            link = None
        if link is None:
            link = self._links[project] = self._made(project, connection)
        return link

    def _made(self, project: str, connection: HostConnection) -> _Link:
        link = _Link(project, connection)
        self._selector.register(link.channel, selectors.EVENT_READ, lambda: self._hear(link))
        return link

    def _send(self, link: _Link, opened: _Open) -> None:
        no = next(self._numbers)
        if not link.open:
            link.heard_at = time.monotonic()
        link.open[no] = opened
        link.channel.send(questions.frame(Ask(no, opened.timeout_s, opened.request)))
        self._watch(link)

    def _watch(self, link: _Link) -> None:
        """Hear of room to write as long as something waits to be written."""
        if not link.dropped and link.channel in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.channel.blocked else 0)
            if self._selector.get_key(link.channel).events != events:
                self._selector.modify(link.channel, events, lambda: self._hear(link))

    # --- answers in -----------------------------------------------------------------------------------------------

    def _hear(self, link: _Link) -> None:
        if link.channel.blocked:
            link.channel.flush()
            self._watch(link)
        self._take(link)
        if link.channel.gone and not link.dropped:
            # Why is the host's to tell, in a moment.
            self._selector.unregister(link.channel)

    def _take(self, link: _Link) -> None:
        for answered in link.channel.receive():
            link.heard_at = time.monotonic()
            if answered.no == 0:
                link.ready = True
                continue
            self._deaths.pop(link.project, None)
            opened = link.open.pop(answered.no, None)
            link.answered += 1
            if answered.stuck >= STUCK or link.answered >= _MANY:
                link.leaving = True
            if opened is not None:
                opened.future.set_result(answered)
        if link in self._others and not link.open:
            self._next_suspect(link)

    # --- replaced and lost ----------------------------------------------------------------------------------------

    def _all(self) -> list[_Link]:
        return [*self._links.values(), *self._others]

    def _replace(self, link: _Link) -> None:
        del self._links[link.project]
        if link.open:
            # It answers what it was asked; or it is dead, and what of is told in a moment.
            self._others.append(link)
        else:
            self._drop(link)

    def _drop(self, link: _Link) -> None:
        if link.dropped:
            return
        link.dropped = True
        if link.channel in self._selector.get_map():
            self._selector.unregister(link.channel)
        link.channel.close()
        if self._links.get(link.project) is link:
            del self._links[link.project]
        if link in self._others:
            self._others.remove(link)

    def _lost(self, link: _Link, how: str) -> None:
        """An evaluator is gone: suspects are asked again one by one, who was alone with it has failed."""
        opened = list(link.open.values())
        link.open.clear()
        self._drop(link)
        guilty = [o for o in opened if o.tries or len(opened) == 1]
        suspects = [o for o in opened if o not in guilty]
        deaths = self._deaths[link.project] = self._deaths.get(link.project, 0) + 1
        if deaths >= _HOPELESS and not link.ready:
            self._hopeless_until[link.project] = time.monotonic() + _PAUSE_S
            guilty, suspects = opened, []
        self._suspects.setdefault(link.project, deque()).extend(o._replace(tries=1) for o in suspects)
        self._fail(guilty, f"the evaluator of project {link.project!r} died: {how}")
        if self._suspects[link.project]:
            self._examine(link.project)

    def _fail(self, opened: list[_Open], message: str) -> None:
        for one in opened:
            one.future.set_exception(ExecutorError(message, hint="a small function must not end or block its process"))

    def _examine(self, project: str) -> None:
        """Ask the suspects of a project again, each alone in a process."""
        busy = sum(link.project == project for link in self._others)
        for _ in range(min(len(self._suspects[project]), _EXAMINERS - busy)):
            try:
                connection = self._connection_of(project)
                if connection is None:
                    raise ExecutorError(f"no host for project {project!r}")
                link = self._made(project, connection)
            except (ExecutorError, OSError) as error:
                self._fail(list(self._suspects.pop(project)), f"no evaluator can be started: {error}")
                return
            self._others.append(link)
            self._next_suspect(link)

    def _next_suspect(self, link: _Link) -> None:
        waiting = self._suspects.get(link.project)
        if waiting and not link.leaving:
            self._send(link, waiting.popleft())
        else:
            self._drop(link)


def _told(death: control.Died) -> str:
    how = f"killed by signal {death.signal}" if death.signal else f"exit code {death.exit_code}"
    how = death.note or how
    return f"{how}\n{death.last_lines}" if death.last_lines else how


class InlineEvaluator:
    """Answers in this process and at once: for `run()`, tests and simulations. `functions` by project."""

    def __init__(self, functions: Mapping[str, Functions]) -> None:
        self._functions = functions

    def ask(self, project: str, request: Request, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Future[Answered]:
        """Answer now; the future is done already."""
        future: Future[Answered] = Future()
        functions = self._functions.get(project)
        if functions is None:
            future.set_exception(ExecutorError(f"no host for project {project!r}"))
            return future
        spoken, began = Spoken(), time.monotonic()
        answered = Answered(1)
        try:
            stream: Any = spoken
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                answered = Answered(1, _answer_now(request, functions))
        except Exception as error:  # the user's code failed, which is an answer
            answered = Answered(1, failure=told(error))
        future.set_result(Answered(1, answered.answer, answered.failure, spoken.text(), time.monotonic() - began))
        return future


def _answer_now(request: Request, functions: Functions) -> Any:
    if not functions.is_async(request):
        return driven(answer(request, functions))
    import asyncio

    return asyncio.run(answer(request, functions))
