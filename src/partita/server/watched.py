"""What `/metrics` says: of the engine, of the store, of the web process.

Rule: names of metrics are stable once released, and a test compares them with the guide; values are numbers, and labels
are words of ours, so whoever reads them learns nobody's names.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterable

from partita.engine.limits import LimitState, ListLimits
from partita.engine.pulse import Pulse, TakePulse
from partita.errors import PartitaError
from partita.server.calling import Call
from partita.server.measuring import Metric, gauge
from partita.settings import Home
from partita.store import house, messages, numbers
from partita.store.reading import SqlReader

_GATES = ("approval", "external", "condition")


def of_engine(call: Call) -> list[Metric]:
    """What only the engine knows; without one, that there is none."""
    try:
        pulse = call.ask(TakePulse(), Pulse)
        limits = call.ask(ListLimits(), list[LimitState])
    except PartitaError:
        return [gauge("partita_engine_up", "Whether the engine answers", 0)]
    return [
        gauge("partita_engine_up", "Whether the engine answers", 1),
        gauge("partita_engine_blocked", "Whether nothing can be committed now", pulse.blocked),
        gauge("partita_engine_troubles", "Chores of the engine that fail now", pulse.troubles),
        gauge("partita_queue_length", "Runs that wait for their start", pulse.queued_runs),
        gauge("partita_active_runs", "Runs that the engine has in memory", pulse.active_runs),
        gauge("partita_open_attempts", "Attempts that workers have", pulse.open_attempts),
        gauge("partita_ready_steps", "Steps that wait for a worker or for a limit", pulse.ready_steps),
        _counter("partita_engine_turns_total", "Turns of the engine's loop", pulse.turns),
        _counter("partita_engine_turn_seconds_total", "Work of these turns, without waiting", pulse.busy_s),
        gauge("partita_engine_turn_seconds_max", "The longest of these turns", pulse.slowest_s),
        *_limits(limits),
    ]


def of_store(reader: SqlReader, home: Home) -> list[Metric]:
    """What the rows say."""
    now = time.time()
    newest = reader.runs(limit=1)
    open_runs = reader.open_runs()
    schedules, sensors = numbers.schedules(reader), numbers.sensors(reader)
    unsent, due_at = numbers.outbox(reader)
    return [
        _by("partita_runs", "Runs in the store, by state", "state", numbers.runs_by_state(reader)),
        _counter("partita_runs_total", "Runs ever made in this store", newest[0].no if newest else 0),
        gauge(
            "partita_oldest_open_run_seconds",
            "Age of the oldest run that has not ended",
            _age(min((r.created_at for r in open_runs), default=None), now),
        ),
        gauge("partita_schedules", "Schedules that are declared", schedules.count),
        gauge("partita_schedules_paused", "Schedules that are paused", schedules.paused),
        gauge("partita_schedules_failing", "Schedules whose last run failed", schedules.failing),
        gauge("partita_tick_lag_seconds", "How late the first undecided tick is", _age(schedules.next_at, now)),
        gauge("partita_sensors", "Sensors that are declared", sensors.count),
        gauge("partita_sensors_paused", "Sensors that are paused", sensors.paused),
        gauge("partita_sensors_failing", "Sensors whose last look failed", sensors.failing),
        _counter("partita_sensor_looks_total", "Looks of the sensors that are declared", sensors.looks),
        gauge("partita_backfills_running", "Backfills that have not ended", numbers.running_backfills(reader)),
        _by(
            "partita_open_gates",
            "Steps that wait, by for what",
            "of",
            {of: numbers.open_gates(reader, of) for of in _GATES},
        ),
        gauge("partita_outbox_messages", "Messages that are still to be sent", unsent),
        gauge("partita_outbox_lag_seconds", "How late the first of these messages is", _age(due_at, now)),
        gauge("partita_alerts_open", "Causes for alarm that are not over", len(messages.alerts(reader))),
        gauge("partita_unwell_parts", "Parts of the service that are unwell", len(house.health(reader))),
        _counter("partita_journal_rows_total", "Rows ever put into the journal", reader.end_of_stream()),
        gauge("partita_store_bytes", "Size of the database with its log", _store_bytes(home)),
    ]


def of_web(call: Call) -> list[Metric]:
    """Of the process that answers this."""
    return [
        gauge("partita_web_resident_bytes", "Memory of the web process, at its highest", _peak_bytes()),
        _counter("partita_web_cpu_seconds_total", "Processor time of the web process", round(sum(os.times()[:2]), 3)),
        gauge("partita_web_listeners", "Clients of live streams and waits", call.follower.listeners),
        *call.links.measurements.metrics(),
    ]


def _limits(limits: Iterable[LimitState]) -> list[Metric]:
    """How full limits are, by kind: names of pools are people's."""
    slots: dict[str, int] = {}
    used: dict[str, int] = {}
    waiting: dict[str, int] = {}
    full: dict[str, int] = {}
    for limit in limits:
        slots[limit.of] = slots.get(limit.of, 0) + (limit.slots or 0)
        used[limit.of] = used.get(limit.of, 0) + limit.used
        waiting[limit.of] = waiting.get(limit.of, 0) + limit.waiting
        full[limit.of] = full.get(limit.of, 0) + (limit.slots is not None and limit.used >= limit.slots)
    return [
        _by("partita_limit_slots", "Slots of all limits of a kind", "of", slots),
        _by("partita_limit_used", "Slots of them that are taken", "of", used),
        _by("partita_limit_waiting", "Steps and runs that wait for one", "of", waiting),
        _by("partita_limits_full", "Limits of a kind that are full", "of", full),
    ]


def _by(name: str, help: str, label: str, values: dict[str, int]) -> Metric:
    return Metric(name, "gauge", help, tuple(("", {label: key}, value) for key, value in sorted(values.items())))


def _counter(name: str, help: str, value: float) -> Metric:
    return Metric(name, "counter", help, (("", {}, value),))


def _age(at: float | None, now: float) -> float:
    return 0.0 if at is None else round(max(0.0, now - at), 3)


def _store_bytes(home: Home) -> int:
    # How much a server's database takes, the server's own metrics say.
    files = (home.db, home.db.with_name(home.db.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
