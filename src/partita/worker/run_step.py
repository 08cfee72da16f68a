"""One ticket: load the inputs, call the user's function, store what it returns, say what became of it.

The common case (a task that takes and returns small plain data) goes straight through; all that a step may have beside
it (cache, IO objects, checks, assets, members, a context) is found out once per step, in its `Plan`, not per ticket.

Rule: nothing that user code does gets past `run`; it answers with an outcome, always.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from partita.core.events import AssetReport, Detail, Failure
from partita.core.states import AttemptState
from partita.core.values import Input, Named, Of, Value, Whole
from partita.define.calls import Call
from partita.define.context import Context, enter, leave
from partita.define.io import BoundIO
from partita.errors import Cancelled, LoadError
from partita.settings import Home
from partita.values import cache, storing
from partita.values.blobs import Blobs
from partita.values.preview import preview, table
from partita.worker import limits
from partita.worker.capture import Capture
from partita.worker.context_backend import Backend, Send, context_of
from partita.worker.failures import InputError, verdict
from partita.worker.markers import log_stem
from partita.worker.masking import Masker
from partita.worker.reports import check_reports, choice_of, members_of, with_version
from partita.worker.wire import Brief, Outcome, Ticket

T = TypeVar("T")
_load = storing.load
_store = storing.store
_now = time.time


class Plan:
    """What all tickets of a brief share, found out once."""

    __slots__ = ("brief", "call", "function", "inputs", "log_stem", "needs_context", "simple")

    def __init__(self, brief: Brief, call: Call) -> None:
        self.brief = brief
        self.call = call
        self.inputs = tuple((name, source) for name, source in brief.inputs.items() if name not in call.input_io)
        self.log_stem = log_stem(brief.run_no, brief.step)
        self.function = call.function
        # A container has the limit of its runtime; ours would be that of the runtime's client.
        if brief.memory_bytes and not call.asynchronous and brief.kind != "container":
            self.function = limits.limited(self.function, brief.memory_bytes)
        self.needs_context = bool(call.context_param or call.input_io or call.members_param or call.io or call.outs)
        self.simple = not (
            self.needs_context
            or brief.cache
            or brief.reports_choice
            or brief.reports_again
            or brief.kind in ("asset", "check", "bundle")
            or call.check
            or brief.asset
        )


class Attempt:
    """One ticket under way. It is its own maker of a context: most steps never ask for one."""

    __slots__ = ("_context", "cache_key", "cancelled", "cpu_s", "log", "plan", "runner", "ticket")

    def __init__(self, runner: StepRunner, plan: Plan, ticket: Ticket) -> None:
        self.runner = runner
        self.plan = plan
        self.ticket = ticket
        self.cancelled = False
        self.cache_key = ""
        # None where the processor's time cannot be told apart (coroutines).
        self.cpu_s: float | None = None
        self.log = f"{plan.log_stem}{ticket.index or '_'}.{ticket.attempt}"
        self._context: Context | None = None

    def __call__(self) -> Context:
        if self._context is None:
            self._context = context_of(self)
        return self._context

    @property
    def context(self) -> Context | None:
        """The context, if anybody asked for it."""
        return self._context

    @property
    def members_ended(self) -> set[str]:
        """Members of a bundle whose end was reported already."""
        backend = self._context.backend if self._context is not None else None
        return backend.members_ended if isinstance(backend, Backend) else set()


class StepRunner:
    """Runs tickets, one after the other with `run`, many at a time with `run_async`."""

    def __init__(
        self,
        calls: Mapping[str, Call],
        blobs: Blobs,
        home: Home,
        send: Send,
        *,
        inline_bytes: int = 4096,
        mask: Masker | None = None,
        capture: Capture | None = None,
    ) -> None:
        self.calls = calls
        self.blobs = blobs
        self.home = home
        self.send = send
        self.inline_bytes = inline_bytes
        self.mask = mask or Masker()
        self.capture = capture or Capture()
        # User code of `run` is on the stack: the one time in which a signal may raise in the main thread.
        self.in_user_code = False
        # Coroutines share this runner; nothing may be raised into them by a signal.
        self.shared = False
        self.attempt: Attempt | None = None
        # The folder to return to after each step, in a worker that runs many.
        self.home_fd: int | None = None

    def plan(self, brief: Brief) -> Plan:
        """What the tickets of this brief need. A call that is not in the project fails its tickets, not the worker."""
        call = self.calls.get(brief.call)
        if call is None:
            call = Call(name=brief.call, function=_unknown_call(brief))
        return Plan(brief, call)

    def run(self, plan: Plan, ticket: Ticket) -> Outcome:
        """Perform one ticket in this thread."""
        attempt = Attempt(self, plan, ticket)
        self.attempt = attempt
        self.capture.begin(attempt.log)
        if ticket.gpus:
            # For good: a step with GPUs is alone in its process. Libraries look at this once, when they are first used.
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(ticket.gpus)
        attempt.cpu_s = time.process_time()
        token = enter(attempt)
        began_at = _now()
        try:
            arguments = self._arguments(attempt)
            if not plan.simple:
                cached = self._from_cache(attempt, arguments, began_at)
                if cached is not None:
                    return cached
            self.in_user_code = True
            if attempt.cancelled:
                raise Cancelled
            value = plan.function(**arguments)
            if plan.call.asynchronous:
                value = _run_coroutine(value)
            self.in_user_code = False
            return self._succeeded(attempt, value, began_at)
        except BaseException as error:
            self.in_user_code = False
            return self._failed(attempt, error, began_at)
        finally:
            self.attempt = None
            leave(token)
            if self.home_fd is not None:
                self._go_home(self.home_fd)

    def cancelled(self, ticket: Ticket) -> Outcome:
        """The outcome of a ticket whose `run` was left by a `Cancelled`."""
        limits.lift()
        now = _now()
        return Outcome(ticket.no, "cancelled", now, now, None, Detail(failure=Failure("cancelled", cause="cancelled")))

    async def run_async(self, plan: Plan, ticket: Ticket) -> Outcome:
        """Perform one ticket as a coroutine among others; what is not a coroutine runs in a thread."""
        attempt = Attempt(self, plan, ticket)
        self.capture.begin(attempt.log)
        enter(attempt)
        began_at = _now()
        try:
            arguments = self._arguments(attempt)
            if not plan.simple:
                cached = self._from_cache(attempt, arguments, began_at)
                if cached is not None:
                    return cached
            value = await self._call_async(attempt, arguments)
            return self._succeeded(attempt, value, began_at)
        except BaseException as error:
            return self._failed(attempt, error, began_at)
        finally:
            self.capture.end(attempt.log)

    async def _call_async(self, attempt: Attempt, arguments: dict[str, Any]) -> Any:
        import asyncio

        plan = attempt.plan
        scope = asyncio.timeout(plan.brief.timeout_s)
        try:
            async with scope:
                if plan.call.asynchronous:
                    return await plan.function(**arguments)
                return await asyncio.to_thread(plan.function, **arguments)
        except TimeoutError as error:
            if scope.expired():
                raise TimedOut(f"took longer than its {plan.brief.timeout_s:g} s") from error
            raise

    def _go_home(self, folder: int) -> None:
        """A step's `chdir` is its own."""
        try:
            os.fchdir(folder)
        except OSError:
            return  # the folder was removed; relative paths fail in the next step, with its own message

    # --- before ---

    def _arguments(self, attempt: Attempt) -> dict[str, Any]:
        plan, ticket = attempt.plan, attempt.ticket
        blobs = self.blobs
        name = ""
        try:
            arguments = {}
            for name, source in plan.inputs:
                arguments[name] = _load(source, blobs)
            for name, source in ticket.inputs.items():
                arguments[name] = _load(source, blobs)
            if plan.needs_context:
                self._add_context(attempt, arguments)
        except Exception as error:
            if name:
                error.add_note(f"while argument {name!r} of step {plan.brief.step!r} was loaded")
            raise InputError from error
        return arguments

    def _add_context(self, attempt: Attempt, arguments: dict[str, Any]) -> None:
        call = attempt.plan.call
        for name, io in call.input_io.items():
            arguments[name] = _read(io, attempt, attempt.plan.brief.inputs.get(name))
        if call.context_param:
            arguments[call.context_param] = attempt()
        if call.members_param:
            arguments[call.members_param] = attempt.ticket.members

    def _from_cache(self, attempt: Attempt, arguments: dict[str, Any], began_at: float) -> Outcome | None:
        brief, call = attempt.plan.brief, attempt.plan.call
        policy = brief.cache
        if policy is None or brief.kind == "bundle":
            return None
        if policy.key == "own" and call.cache_key is not None:
            own = {name: value for name, value in arguments.items() if name != call.context_param}
            key = cache.key_by_function(brief.call, policy.salt, call.cache_key, own)
        else:
            inputs = _with_versions({**brief.inputs, **attempt.ticket.inputs}, call, arguments)
            if inputs is None:
                return None
            salt = f"{policy.salt}/{brief.asset}/{brief.partition}"
            key = cache.key_by_inputs(brief.call, brief.code_version, salt, inputs, self.blobs)
        attempt.cache_key = key
        entry = cache.look_up(self.home.cache, key, policy, self.blobs, now=began_at)
        if entry is None or not self._is_kept(attempt, call.io):
            return None
        detail = Detail(metadata=entry.metadata, assets=entry.assets, checks=entry.checks, cached_from=entry.origin)
        if brief.reports_choice or brief.reports_again:
            detail = self._decisions(attempt, storing.decode(entry.value, self.blobs), detail)
        return Outcome(attempt.ticket.no, "succeeded", began_at, _now(), entry.value, detail)

    # --- after ---

    def _succeeded(self, attempt: Attempt, value: Any, began_at: float) -> Outcome:
        plan, no = attempt.plan, attempt.ticket.no
        if plan.simple and attempt.context is None:
            stored = _store(value, self.blobs, inline_bytes=self.inline_bytes)
            ended_at = _now()
            used = limits.usage(began_at, ended_at, attempt.cpu_s)
            detail = None if used is None else Detail(usage=used)
            outcome = Outcome(no, "succeeded", began_at, ended_at, stored, detail)
            return self.mask.outcome(outcome) if self.mask.active else outcome
        return self._reported(attempt, value, began_at)

    def _reported(self, attempt: Attempt, value: Any, began_at: float) -> Outcome:
        """The outcome of a step that says more than its value."""
        plan = attempt.plan
        brief, call = plan.brief, plan.call
        context = attempt.context
        if brief.kind == "bundle":
            members_of(attempt, value)
            stored = None
        else:
            stored = self._store_result(attempt, value)
        checks = check_reports(brief, call, value, context)
        detail = Detail(
            metadata=context.reported_metadata() if context is not None else (),
            assets=self._asset_reports(attempt, stored, value),
            checks=checks,
        )
        detail = self._decisions(attempt, value, detail)
        ended_at = _now()
        detail = replace(detail, usage=limits.usage(began_at, ended_at, attempt.cpu_s))
        outcome = self.mask.outcome(Outcome(attempt.ticket.no, "succeeded", began_at, ended_at, stored, detail))
        if attempt.cache_key and all(check.passed for check in checks):
            self._remember(attempt, outcome)
        return outcome

    def _remember(self, attempt: Attempt, outcome: Outcome) -> None:
        """Put a result where later attempts with the same key find it, as it was reported: masked."""
        value, detail, brief = outcome.value, outcome.detail, attempt.plan.brief
        if value is None or detail is None:
            return
        origin = f"{brief.run}/{brief.step}/{attempt.ticket.index}/{attempt.ticket.attempt}"
        entry = cache.Entry(value, outcome.ended_at, origin, detail.metadata, detail.assets, detail.checks)
        cache.remember(self.home.cache, attempt.cache_key, entry)

    def _store_result(self, attempt: Attempt, value: Any) -> Value:
        brief = attempt.plan.brief
        return self._kept(attempt, brief.asset if brief.kind != "check" else "", attempt.plan.call.io, value)

    def store_member(self, attempt: Attempt, member: str, value: Any) -> Value:
        """Store what a member of a bundle made."""
        return self._kept(attempt, member, attempt.plan.call.outs_io.get(member), value)

    def _kept(self, attempt: Attempt, asset: str, io: BoundIO | None, value: Any) -> Value:
        """The value stored where it belongs.

        Of data that lies elsewhere only the version is here: without it a cached reader would never see a change.
        """
        if io is not None:
            self._user_io(lambda: io.dump(attempt(), value))
            version = _version_elsewhere(attempt, asset, value)
            return Value("plain", 1, b"\xc0", digest=version, preview=preview(value), table=table(value))
        stored = _store(value, self.blobs, inline_bytes=self.inline_bytes)
        if value is None and asset:
            return replace(stored, digest=_version_elsewhere(attempt, asset, None))
        return stored

    def _is_kept(self, attempt: Attempt, io: BoundIO | None) -> bool:
        """Is what a cached result stands for still where it was put?"""
        return io is None or self._user_io(lambda: io.is_there(attempt()))

    def _user_io(self, use: Callable[[], T]) -> T:
        # An IO object is user code as well: a cancel may interrupt it.
        was, self.in_user_code = self.in_user_code, not self.shared
        try:
            return use()
        finally:
            self.in_user_code = was

    def _asset_reports(self, attempt: Attempt, stored: Value | None, value: Any) -> tuple[AssetReport, ...]:
        brief, context = attempt.plan.brief, attempt.context
        reports = context.reported_assets() if context is not None else ()
        if brief.kind == "check":
            # The context of a test names the asset that it looks at; a test makes nothing of it.
            reports = tuple(report for report in reports if report.asset != brief.asset)
        elif brief.asset and not any(report.asset == brief.asset for report in reports):
            reports = (AssetReport(brief.asset, brief.partition), *reports)
        reports = self.versioned(attempt, brief.asset, stored, reports)
        if brief.partitions and attempt.plan.call.io is None:
            return tuple(r for report in reports for r in self._by_partition(attempt, report, value))
        return reports

    def _by_partition(self, attempt: Attempt, report: AssetReport, value: Any) -> tuple[AssetReport, ...]:
        """Of a run over several partitions whose function returned a dict by partition: a report for each."""
        brief = attempt.plan.brief
        if report.asset != brief.asset or not isinstance(value, Mapping) or set(value) != set(brief.partitions):
            return (report,)
        stored = {key: _store(value[key], self.blobs, inline_bytes=self.inline_bytes) for key in brief.partitions}
        return tuple(
            replace(report, partition=key, value=kept, data_version=data_version(attempt, kept))
            for key, kept in stored.items()
        )

    def versioned(
        self, attempt: Attempt, asset: str, stored: Value | None, reports: tuple[AssetReport, ...]
    ) -> tuple[AssetReport, ...]:
        """The reports, with a version for the asset of which this is the value."""
        if not reports:
            return ()
        version = data_version(attempt, stored)
        return tuple(with_version(report, version) if report.asset == asset else report for report in reports)

    def _decisions(self, attempt: Attempt, value: Any, detail: Detail) -> Detail:
        brief, call = attempt.plan.brief, attempt.plan.call
        if brief.reports_choice:
            detail = replace(detail, choice=choice_of(brief.step, value))
        if brief.reports_again:
            detail = replace(detail, again=call.until is not None and not call.until(value))
        return detail

    def _failed(self, attempt: Attempt, error: BaseException, began_at: float) -> Outcome:
        context = attempt.context
        state: AttemptState = "timed_out"
        if isinstance(error, TimedOut):
            failure = Failure(str(error), cause="timeout")
        else:
            state, failure = verdict(error, attempt.plan.call.retry_if)
        if state == "cancelled":
            limits.lift()
        ended_at = _now()
        detail = Detail(
            failure=failure,
            usage=limits.usage(began_at, ended_at, attempt.cpu_s),
            metadata=context.reported_metadata() if context is not None else (),
        )
        return self.mask.outcome(Outcome(attempt.ticket.no, state, began_at, ended_at, None, detail))


