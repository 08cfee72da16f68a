"""Facts about notifications: what is to be told, and how telling it went. The outbox."""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class MessageQueued(FactBase, frozen=True, array_like=True, tag="message_queued"):
    """Something is to be told to a channel, once per `key`. `payload` is packed plain data."""

    key: str
    namespace: str
    rule: str
    channel: str
    topic: str
    payload: bytes
    # Quiet hours and digests hold it back.
    not_before: float = 0.0


class MessageTried(FactBase, frozen=True, array_like=True, tag="message_tried"):
    """A delivery was tried: it went out (`error` empty), is tried again at `next_at`, or was given up (None)."""

    key: str
    tries: int
    error: str = ""
    next_at: float | None = None
    answer: str = ""


class AlertMoved(FactBase, frozen=True, array_like=True, tag="alert_moved"):
    """A cause for alarm began or (`open` false) is over. `subject` names it: "run:nightly", "asset:delays"."""

    namespace: str
    rule: str
    subject: str
    open: bool
    message: str = ""
    run: str = ""


class JournalRead(FactBase, frozen=True, array_like=True, tag="journal_read"):
    """A reader of the journal (`name`) has dealt with all rows up to `no`."""

    name: str
    no: int


MessageFact = MessageQueued | MessageTried | AlertMoved | JournalRead
