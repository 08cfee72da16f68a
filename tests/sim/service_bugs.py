"""Bugs of the service made on purpose, for the exam (`exam.py`): each breaks a promise about ticks, sensors, backfills,
messages or limits, and the simulated service has to find it.

Rule: as in `seeded_bugs.py`: the old text stands exactly once in its file.
"""

from __future__ import annotations

from .seeded_bugs import Bug, Edit


def _bug(name: str, file: str, old: str, new: str, *, critical: bool = False) -> Bug:
    return Bug(name, critical, (Edit(file, old, new),))


SERVICE_BUGS: tuple[Bug, ...] = (
    _bug(
        "an edit of a schedule decides again what is decided",
        "engine/ticker.py",
        "schedule.instants().after(int(max(now, schedule.row.last_at or now)))",
        "schedule.instants().after(int(now))",
        critical=True,
    ),
    _bug(
        "an edit of a schedule fires for the past",
        "engine/ticker.py",
        "row = known.row = msgspec.structs.replace(row, effective_from=now, next_at=None)",
        "row = known.row = msgspec.structs.replace(row, effective_from=now - 7200.0, next_at=None)",
        critical=True,
    ),
    _bug(
        "an edit drops what was due and not decided",
        "engine/ticker.py",
        "        if anew and row.active and not row.paused:\n",
        "        if anew and row.active and row.paused:\n",
        critical=True,
    ),
    _bug(
        "a paused schedule fires",
        "engine/ticker.py",
        "if not row.active or row.paused or row.project not in self._catalog.manifests:",
        "if not row.active or row.project not in self._catalog.manifests:",
        critical=True,
    ),
    _bug(
        "what came in a pause is forgotten",
        "engine/ticker.py",
        '            self._skip_pending(schedule, now, f"it was paused{why}")\n',
        "",
    ),
    _bug(
        "a schedule that is declared no more goes on firing",
        "engine/ticker.py",
        "                schedule.token += 1\n                self._change(schedule, now, active=False",
        "                self._change(schedule, now, active=False",
    ),
    _bug(
        "overlap is forgotten by a restart",
        "engine/ticker.py",
        "                schedule.running.add(run.id)\n        self._started = True",
        "                pass\n        self._started = True",
    ),
    _bug(
        "a tick is recorded without its run",
        "engine/ticker.py",
        "            self._engine.create(graph, run)\n        except OriginTaken",
        "            self._engine.create(graph, run) if row.spec.catchup != 'all' else None\n        except OriginTaken",
        critical=True,
    ),
    _bug(
        "the next instant is not stored with the decision",
        "store/schedules.py",
        '    execute("move_schedule_after_tick", (fact.next_at, last, fact.decision, fact.at, fact.namespace, fact.name))\n',
        "",
        critical=True,
    ),
    _bug(
        "the hiccup of a minute is taken for a miss",
        "core/scheduling.py",
        "    kept = {tick for tick in due if late[tick] <= HICCUP_S}\n",
        "    kept = {tick for tick in due if late[tick] < 0}\n",
    ),
    _bug(
        "a cursor moves alone",
        "engine/sensing.py",
        "            requests = self._requesting.make(sensor, found.requests, now)\n",
        "            requests = self._requesting.make(sensor, found.requests[:3], now)\n",
        critical=True,
    ),
    _bug(
        "a key of a sensor is not kept",
        "engine/requesting.py",
        'requests += [Requested(key, created.run, run.pipeline) for key in new or ("",)]',
        "requests += [Requested(key + '!', created.run, run.pipeline) for key in new or (\"\",)]",
        critical=True,
    ),
    _bug(
        "a sensor that failed before a restart never looks again",
        "engine/sensing.py",
        "        elif sensor.next_at == NEVER:\n",
        "        elif sensor.next_at != sensor.next_at:\n",
        critical=True,
    ),
    _bug(
        "ends of runs are not heard of again after a restart",
        "engine/sensing.py",
        "        self._hearing.catch_up(self._hearers)\n        self._hearing.bookmark",
        "        self._hearing.bookmark",
        critical=True,
    ),
    _bug(
        "a webhook is acknowledged before it is durable",
        "engine/hooks.py",
        "        self._staged[known] = Future()\n        return self._staged[known]",
        '        self._staged[known] = Future()\n        return DeliveryAnswer("accepted", delivery)',
    ),
    _bug(
        "deliveries that waited are lost by a restart",
        "engine/sensing.py",
        'if sensor.spec.of == "webhook" and not sensor.told:',
        'if sensor.spec.of == "webhook" and sensor.told:',
        critical=True,
    ),
    _bug(
        "a part of a backfill is started twice",
        "core/backfill_course.py",
        '        self._set(part, "running")\n',
        "        self.counts['running'] += part.part % 2\n",
        critical=True,
    ),
    _bug(
        "a backfill goes on while it is paused",
        "core/backfill_course.py",
        "return 0 if self.paused or self.cancelled else",
        "return 0 if self.cancelled else",
    ),
    _bug(
        "what became of a backfill's runs while no engine was there is not looked at",
        "engine/backfills.py",
        "                self._look_after(backfill, run)\n        self._due = 0.0",
        "                pass\n        self._due = 0.0",
        critical=True,
    ),
    _bug(
        "two runs of a partition run at once",
        "core/run_queue.py",
        'capacity = self.capacity.get(key, 1 if key[0] == "partition" else None)\n            used',
        "capacity = self.capacity.get(key)\n            used",
    ),
    _bug(
        "a rate is not kept over a restart",
        "engine/limits.py",
        "            rate.start_full(self._kept_until)\n",
        "            pass\n",
    ),
    _bug(
        "limits hold only when projects are loaded",
        "engine/limits.py",
        "{**self._known, **self._catalog.manifests}.values()",
        "dict(self._catalog.manifests).values()",
    ),
    _bug(
        "those who wait for a rate are not woken",
        "core/admission.py",
        "                    self._rate_wakes[key] = self.rates[key].free_at(1)\n",
        "                    pass\n",
        critical=True,
    ),
    _bug(
        "a message is given up at its first failure",
        "engine/notify.py",
        "        if came.error and row.tries < len(RETRIES_S):",
        "        if came.error and row.tries < 0:",
    ),
    _bug(
        "the outbox is not taken up after a restart",
        "engine/notify.py",
        "        self._unsent = {row.key: row for row in messages.unsent(self._store)}\n",
        "",
        critical=True,
    ),
    _bug(
        "what happened before a crash is not told",
        "engine/notify.py",
        "            self._catch_up(read)\n",
        "            self._note_read()\n",
        critical=True,
    ),
    _bug(
        "a request whose commit failed leaves the engine going on",
        "engine/loop.py",
        "            self._broken = None if isinstance",
        "            self._broken = None if error or isinstance",
        critical=True,
    ),
)