class TimedOut(BaseException):
    """A coroutine took longer than its limit."""


def data_version(attempt: Attempt, stored: Value | None) -> str:
    """The version of what an attempt made: by content where we have it, else by the attempt."""
    if stored is not None and stored.digest:
        return stored.digest[:16]
    if stored is not None and stored.data is not None and stored.data != b"\xc0":
        return hashlib.sha256(stored.codec.encode() + b"\0" + stored.data).hexdigest()[:16]
    return hashlib.sha256(_name_of(attempt).encode()).hexdigest()[:16]


def _version_elsewhere(attempt: Attempt, asset: str, value: Any) -> str:
    """The digest of data that lies elsewhere (an IO object, a table): what user code says, the value if it is plain.

    Else nobody knows whether it changed, so it counts as changed.
    """
    reports = attempt.context.reported_assets() if attempt.context is not None else ()
    said = next((report.data_version for report in reports if report.asset == asset and report.data_version), None)
    if said is not None:
        text = b"said\0" + said.encode("utf-8", "backslashreplace")
    elif value is not None and (packed := storing.plain_bytes(value)) is not None:
        text = b"plain\0" + packed
    else:
        text = f"attempt\0{_name_of(attempt)}/{asset}".encode()
    return hashlib.sha256(text).hexdigest()


