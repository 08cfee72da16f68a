"""The outbox, causes for alarm, and how far the journal was read for them: rows, readers, and what each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/messages.sql`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from partita.core.facts.messages import AlertMoved, JournalRead, MessageQueued, MessageTried
from partita.store.reading import SqlReader


class MessageRow(msgspec.Struct, frozen=True):
    """A message in the outbox. `next_at` None: sent (`sent_at`) or given up (`error`)."""

    no: int
    key: str
    namespace: str
    rule: str
    channel: str
    topic: str
    payload: bytes
    at: float
    not_before: float
    tries: int
    next_at: float | None
    sent_at: float | None
    error: str


class AlertRow(msgspec.Struct, frozen=True):
    """A cause for alarm that is not over."""

    namespace: str
    rule: str
    subject: str
    since: float
    message: str
    run: str


def messages(reader: SqlReader, *, before_no: int | None = None, limit: int = 50) -> list[MessageRow]:
    """The outbox, newest first; `before_no` is the cursor."""
    rows = reader.fetch("messages", (2**62 if before_no is None else before_no, limit))
    return [MessageRow(*row) for row in rows]


def message(reader: SqlReader, key: str) -> MessageRow | None:
    """A message by its key."""
    rows = reader.fetch("message", (key,))
    return MessageRow(*rows[0]) if rows else None


def unsent(reader: SqlReader, limit: int = 10_000) -> list[MessageRow]:
    """What is still to be sent, the first due first."""
    return [MessageRow(*row) for row in reader.fetch("messages_unsent", (limit,))]


def alerts(reader: SqlReader, namespace: str | None = None) -> list[AlertRow]:
    """Causes for alarm that are not over, oldest first. As many as there are subjects that are unwell."""
    rows = [AlertRow(*row) for row in reader.fetch("alerts")]
    return [row for row in rows if namespace in (None, row.namespace)]


def read_until(reader: SqlReader, name: str) -> int | None:
    """The number of the last journal row that `name` has dealt with; None = it never began."""
    rows = reader.fetch("read_until", (name,))
    return int(rows[0][0]) if rows else None


def _queued(execute: Callable[..., Any], fact: MessageQueued) -> None:
    params = (fact.key, fact.namespace, fact.rule, fact.channel, fact.topic, fact.payload, fact.at, fact.not_before)
    execute("insert_message", (*params, max(fact.at, fact.not_before)))


def _tried(execute: Callable[..., Any], fact: MessageTried) -> None:
    sent_at = fact.at if not fact.error else None
    execute("update_message", (fact.tries, fact.next_at, sent_at, fact.error, fact.key))


def _moved(execute: Callable[..., Any], fact: AlertMoved) -> None:
    if fact.open:
        execute("open_alert", (fact.namespace, fact.rule, fact.subject, fact.at, fact.message, fact.run))
    else:
        execute("close_alert", (fact.namespace, fact.rule, fact.subject))


def _read(execute: Callable[..., Any], fact: JournalRead) -> None:
    execute("set_read_until", (fact.name, fact.no))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    MessageQueued: _queued,
    MessageTried: _tried,
    AlertMoved: _moved,
    JournalRead: _read,
}
