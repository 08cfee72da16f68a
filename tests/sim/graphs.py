"""Random graphs that are valid: maps (known and not), nested maps, loops, branches, joins, retries, teardowns, bundles."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from partita.core import plain
from partita.core.graph import (
    AllOf,
    AnyOf,
    Axis,
    Carry,
    Condition,
    Const,
    Element,
    GateSpec,
    Graph,
    Guard,
    Is,
    ListOf,
    Loop,
    Not,
    Output,
    Step,
    When,
)
from partita.core.policies import Policies, Retry

from .fates import CHOICES

RULES = (
    "all_failed",
    "all_done",
    "all_done_any_succeeded",
    "any_succeeded",
    "any_failed",
    "any_done",
    "none_failed",
    "none_skipped",
    "none_failed_any_succeeded",
    "all_skipped",
    "always",
)


class _Builder:
    def __init__(self, rng: Random, *, may_be_lost: bool) -> None:
        self.rng = rng
        # What a lost attempt may mean: with "retry" alone nothing is lost for good.
        self.on_lost = ("retry", "retry", "retry", "fail", "ask") if may_be_lost else ("retry",)
        self.steps: list[Step] = []
        self.axes: list[Axis] = []

    def policies(self) -> Policies:
        rng = self.rng
        retries = rng.choice((0, 0, 1, 3))
        return Policies(
            retry=Retry(limit=retries, delays_s=(rng.choice((0.0, 5.0, 60.0)),), jitter=rng.choice(("none", "full"))),
            timeout_s=rng.choice((None, None, 30.0)),
            pools=(("db", rng.choice((1, 2))),) if rng.random() < 0.2 else (),
            priority=rng.choice((0, 0, 0, 5, -3)),
            limit_per_run=rng.choice((None, None, None, 2)),
            on_lost=rng.choice(self.on_lost),
            lost_limit=50 if len(self.on_lost) == 1 else rng.choice((0, 1, 50)),
        )

    def key(self) -> str:
        return f"s{len(self.steps)}"

    def some_needs(self) -> tuple[str, ...]:
        candidates = [s.key for s in self.steps if s.kind != "member"]
        count = min(len(candidates), self.rng.choice((0, 1, 1, 2, 3)))
        return tuple(self.rng.sample(candidates, count))

    def add(self, **fields: object) -> Step:
        fields.setdefault("key", self.key())
        fields.setdefault("policies", self.policies())
        step = Step(**fields)  # type: ignore[arg-type]
        self.steps.append(step)
        return step

    def plain_step(self) -> None:
        needs = self.some_needs()
        when: When = "all_succeeded"
        if needs and self.rng.random() < 0.3:
            when = self.rng.choice(RULES) if self.rng.random() < 0.75 else self.condition(needs)
        args = tuple((f"a{i}", Output(n)) for i, n in enumerate(needs) if self.rng.random() < 0.5)
        self.add(needs=needs, when=when, args=args)

    def condition(self, needs: tuple[str, ...]) -> Condition:
        """Something about how some of the needs ended."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            return Is(rng.choice(needs), rng.choice(("succeeded", "failed", "skipped", "done")))
        if kind < 0.65:
            return Not(self.condition(needs))
        items = tuple(self.condition(needs) for _ in range(2))
        return AllOf(items) if kind < 0.8 else AnyOf(items)

    def known_map(self) -> None:
        key = self.key()
        items = tuple(Const(plain.pack(i)) for i in range(self.rng.choice((0, 1, 3, 8, 20))))
        self.axes.append(Axis(key, (ListOf(items),)))
        self.add(key=key, axes=(key,), args=(("x", Element(key)),), needs=self.some_needs())
        self.after_map(key)

    def run_time_map(self) -> None:
        source = self.add(needs=self.some_needs()).key
        key = self.key()
        self.axes.append(Axis(key, (Output(source),)))
        self.add(key=key, axes=(key,), args=(("x", Element(key)),), needs=(source,))
        self.after_map(key)

    def zipped_map(self) -> None:
        """Two lists side by side; now and then of unequal lengths."""
        source = self.add(needs=self.some_needs()).key
        items = ListOf(tuple(Const(plain.pack(i)) for i in range(self.rng.choice((1, 2, 5)))))
        other = self.rng.choice((items, Output(self.add(needs=self.some_needs()).key)))
        key = self.key()
        self.axes.append(Axis(key, (Output(source), other)))
        needs = (source, *((other.step,) if isinstance(other, Output) else ()))
        self.add(key=key, axes=(key,), args=(("x", Element(key)), ("y", Element(key, 1))), needs=needs)
        self.after_map(key)

    def after_map(self, mapped: str) -> None:
        if self.rng.random() < 0.6:
            self.add(axes=(mapped,), args=(("x", Output(mapped)),), needs=(mapped,))
        if self.rng.random() < 0.4:
            inner = self.key()
            self.axes.append(Axis(inner, (Output(mapped),), outer=(mapped,)))
            self.add(key=inner, axes=(mapped, inner), args=(("x", Element(inner)),), needs=(mapped,))
            if self.rng.random() < 0.5:
                self.add(axes=(mapped,), args=(("xs", Output(inner)),), needs=(inner,))
        if self.rng.random() < 0.2:
            # A map over all that a map has made.
            again = self.key()
            self.axes.append(Axis(again, (Output(mapped),)))
            self.add(key=again, axes=(again,), args=(("x", Element(again)),), needs=(mapped,))
        if self.rng.random() < 0.7:
            self.add(
                args=(("xs", Output(mapped)),), needs=(mapped,), when=self.rng.choice(("all_succeeded", "all_done"))
            )

    def branch(self) -> None:
        decider = self.add(needs=self.some_needs(), reports_choice=True).key
        for arm in range(2):
            self.add(needs=(decider,), guards=(Guard(decider, (CHOICES[arm],)),))
        arms = tuple(s.key for s in self.steps[-2:])
        self.add(needs=arms, when="none_failed_any_succeeded")

    def loop(self) -> None:
        start = self.add(needs=self.some_needs()).key
        axis = f"loop{len(self.axes)}"
        first = self.add(axes=(axis,), args=(("state", Carry(axis)),), needs=(start,)).key
        decider = self.add(axes=(axis,), args=(("x", Output(first)),), needs=(first,), reports_again=True).key
        self.axes.append(
            Axis(
                axis,
                (Output(start),),
                loop=Loop(decider, self.rng.choice((1, 3, 6)), self.rng.choice(("succeed", "fail"))),
            )
        )
        self.add(args=(("x", Output(decider, last=True)),), needs=(decider,))

    def setup_and_teardown(self) -> None:
        setup = self.add(needs=self.some_needs()).key
        work = self.add(needs=(setup,)).key
        self.add(
            needs=(setup, work), when="all_done_setup_succeeded", teardown_of=(setup,), counts=self.rng.random() < 0.3
        )

    def bundle(self) -> None:
        before = self.some_needs()
        bundle = self.key()
        self.add(key=bundle, kind="bundle")
        members: list[str] = []
        for _ in range(self.rng.choice((1, 3, 5))):
            inside = tuple(self.rng.sample(members, min(len(members), self.rng.choice((0, 1, 2)))))
            outside = tuple(n for n in before if self.rng.random() < 0.5)
            members.append(self.add(kind="member", bundle=bundle, needs=(*inside, *outside), asset=self.key()).key)
        self.add(needs=(self.rng.choice(members),))


