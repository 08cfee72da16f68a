"""Notifications: from what happens to messages in the outbox, and from the outbox to channels.

What happens is heard after its commit; messages are recorded by the next one. So that a crash in between loses none, the
journal is read on from where messages were last recorded when the service starts; a message's key makes twice once.

Rule: nothing is sent here and no secret is known here: the project's evaluator sends, this file keeps what came of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

import msgspec

from partita.core.alerts import (
    AlertOptions,
    Happening,
    Message,
    held_until,
    is_repetition,
    is_wanted,
    options_of,
)
from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.messages import AlertMoved, JournalRead, MessageQueued, MessageTried
from partita.core.graph import decode as decode_graph
from partita.core.manifest import AlertSpec, ChannelSpec, Manifest
from partita.core.timetable import at as moment_of
from partita.core.timetable import timetable
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.digest import digest_of
from partita.engine.happenings import of_facts, of_run
from partita.engine.loop import Engine
from partita.engine.restore import rebuilt, run_created_of
from partita.errors import DefinitionError
from partita.executors.evaluator import Evaluator
from partita.store import messages
from partita.store.writing import SqlStore
from partita.worker.questions import Answered, MessageSent, SendMessage

READER = "notifications"
# The waits between tries; after the last one a message is given up, and stays in the outbox as such.
RETRIES_S = (30.0, 120.0, 600.0, 3_600.0, 21_600.0)
_AT_ONCE = 4
_PAGE = 500
_READ_EVERY = 5_000
_MANY_TOLD = 10_000
_NEVER = float("inf")
# Runs that have ended well open no alarm, and close one.
_OPENS = {"run.failed", "freshness.fail", "freshness.warn", "deadline.missed", "deadline.predicted", "service.unwell"}
_CLOSES = {"run.succeeded": "run.recovered", "freshness.recovered": "freshness.recovered", "service.recovered": "service.recovered"}  # fmt: skip
_ENDS = frozenset(_CLOSES.values())
_NAME = re.compile(r"\{(\w+)\}")


class TestChannel(msgspec.Struct, frozen=True, tag="test_channel"):
    """Send a test message to a channel now."""

    __test__ = False

    channel: str
    by: str
    project: str = ""


class RetryMessage(msgspec.Struct, frozen=True, tag="retry_message"):
    """Send a message of the outbox (again) now."""

    key: str
    by: str


class Sent(msgspec.Struct, frozen=True):
    """What came of it; `error` is empty when it went out."""

    answer: str = ""
    error: str = ""


class Notify:
    """The part of the service that tells people."""

    name = "notifications"

    def __init__(
        self,
        engine: Engine,
        store: SqlStore,
        catalog: Catalog,
        clock: Clock,
        *,
        evaluator: Evaluator | None,
        address: Callable[[], str] = lambda: "",
    ) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._evaluator = evaluator
        # Where the UI answers, for links.
        self._address = address
        self._rules: list[tuple[Manifest, AlertSpec, AlertOptions]] = []
        self._unsent: dict[str, messages.MessageRow] = {}
        self._sending: set[str] = set()
        self._open: set[tuple[str, str, str]] = set()
        self._told: dict[tuple[str, str, str], float] = {}
        self._digests: dict[tuple[str, str], float] = {}
        self._started = False
        self._has_begun = False
        # Commits since it was recorded how far the journal was read.
        self._heard = 0

    def start(self, now: float) -> None:
        """Take up the outbox, and what happened between the last message and the end of the last service."""
        has = self._engine.realm.has
        self._unsent = {row.key: row for row in messages.unsent(self._store) if has(row.namespace)}
        self._open = {(a.namespace, a.rule, a.subject) for a in messages.alerts(self._store)}
        self._started = True
        self._plan_digests(now)
        self._begin()

    def due_at(self) -> float:
        due = min(self._digests.values(), default=_NEVER)
        if self._evaluator is None or len(self._sending) >= _AT_ONCE:
            return due
        held = [r.next_at for r in self._unsent.values() if r.key not in self._sending and r.next_at is not None]
        return min([due, *held])

    def turn(self, now: float) -> None:
        """Send what is due, compose digests that are due."""
        for key, at in list(self._digests.items()):
            if at <= now:
                self._compose(*key, at, now)
        due = [r for r in self._unsent.values() if (r.next_at or 0.0) <= now and r.key not in self._sending]
        for row in sorted(due, key=lambda r: r.next_at or 0.0)[: _AT_ONCE - len(self._sending)]:
            self._send(row)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        if not self._rules:
            return
        self.tell(of_run(run.run, run.no, run.machine, events))
        self._heard += 1
        if self._heard >= _READ_EVERY:
            self._note_read()

    def recorded(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, MessageQueued):
                row = messages.message(self._store, fact.key)
                if row is not None and row.next_at is not None:
                    self._unsent[fact.key] = row
            elif isinstance(fact, MessageTried):
                self._take_tried(fact)
        if self._rules:
            self.tell(of_facts(facts))

    def loaded(self, manifest: Manifest) -> None:
        self._rules = [(m, rule, options_of(rule)) for m in self._catalog.manifests.values() for rule in m.alerts]
        if self._started:
            self._plan_digests(self._clock.now())
            self._begin()

    def handlers(self) -> Mapping[type, Handler]:
        return {TestChannel: self._on_test, RetryMessage: self._on_retry}

    # --- from what happens to messages ----------------------------------------------------------------------------

    def tell(self, happenings: Iterable[Happening]) -> None:
        """Record the messages that rules want of this, and which alarms are open."""
        queued = False
        for happening in happenings:
            for manifest, rule, options in self._rules:
                if manifest.namespace == happening.namespace or happening.namespace == "default":
                    queued = self._apply(manifest, rule, options, happening) or queued
        if queued:
            self._note_read()
        if len(self._told) > _MANY_TOLD:
            self._told = dict(list(self._told.items())[_MANY_TOLD // 2 :])

    def _note_read(self) -> None:
        """Staged beside the messages of all that was heard until now, so they are committed together."""
        self._heard = 0
        self._engine.record(JournalRead(self._clock.now(), self._reader, self._store.end_of_stream()))

    def _apply(self, manifest: Manifest, rule: AlertSpec, options: AlertOptions, happening: Happening) -> bool:
        alarm = (manifest.namespace, rule.name, happening.subject)
        if happening.topic in _CLOSES and alarm in self._open:
            self._open.discard(alarm)
            self._engine.record(AlertMoved(happening.at, *alarm, open=False))
            self._told = {k: v for k, v in self._told.items() if k[:2] != (rule.name, happening.subject)}
            recovered = msgspec.structs.replace(
                happening, topic=_CLOSES[happening.topic], severity="ok", title=f"recovered: {happening.title}"
            )
            if is_wanted(rule, recovered) and options.recovery:
                return self._queue(manifest, rule, options, recovered)
        if happening.topic in _ENDS and happening.topic not in rule.on:
            return False  # nobody was told that anything was wrong
        if not is_wanted(rule, happening):
            return False
        if happening.topic in _OPENS:
            self._open.add(alarm)
            self._engine.record(AlertMoved(happening.at, *alarm, True, happening.title, happening.run))
        cause = (rule.name, happening.subject, f"{happening.topic}:{happening.cause}")
        if happening.cause and is_repetition(options, self._told.get(cause), happening.at):
            return False
        self._told[cause] = happening.at
        return self._queue(manifest, rule, options, happening)

    def _queue(self, manifest: Manifest, rule: AlertSpec, options: AlertOptions, happening: Happening) -> bool:
        now = self._clock.now()
        for channel in rule.to:
            key = f"{manifest.project}:{rule.name}:{channel}:{happening.topic}:{happening.key}"
            payload = msgspec.msgpack.encode(self._message(key, rule, happening))
            self._engine.record(
                MessageQueued(
                    now,
                    key,
                    manifest.namespace,
                    f"{manifest.project}/{rule.name}",
                    channel,
                    happening.topic,
                    payload,
                    held_until(options, now),
                )
            )
        return bool(rule.to)

    def _message(self, key: str, rule: AlertSpec, happening: Happening) -> Message:
        url = self._address()
        if url and happening.run_no:
            url = f"{url}/runs/{happening.run_no}"
        fields = {
            "title": happening.title,
            "topic": happening.topic,
            "subject": happening.subject.partition(":")[2],
            "severity": happening.severity,
            "run": str(happening.run_no or ""),
            "namespace": happening.namespace,
            "owners": ", ".join(happening.owners),
            "lines": "\n".join(happening.lines),
            "url": url,
        }
        if not rule.template:
            return Message(key, happening.topic, happening.severity, happening.title, happening.lines, url, fields)
        # Names in braces and nothing else: a template is never evaluated.
        text = _NAME.sub(lambda m: fields.get(m[1], m[0]), rule.template)
        title, *lines = text.split("\n")
        return Message(key, happening.topic, happening.severity, title, tuple(lines), "", fields)

    def _begin(self) -> None:
        """With the first rules: hear what happened since messages were last recorded, or begin here and now."""
        if self._has_begun or not self._rules:
            return
        self._has_begun = True
        read = messages.read_until(self._store, self._reader)
        if read is None:
            self._note_read()
        else:
            self._catch_up(read)

    @property
    def _reader(self) -> str:
        """By which name it is noted how far the journal was read."""
        only = self._engine.realm.only
        return f"{READER} of {only}" if only else READER

    def _catch_up(self, read: int) -> None:
        """What the last service heard and did not get recorded any more."""
        while rows := self._store.stream(after_no=read, limit=_PAGE):
            for row in rows:
                read = row.no
                heard = of_facts(row.facts) if not row.run else self._happenings_of(row.run, row.events)
                self.tell(happening for happening in heard if self._engine.realm.has(happening.namespace))

    def _happenings_of(self, run_id: str, events: Sequence[Event]) -> Iterable[Happening]:
        row = self._store.run(run_id)
        if row is None or not self._engine.realm.has(row.namespace):
            return ()
        data = self._store.graph(row.graph)
        if data is None:
            return ()
        machine = rebuilt(decode_graph(data), row, self._store.steps(row.id), self._store.attempts(row.id))
        return of_run(run_created_of(row), row.no, machine, events)

    # --- digests ----------------------------------------------------------------------------------------------------

    def _plan_digests(self, now: float) -> None:
        planned: dict[tuple[str, str], float] = {}
        for manifest, rule, options in self._rules:
            if options.at:
                key = (manifest.project, rule.name)
                planned[key] = self._digests.get(key) or _next(options, now)
        self._digests = planned

    def _compose(self, project: str, name: str, at: float, now: float) -> None:
        found = next(((m, r, o) for m, r, o in self._rules if (m.project, r.name) == (project, name)), None)
        if found is None:
            del self._digests[project, name]
            return
        manifest, rule, options = found
        self._digests[project, name] = _next(options, now)
        since = next(timetable(options.at, options.tz).before(moment_of(at)), None)
        happening = digest_of(
            self._store, self._catalog, rule, manifest.namespace, since=since.timestamp() if since else 0.0, now=at
        )
        self._queue(manifest, rule, options, happening)

    # --- from the outbox to channels ----------------------------------------------------------------------------------

    def _send(self, row: messages.MessageRow) -> None:
        channel = self._channel(row)
        if channel is None:
            self._tried(row, Sent(error=f"no project declares the channel {row.channel!r} any more"))
            return
        project, spec = channel
        if self._evaluator is None:
            return
        self._sending.add(row.key)
        message = msgspec.msgpack.decode(row.payload, type=Message)
        asked = self._evaluator.ask(project, SendMessage(spec, message))
        asked.add_done_callback(lambda done: self._sent(row, done))

    def _sent(self, row: messages.MessageRow, done: Future[Answered]) -> None:
        self._sending.discard(row.key)
        came, after_s = _came_of(done)
        self._tried(row, came, after_s)

    def _tried(self, row: messages.MessageRow, came: Sent, after_s: float | None = None) -> None:
        now = self._clock.now()
        again = None
        if came.error and row.tries < len(RETRIES_S):
            again = now + max(RETRIES_S[row.tries], after_s or 0.0)
        fact = MessageTried(now, row.key, row.tries + 1, came.error, again, came.answer)
        self._unsent.pop(row.key, None)
        if again is not None:
            self._unsent[row.key] = msgspec.structs.replace(row, tries=row.tries + 1, next_at=again)
        self._engine.record(fact)

    def _take_tried(self, fact: MessageTried) -> None:
        if fact.next_at is None:
            self._unsent.pop(fact.key, None)

    def _channel(self, row: messages.MessageRow) -> tuple[str, ChannelSpec] | None:
        project = row.rule.partition("/")[0]
        manifest = self._catalog.manifests.get(project)
        for spec in manifest.channels if manifest is not None else ():
            if spec.name == row.channel:
                return project, spec
        return None

    # --- requests -----------------------------------------------------------------------------------------------------

    def _on_test(self, request: TestChannel) -> Future[Sent]:
        found = [
            (project, spec)
            for project, manifest in self._catalog.manifests.items()
            for spec in manifest.channels
            if spec.name == request.channel and request.project in ("", project)
        ]
        if not found:
            names = sorted({spec.name for m in self._catalog.manifests.values() for spec in m.channels})
            raise DefinitionError(
                f"there is no channel {request.channel!r}", hint=f"there are: {', '.join(names) or 'none'}"
            )
        if self._evaluator is None:
            raise DefinitionError("messages are sent by the service", hint="start it: partita up")
        project, spec = found[0]
        now = self._clock.now()
        message = Message(
            f"test:{spec.name}:{now}", "test", "info", f"a test message, asked for by {request.by}",
            ("If you can read this, the channel works.",), self._address(),
        )  # fmt: skip
        answer: Future[Sent] = Future()
        asked = self._evaluator.ask(project, SendMessage(spec, message))
        asked.add_done_callback(lambda done: answer.set_result(_came_of(done)[0]))
        return answer

    def _on_retry(self, request: RetryMessage) -> Sent:
        row = messages.message(self._store, request.key)
        if row is None:
            raise DefinitionError(f"there is no message {request.key!r}", hint="partita notifications")
        now = self._clock.now()
        self._engine.record(MessageTried(now, row.key, 0, row.error or f"asked for again by {request.by}", now))
        self._unsent[row.key] = msgspec.structs.replace(row, tries=0, next_at=now)
        return Sent(answer="it is sent now")


def _next(options: AlertOptions, now: float) -> float:
    found = next(timetable(options.at, options.tz).after(moment_of(now)), None)
    return found.timestamp() if found is not None else _NEVER


def _came_of(done: Future[Answered]) -> tuple[Sent, float | None]:
    error = done.exception()
    if error is not None:
        return Sent(error=str(error) or type(error).__name__), None
    answered = done.result()
    if isinstance(answered.answer, MessageSent):
        return Sent(answered.answer.answer, answered.answer.error), answered.answer.retry_after_s
    failure = answered.failure
    return Sent(error=failure.message if failure is not None else "no answer"), None
