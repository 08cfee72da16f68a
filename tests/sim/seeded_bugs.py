"""Bugs made on purpose: each is one that a system like this has had, or one that the simulation has found in this one.

The exam (`exam.py`) puts each into a copy of the sources and looks whether the simulation finds it.

Rule: the old text stands exactly once in its file, else the exam fails: a bug that cannot be made any more proves nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """One place that is changed; `file` is under src/partita."""

    file: str
    old: str
    new: str


class Bug(NamedTuple):
    """One seeded bug. A critical one loses, repeats or invents work; all of them must be found."""

    name: str
    critical: bool
    edits: tuple[Edit, ...]


def _bug(name: str, file: str, old: str, new: str, *, critical: bool = False) -> Bug:
    return Bug(name, critical, (Edit(file, old, new),))


_LEASES = (
    _bug(
        "the store does not check the epoch",
        "store/memory.py",
        "            check_epoch(self._leases.get(ENGINE), epoch)\n",
        "            pass\n",
        critical=True,
    ),
    _bug(
        "a take-over keeps the epoch",
        "store/leases.py",
        "epoch=known.epoch + (not held)",
        "epoch=known.epoch",
        critical=True,
    ),
    _bug(
        "a lease that is held is given to another one",
        "store/leases.py",
        "    if held and known.holder != holder:",
        "    if held and known.holder == '':",
        critical=True,
    ),
    _bug(
        "the lease is never renewed",
        "engine/tenure.py",
        "        if not at_once and self.renew_at - self._lease_s <= now < self.renew_at:",
        "        if now > 0:",
    ),
    _bug(
        "a backward jump of the clock puts the renewal off",
        "engine/tenure.py",
        "        if not at_once and self.renew_at - self._lease_s <= now < self.renew_at:",
        "        if not at_once and now < self.renew_at:",
    ),
    _bug(
        "tickets are handed out without another look at the lease",
        "engine/loop.py",
        "        if (self._starts or self._kills) and not self._has_lease():",
        "        if not self._starts and self._kills and not self._has_lease():",
        critical=True,
    ),
    _bug(
        "an engine that wakes takes the lease after others had it, and goes on",
        "engine/tenure.py",
        "        if lease.epoch not in (self.epoch, self.epoch + 1):",
        "        if lease.epoch < 0:",
        critical=True,
    ),
)

_DURABILITY = (
    _bug(
        "tickets are handed out before the commit",
        "engine/loop.py",
        "        self._dirty.clear()\n        return self._commit()",
        "        self._dirty.clear()\n        self._act()\n        return self._commit()",
        critical=True,
    ),
    _bug(
        "a request is acknowledged before it is committed",
        "engine/loop.py",
        "        if self._uncommitted:\n            # It",
        "        if self._uncommitted and self.blocked == 'never':\n            # It",
        critical=True,
    ),
    _bug(
        "the graph is written after the run",
        "engine/loop.py",
        "            self.store.put_graph(run.graph, encode_graph(graph), epoch=self.epoch)\n"
        "            self._graphs.add(run.graph)\n"
        "        try:\n"
        "            self._write([RunCommit(run.run, 1, run.at, (run, *reused))])\n",
        "            self._graphs.add(run.graph)\n"
        "        try:\n"
        "            self._write([RunCommit(run.run, 1, run.at, (run, *reused))])\n"
        "            self.store.put_graph(run.graph, encode_graph(graph), epoch=self.epoch)\n",
        critical=True,
    ),
    _bug(
        "what could not be written for lack of space is dropped",
        "engine/loop.py",
        "            self.blocked = str(error)\n            return True",
        "            self.blocked = str(error)\n            self._uncommitted = []\n            return True",
        critical=True,
    ),
    _bug(
        "a full disk at the renewal of the lease stops the engine",
        "engine/loop.py",
        "            self.blocked = str(error)\n            return\n",
        "            raise\n",
    ),
    _bug(
        "an engine that could not renew its lease never starts anything again",
        "engine/loop.py",
        '        if renewed and not self._uncommitted:\n            self.blocked = ""',
        "        if renewed and not self._uncommitted:\n            self.blocked = self.blocked",
    ),
    _bug(
        "the end of a step is not journaled",
        "core/moves.py",
        "    course.journal.append(StepEnded(course.at, instance.node.key, instance.index, state, reason, because))\n",
        "",
        critical=True,
    ),
    _bug(
        "a retry is not journaled",
        "core/moves.py",
        "    instance.reason = reason\n    course.journal.append(\n        StepRetried(",
        "    instance.reason = reason\n    [].append(\n        StepRetried(",
        critical=True,
    ),
    _bug(
        "a run that is asked for twice is made twice",
        "store/memory.py",
        "        if taken is not None:",
        "        if taken is not None and taken == run:",
        critical=True,
    ),
)

_OUTCOMES = (
    _bug(
        "the machine does not check attempt, epoch and openness of an outcome",
        "core/machine.py",
        "        if instance is None or not instance.open or event.attempt != instance.attempt"
        " or event.epoch != instance.epoch:",
        "        if instance is None:",
        critical=True,
    ),
    _bug(
        "an attempt starts in any state of its step",
        "core/machine.py",
        '        if instance.state != "ready" or not is_next:',
        "        if instance.state == 'waiting' and not is_next:",
        critical=True,
    ),
    _bug(
        "a step is retried after the cancel",
        "core/outcomes.py",
        "    gives_up = bool(course.ending) and not instance.node.step.teardown_of",
        "    gives_up = False",
        critical=True,
    ),
    _bug(
        "a lost attempt counts as a failure of the user's",
        "core/outcomes.py",
        "    if event.state not in INFRA_FAILURE:\n        instance.failures += 1",
        "    if event.state not in ():\n        instance.failures += 1",
    ),
    _bug(
        "failures are not counted",
        "core/outcomes.py",
        "        instance.failures += 1\n",
        "        instance.failures += 0\n",
    ),
    _bug(
        "losses are not counted",
        "core/outcomes.py",
        "        losses = instance.losses = instance.losses + 1",
        "        losses = instance.losses + 1",
    ),
    _bug(
        "a step that must not run twice is retried when it is lost",
        "core/retry.py",
        """    if state == "lost" and policies.on_lost == "fail":""",
        """    if state == "lost" and policies.on_lost == "never":""",
        critical=True,
    ),
    _bug(
        "a failed attempt publishes its asset",
        "core/outcomes.py",
        "    else:\n        _fail(course, instance, event)\n",
        "    else:\n        _record_assets(course, instance, event)\n        _fail(course, instance, event)\n",
        critical=True,
    ),
    _bug(
        "a success does not publish its asset",
        "core/outcomes.py",
        "    _record_assets(course, instance, event)\n    moves.succeed(course, instance)",
        "    moves.succeed(course, instance)",
        critical=True,
    ),
    _bug(
        "a failed check does not fail its step",
        "core/outcomes.py",
        "    if failed is not None:\n",
        "    if failed is not None and failed.passed:\n",
    ),
    _bug(
        "the end of a double outcome releases its slots twice",
        "engine/loop.py",
        "            self.admission.release(opened.lane)\n",
        "            self.admission.release(opened.lane)\n"
        "            opened.lane.asks and opened.instance.past and self.admission.release(opened.lane)\n",
        critical=True,
    ),
    _bug(
        "the end of an attempt does not release its slots",
        "engine/loop.py",
        "            self.admission.release(opened.lane)\n",
        "",
    ),
)

_JOINS = (
    _bug(
        "a step is decided one need too early",
        "core/joining.py",
        "        if user.open_needs == 0:\n            decide(course, user)",
        "        if user.open_needs <= 1:\n            decide(course, user)",
        critical=True,
    ),
    _bug(
        "any_failed is evaluated at the first end",
        "core/rules.py",
        '    "any_failed": frozenset({"failed", "upstream_failed", "cancelled", "needs_attention"}),',
        '    "any_failed": frozenset({"succeeded", "failed", "upstream_failed", "cancelled", "needs_attention"}),',
    ),
    _bug(
        "a reduce does not wait for the last instance of its map",
        "core/settling.py",
        "    group.count(state)\n    if group.open == 0:",
        "    group.count(state)\n    if group.open <= 1:",
        critical=True,
    ),
    _bug(
        "a map does not wait for its source",
        "core/unfolding.py",
        "        if instance is None or not instance.settled:",
        "        if instance is None:",
        critical=True,
    ),
    _bug(
        "a map has one element less",
        "core/unfolding.py",
        "    _unfold(course, axis, prefix, 0, lengths[0])",
        "    _unfold(course, axis, prefix, 0, min(lengths[0], 4))",
        critical=True,
    ),
    _bug(
        "a loop never ends for those who wait for it",
        "core/unfolding.py",
        "        _recount(course, node, prefix, -1)",
        "        _recount(course, node, prefix, 0)",
    ),
    _bug(
        "a loop has one round too many",
        "core/unfolding.py",
        "round_no + 1 < loop.limit and",
        "round_no < loop.limit and",
    ),
    _bug(
        "the other branch is taken",
        "core/joining.py",
        "        if (choice in guard.choices) == guard.unless:",
        "        if (choice in guard.choices) != guard.unless:",
        critical=True,
    ),
    _bug(
        "an end is not told to those who wait",
        "core/settling.py",
        "        if edge.depth <= len(path):",
        "        if edge.depth <= len(path) and state != 'skipped':",
    ),
    _bug(
        "the run ends while attempts are open",
        "core/machine.py",
        '        if self.unended == 0 and self.state == "running":',
        '        if self.unended <= 1 and self.state == "running":',
        critical=True,
    ),
    _bug(
        "members of a bundle that is over stay as they are",
        "core/bundles.py",
        '        elif is_over and member.state == "ready":',
        '        elif is_over and member.state == "running":',
    ),
    _bug(
        "a member is made again without the one that it needs",
        "core/bundles.py",
        "    if not is_over:\n        _end_hopeless(course, bundle)\n",
        "",
        critical=True,
    ),
    _bug(
        "a bundle succeeds although a member failed before its last attempt",
        "core/outcomes.py",
        "    if instance.node.members and (before := failed_before(instance)):",
        "    if not instance.node.members and (before := failed_before(instance)):",
    ),
)

_REQUESTS = (
    _bug(
        "a paused run goes on",
        "core/moves.py",
        "    if course.paused and not course.ending:",
        "    if course.paused and course.ending:",
    ),
    Bug(
        "a cancel does not keep steps from starting",
        True,
        (
            Edit("core/moves.py", "    course.ending = reason\n", "    course.ending = ''\n"),
            Edit(
                "core/moves.py",
                "            if bundle is None or not bundle.open:\n                end(course",
                "            if bundle is not None and not bundle.open:\n                end(course",
            ),
        ),
    ),
    _bug(
        "a cancel does not end what runs",
        "core/moves.py",
        "            if instance.node.bundle is None and not instance.node.step.teardown_of:\n",
        "            if instance.node.bundle is not None and not instance.node.step.teardown_of:\n",
    ),
    _bug(
        "a cancel takes the teardowns with it",
        "core/moves.py",
        "        elif instance.state not in TERMINAL_STEP and not instance.node.step.teardown_of:",
        "        elif instance.state not in TERMINAL_STEP:",
    ),
    _bug(
        "a run does not end at its first failure though it should",
        "core/moves.py",
        "    if state in _BAD and step.counts and course.run.fail_fast and not course.ending:",
        "    if state in _BAD and step.counts and course.run.fail_fast and course.ending:",
    ),
    Bug(
        "after the first failure steps start that get ready later",
        False,
        (
            Edit(
                "core/moves.py",
                "    if course.ending and not instance.node.step.teardown_of:\n        end(",
                "    if course.cancel_requested and not instance.node.step.teardown_of:\n        end(",
            ),
            Edit(
                "core/joining.py",
                "    if course.ending and not step.teardown_of:\n        moves.end(",
                "    if course.cancel_requested and not step.teardown_of:\n        moves.end(",
            ),
            Edit(
                "core/moves.py",
                '                end(course, instance, "cancelled", reason)\n',
                '                course.cancel_requested and end(course, instance, "cancelled", reason)\n',
            ),
        ),
    ),
    _bug(
        "a run never runs out of its time",
        "engine/loop.py",
        "            if instance is None:\n                self._apply(run, TimerDue(now))",
        "            if instance is None:\n                pass",
    ),
    _bug(
        "results that were taken over are made again",
        "engine/loop.py",
        "        active = self._activate(row.no, run, graph, known, seq=1)",
        "        active = self._activate(row.no, run, graph, [], seq=1)",
        critical=True,
    ),
    _bug(
        "a rerun from one step takes over what stands beside a failure",
        "engine/rerun.py",
        "            if instance.state not in _KEPT or (again is not None and _is_chosen(instance, again)):",
        "            if (instance.state not in _KEPT and again is None) or (again and _is_chosen(instance, again)):",
    ),
    _bug(
        "the limit of runs at once is not kept",
        "core/run_queue.py",
        "            if capacity is not None and used >= capacity:",
        "            if capacity is not None and used > capacity:",
    ),
    _bug(
        "a run that has ended still counts as running",
        "core/run_queue.py",
        "            left = self.used[key] - 1",
        "            left = self.used[key] - 0",
    ),
)

_ADMISSION = (
    _bug(
        "a full pool lets one more in",
        "core/admission.py",
        "            if used + n > capacity:",
        "            if used > capacity:",
        critical=True,
    ),
    _bug(
        "a slot that becomes free wakes nobody",
        "core/admission.py",
        "            if key in self._parked:\n                self._unpark(key)",
        "            if key not in self._parked:\n                self._unpark(key)",
    ),
    _bug(
        "a lane that was woken for nothing does not pass it on",
        "core/admission.py",
        "                    self._pass_on(lane, None)\n",
        "                    lane.woken_for = None\n",
    ),
    _bug(
        "room that was kept for a step is kept when it has started",
        "core/admission.py",
        "        if self._promised is lane:\n            self._break_promise()\n\n    def release",
        "\n    def release",
    ),
    _bug(
        "an attempt with more memory takes as much of the machine as the first one",
        "engine/active.py",
        "            asks.extend(placement.asks(policies))\n",
        "            asks.extend(placement.asks(step.policies))\n",
        critical=True,
    ),
    _bug(
        "a restart forgets that a step ran out of memory",
        "core/known.py",
        "    instance.failures = known.failures - instance.grown\n",
        "    instance.grown = 0\n    instance.failures = known.failures\n",
        critical=True,
    ),
    _bug(
        "an attempt that ran out of memory gets no more of it",
        "core/outcomes.py",
        "        instance.grown += 1\n        moves.try_again",
        "        moves.try_again",
        critical=True,
    ),
    _bug(
        "a step that was paused stands in the queue twice",
        "core/admission.py",
        "        if not instance.queued:\n",
        "        if not instance.queued or instance.offered:\n",
    ),
    _bug(
        "a retry does not wait for its time",
        "engine/loop.py",
        "                if instance.not_before > self.clock.now():",
        "                if instance.not_before > self.clock.now() + 1e9:",
    ),
)

_RESTARTS = (
    _bug(
        "a restart forgets the pause",
        "engine/loop.py",
        "        if row.paused:\n",
        "        if row.paused and row.cancel_requested:\n",
        critical=True,
    ),
    _bug(
        "a restart forgets the cancel",
        "engine/loop.py",
        "        if row.cancel_requested:\n",
        "        if row.cancel_requested and row.paused:\n",
        critical=True,
    ),
    _bug(
        "a restart forgets open attempts",
        "engine/loop.py",
        "        left += self._left_open(active)\n",
        "        self._left_open(active)\n",
        critical=True,
    ),
    _bug(
        "an adopted attempt takes no slot",
        "engine/loop.py",
        "            number = next(self._counter)\n            self.admission.take(lane)\n            self._open[number] ="
        " _Open(active, instance, lane)",
        "            number = next(self._counter)\n            self._open[number] = _Open(active, instance, lane)",
    ),
    _bug(
        "an adopted attempt is started again",
        "core/known.py",
        "    elif known.epoch is not None:\n",
        "    elif known.epoch is not None and known.dispatched:\n",
        critical=True,
    ),
    _bug(
        "a restart forgets when a retry is due",
        "core/known.py",
        "        instance.not_before = known.not_before",
        "        instance.not_before = 0.0",
    ),
    _bug(
        "a restart forgets how often a step failed",
        "core/known.py",
        "    instance.failures = known.failures",
        "    instance.failures = 0",
    ),
    _bug(
        "a restart forgets how often a step was lost",
        "core/known.py",
        "    instance.losses = known.losses",
        "    instance.losses = 0",
    ),
    _bug(
        "a restart forgets that a loop goes on",
        "core/known.py",
        "    instance.again = known.again",
        "    instance.again = None",
    ),
    _bug(
        "a restart forgets which branch was chosen",
        "core/known.py",
        "    instance.choice = known.choice",
        "    instance.choice = None",
    ),
    _bug(
        "a restart starts the run once more",
        "engine/loop.py",
        "        machine.journal = [e for e in machine.journal if not isinstance(e, RunStarted)]\n",
        "",
    ),
    _bug(
        "a restart forgets that the run is out of its time",
        "engine/loop.py",
        "        self._apply(active, TimerDue(max(self.clock.now(), seen)))",
        "        self._apply(active, TimerDue(0.0))",
    ),
    _bug(
        "a restart drops runs that are queued",
        "engine/loop.py",
        "            if not row.paused:\n                self.queue.offer(active.waiting)\n",
        "",
    ),
)

_GATES = (
    _bug(
        "a gate that opens asks for no wake-up",
        "core/waiting.py",
        "        heapq.heappush(course.alarms, (at, step, index))\n        _ask_for_wake(course)\n",
        "        heapq.heappush(course.alarms, (at, step, index))\n",
        critical=True,
    ),
    _bug(
        "after one wake-up no other gate asks for the next",
        "core/waiting.py",
        "    if course.wakes_at <= course.at:\n        course.wakes_at = math.inf\n    _ask_for_wake(course)\n",
        "",
        critical=True,
    ),
    _bug(
        "a restart forgets the deadline of a gate",
        "engine/restore.py",
        "KnownGate(g.opened_at, g.due_at,",
        "KnownGate(g.opened_at, None,",
    ),
    _bug(
        "a restart opens a gate once more",
        "core/known.py",
        "    gate.opened_at = known.opened_at\n",
        "",
    ),
    Bug(
        "a gate is given up before its time",
        False,
        (
            Edit(
                "core/waiting.py",
                "    while alarms and alarms[0][0] <= course.at:",
                "    while alarms and alarms[0][0] <= course.at + 60.0:",
            ),
            Edit(
                "core/waiting.py",
                "        if at is not None and at > course.at:",
                "        if at is not None and at > course.at + 60.0:",
            ),
        ),
    ),
    _bug(
        "a gate that was withdrawn stays open",
        "core/moves.py",
        "    course.gates.pop((instance.node.key, instance.index), None)\n",
        "",
        critical=True,
    ),
    _bug(
        "one answer is enough, whatever the quorum",
        "core/gates.py",
        "if counts[choice] >= spec.quorum",
        "if counts[choice] >= 1",
    ),
    _bug(
        "a rejection needs a quorum too",
        "core/waiting.py",
        "    is_rejected = choice in spec.rejecting and spec.on_reject",
        "    is_rejected = choice in spec.rejecting and spec.quorum > 1 and spec.on_reject",
    ),
)

BUGS: tuple[Bug, ...] = (*_LEASES, *_DURABILITY, *_OUTCOMES, *_JOINS, *_REQUESTS, *_ADMISSION, *_RESTARTS, *_GATES)