def random_graph(rng: Random, *, may_be_lost: bool = True) -> Graph:
    """A graph of a few to a few dozen steps."""
    builder = _Builder(rng, may_be_lost=may_be_lost)
    kinds = (
        builder.plain_step,
        builder.plain_step,
        builder.plain_step,
        builder.known_map,
        builder.run_time_map,
        builder.zipped_map,
        builder.branch,
        builder.loop,
        builder.setup_and_teardown,
        builder.bundle,
    )
    for _ in range(rng.randint(2, 14)):
        rng.choice(kinds)()
    _add_gates(builder)
    _add_sizes(builder)
    return Graph("random", tuple(builder.steps), tuple(builder.axes))


def _add_gates(builder: _Builder) -> None:
    """Steps that wait, in a third of the graphs. By a seed of their own, so the rest of the graph is as it was without them.

    Each has a deadline at the latest, so that nothing waits for somebody who never comes.
    """
    rng = Random(f"gates {[(s.key, s.needs) for s in builder.steps]}")
    if rng.random() > 0.33:
        return
    builder.rng = rng
    for _ in range(rng.randint(1, 4)):
        spec, args = _gate(rng)
        if rng.random() < 0.3:
            key = builder.key()
            items = tuple(Const(plain.pack(i)) for i in range(rng.choice((1, 3, 8))))
            builder.axes.append(Axis(key, (ListOf(items),)))
            builder.add(key=key, kind="gate", gate=spec, args=args, axes=(key,), needs=builder.some_needs())
        else:
            needs = builder.some_needs()
            when: When = (
                rng.choice(("all_succeeded", "all_done", "any_done", "all_succeeded")) if needs else "all_succeeded"
            )
            key = builder.add(kind="gate", gate=spec, args=args, needs=needs, when=when).key
        builder.add(needs=(key,), args=(("x", Output(key)),))


def _add_sizes(builder: _Builder) -> None:
    """What steps take of the machine, in a third of the graphs; by a seed of their own, too.

    Nothing asks for more than the machine has, also when its memory has grown (`world.POOLS`).
    """
    rng = Random(f"sizes {[(s.key, s.needs) for s in builder.steps]}")
    if rng.random() > 0.33:
        return
    for i, step in enumerate(builder.steps):
        if step.kind == "task" and rng.random() < 0.5:
            memory = rng.choice((None, 1, 2, 4))
            policies = replace(
                step.policies,
                cpu=rng.choice((0.0, 1.0, 2.0, 3.0)),
                memory_bytes=memory,
                memory_on_oom=rng.choice((1.0, 2.0)) if memory else 1.0,
                memory_cap_bytes=None if memory == 1 and rng.random() < 0.3 else 6,
            )
            builder.steps[i] = replace(step, policies=policies)


def _gate(rng: Random) -> tuple[GateSpec, tuple[tuple[str, Const], ...]]:
    if rng.random() < 0.4:
        return GateSpec("timer"), (("for", Const(plain.pack(rng.choice((0.0, 1.0, 30.0, 300.0))))),)
    timeout_s, on_timeout = rng.choice((20.0, 120.0)), rng.choice(("default", "default", "fail", "skip"))
    if rng.random() < 0.5:
        return GateSpec(
            "external", timeout_s=timeout_s, on_timeout=on_timeout, heartbeat_s=rng.choice((None, 500.0))
        ), ()
    return (
        GateSpec(
            "approval",
            choices=("approve", "reject"),
            rejecting=("reject",),
            quorum=rng.choice((1, 1, 2)),
            timeout_s=timeout_s,
            on_timeout=on_timeout,
            default="approve" if on_timeout == "default" else "",
            on_reject=rng.choice(("fail", "skip")),
        ),
        (),
    )
