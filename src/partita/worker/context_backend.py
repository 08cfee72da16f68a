"""What `pt.Context` can do in a worker: progress, checkpoints, members of a bundle.

Rule: an effect leaves at once (a frame, a synced file); nothing is kept for the end that a crash could lose.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from partita.core.events import AssetReport, CheckReport, Detail, Failure
from partita.core.values import Value
from partita.define.context import Context, PastAttempt, context, is_in_step
from partita.errors import PartitaError, ValueCodecError
from partita.values import storing
from partita.values.blobs import write_then_rename
from partita.worker.failures import clean, describe
from partita.worker.markers import log_name, log_stem
from partita.worker.wire import MemberBegan, MemberEnded, Progress

if TYPE_CHECKING:
    from partita.worker.run_step import Attempt

_PROGRESS_EVERY_S = 0.1
_INLINE_CHECKPOINT = 1 << 20
# An engine that took over counts on from where the old one was; attempts of one step never get near this.
_ATTEMPTS_PER_EPOCH = 1_000_000
_value_encoder = msgspec.msgpack.Encoder()
_value_decoder = msgspec.msgpack.Decoder(Value)


def context_of(attempt: Attempt) -> Context:
    """The context of an attempt, made when somebody asks for it."""
    brief, ticket = attempt.plan.brief, attempt.ticket
    start, end = (_instant(text) for text in brief.interval)
    return Context(
        run_id=brief.run,
        run_no=brief.run_no,
        pipeline=brief.pipeline,
        namespace=brief.namespace,
        step=brief.step,
        index=ticket.index,
        attempt=ticket.attempt,
        max_attempts=brief.max_attempts,
        previous=tuple(PastAttempt(past.attempt, past.state, past.reason) for past in ticket.past),
        fencing_token=ticket.epoch * _ATTEMPTS_PER_EPOCH + ticket.attempt,
        partition=brief.partition,
        partitions=brief.partitions,
        memory_bytes=brief.memory_bytes,
        data_interval=(start, end) if start is not None and end is not None else None,
        nominal_time=end,
        asset=brief.asset,
        backend=Backend(attempt),
    )


def say_used(name: str) -> None:
    """The step whose code is running uses a secret; elsewhere (sensors, tests) there is nobody to say it of."""
    if is_in_step():
        backend = context().backend
        if isinstance(backend, Backend):
            backend.secret_used(name)


class Backend:
    """The `ContextBackend` of one attempt."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._said_at = 0.0
        # The log that output goes to when no member's line is being written.
        self._log = attempt.log
        self.members_ended: set[str] = set()
        self._secrets_used: set[str] = set()

    def progress(self, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        # The last word on how far it is always goes out.
        if now - self._said_at < _PROGRESS_EVERY_S and not (total and done >= total):
            return
        self._said_at = now
        told = self._attempt.runner.mask.text(clean(text[:4000]))[:500]
        self._send(Progress(self._attempt.ticket.no, done, total, told))

    def heartbeat(self) -> None:
        self.progress(0.0, 0.0, "")

    def is_cancelled(self) -> bool:
        return self._attempt.cancelled

    def secret_used(self, name: str) -> None:
        """For the audit, once for each attempt."""
        if name not in self._secrets_used:
            self._secrets_used.add(name)
            self._send(Progress(self._attempt.ticket.no, secret=name))

    # --- checkpoints ---

    def save(self, name: str, value: Any) -> None:
        runner = self._attempt.runner
        stored = storing.store(value, runner.blobs, inline_bytes=_INLINE_CHECKPOINT)
        path = runner.home.checkpoints / self._checkpoint(name)
        try:
            write_then_rename(path, _value_encoder.encode(stored), sync=True)
        except OSError as error:
            raise ValueCodecError(
                f"checkpoint {name!r} cannot be written: {error.strerror or error}",
                hint="free some space or make the folder writable",
            ) from error

    def load(self, name: str, default: Any) -> Any:
        runner = self._attempt.runner
        try:
            data = (runner.home.checkpoints / self._checkpoint(name)).read_bytes()
        except FileNotFoundError:
            return default
        return storing.decode(_value_decoder.decode(data), runner.blobs)

    def _checkpoint(self, name: str) -> str:
        brief, ticket = self._attempt.plan.brief, self._attempt.ticket
        # The user's name is hashed: it may hold anything, and this is a path.
        slug = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{log_stem(brief.run_no, brief.step)}{ticket.index or '_'}/{slug}"

    # --- members of a bundle ---

    def member_began(self, member: str, at: float) -> None:
        self._expect(member)
        brief, ticket = self._attempt.plan.brief, self._attempt.ticket
        self._log = log_name(brief.run_no, member, ticket.index, ticket.attempt)
        self._attempt.runner.capture.switch(self._log)
        self._send(MemberBegan(ticket.no, member, at))

    def member_log(self, member: str, text: str) -> None:
        self._expect(member)
        brief, ticket, capture = self._attempt.plan.brief, self._attempt.ticket, self._attempt.runner.capture
        capture.switch(log_name(brief.run_no, member, ticket.index, ticket.attempt))
        print(clean(text))
        capture.switch(self._log)

    def member_ended(
        self,
        member: str,
        state: str,
        began_at: float,
        ended_at: float,
        value: Any,
        assets: tuple[AssetReport, ...],
        checks: tuple[CheckReport, ...],
        failure: Failure | BaseException | None,
        cached_from: str = "",
    ) -> None:
        self._expect(member)
        attempt = self._attempt
        brief, ticket, runner = attempt.plan.brief, attempt.ticket, attempt.runner
        stored = runner.store_member(attempt, member, value) if state == "succeeded" else None
        if isinstance(failure, BaseException):
            failure = describe(failure)
        detail = Detail(failure=failure, cached_from=cached_from) if failure is not None or cached_from else None
        assets = runner.versioned(attempt, member, stored, assets)
        ended = MemberEnded(ticket.no, member, state, began_at, ended_at, stored, assets, checks, detail)
        self.members_ended.add(member)
        self._send(runner.mask.member(ended))
        runner.capture.end(log_name(brief.run_no, member, ticket.index, ticket.attempt))
        self._log = attempt.log
        runner.capture.switch(attempt.log)

    def _expect(self, member: str) -> None:
        members = self._attempt.ticket.members
        if self._attempt.plan.brief.kind == "bundle" and member not in members:
            known = ", ".join(f"`{name}`" for name in members[:5])
            raise PartitaError(
                f"`{member}` is not a member that this attempt is to perform",
                hint=f"its members are {known}" if known else "it has none",
            )

    def _send(self, message: Progress | MemberBegan | MemberEnded) -> None:
        self._attempt.runner.send(message)


Send = Callable[[Progress | MemberBegan | MemberEnded], None]


def _instant(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