def _with_versions(inputs: dict[str, Input], call: Call, arguments: Mapping[str, Any]) -> dict[str, Input] | None:
    """The inputs, each that an IO object has read with its version; without one (an external asset), with its content.

    None if one of them can be neither.
    """
    for name in call.input_io:
        known = inputs.get(name)
        if isinstance(known, Whole) and known.value.digest:
            continue
        digest = storing.content_digest(arguments[name])
        if digest is None:
            return None
        inputs[name] = Whole(Value("plain", 1, b"\xc0", digest=digest))
    return inputs


def _read(io: BoundIO, attempt: Attempt, source: Input | None) -> Any:
    """What an IO object has: of the step's own partitions, or of those that the mapping of the dependency says."""

    def of(partition: str) -> Any:
        return io.load(dataclasses.replace(attempt(), partition=partition, partitions=(partition,)))

    if isinstance(source, Named):
        return {partition: of(partition) for partition, _ in source.items}
    return of(source.partition) if isinstance(source, Of) else io.load(attempt())


def _name_of(attempt: Attempt) -> str:
    ticket, brief = attempt.ticket, attempt.plan.brief
    return f"{brief.run}/{brief.step}/{ticket.index}/{ticket.attempt}"


def _run_coroutine(coroutine: Any) -> Any:
    """A coroutine in a worker that has no loop (isolation="process")."""
    import asyncio

    async def awaited() -> Any:
        return await coroutine

    return asyncio.run(awaited())


def _unknown_call(brief: Brief) -> Callable[..., Any]:
    def fail(**arguments: Any) -> Any:
        raise LoadError(
            f"step {brief.step!r} calls {brief.call!r}, which is not in the project as it is loaded here",
            hint="the code has changed since the run was planned: start the run again",
        )

    return fail
