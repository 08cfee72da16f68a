"""The algebra of automation: for which partitions a condition holds, what wakes it, and what it remembers."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from partita.core import automation as a
from partita.core.automation import Condition, Tree
from partita.core.automaton import Automaton
from partita.core.ledger import Ledger
from partita.core.manifest import AssetSpec, DepSpec, PartitionSpec
from partita.core.staleness import Made

DAY = PartitionSpec("daily", start="2026-01-01")
HOUR = PartitionSpec("hourly", start="2026-01-01")
REGIONS = PartitionSpec("static", keys=("eu", "us", "jp"))
MISSING, NEWER = a.State("missing"), a.State("upstream_newer")


def instant(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


class World:
    """Assets of one project, driven by hand. What was asked for is made at once by `make_all`."""

    def __init__(self, *specs: AssetSpec, now: str = "2026-01-04T12:00", **conditions: Condition) -> None:
        self.now = instant(now)
        self.specs, self.conditions = specs, conditions
        self.no = 0
        self.rows: dict[str, dict[str, Made]] = {}
        self.automaton = self.build()

    def build(self, **memory: object) -> Automaton:
        ledger = Ledger((("p", spec) for spec in self.specs), now=self.now)
        for name in ledger.holdings:
            ledger.load(name, list(self.rows.get(name, {}).items()))
        ledger.compare()
        return Automaton(ledger, dict(self.conditions), now=self.now, memory=memory)  # type: ignore[arg-type]

    def restart(self) -> None:
        memory = {name: self.automaton.memory(name) for name in self.conditions}
        self.automaton = self.build(**memory)

    def make(self, asset: str, key: str = "", version: str | None = None) -> None:
        self.no += 1
        before = self.rows.setdefault(asset, {}).get(key)
        version = f"v{self.no}" if version is None else version
        is_same = before is not None and before.data_version == version
        changed = (before.changed_no, before.changed_at) if before is not None and is_same else (self.no, self.now)
        made = self.rows[asset][key] = Made(self.no, self.now, version, "1", *changed)
        self.automaton.materialized(asset, key, made)

    def look(self, *, ask: bool = True) -> dict[str, list[str]]:
        """What is asked for now."""
        found = {d.asset: list(d.partitions) for d in self.automaton.evaluate(self.now)}
        for asset, keys in found.items() if ask else ():
            self.automaton.asked(asset, keys, self.now)
        self.automaton.settle()
        return found

    def at(self, text: str) -> None:
        self.now = instant(text)


def asset(name: str, *deps: str, partitions: PartitionSpec | None = None, **more: object) -> AssetSpec:
    return AssetSpec(name, deps=deps, step=name, partitions=partitions, code_version="1", **more)  # type: ignore[arg-type]


def held(tree: Tree) -> list[str]:
    return [tree.text, *(t for child in tree.children if child.holds for t in held(child))]


def test_missing_holds_of_every_partition_that_has_ended_and_was_not_made():
    world = World(asset("x", partitions=DAY), x=MISSING)
    world.make("x", "2026-01-02")
    assert world.look() == {"x": ["2026-01-01", "2026-01-03"]}


def test_the_algebra_is_that_of_sets():
    """Against sets of Python, for random conditions over random facts."""
    rng = random.Random(5)
    leaves: dict[str, Condition] = {
        "missing": MISSING,
        "late": a.Latest(1),
        "two": a.Latest(2),
        "bad": a.State("check_failed", "c"),
    }
    for _ in range(200):
        world = World(asset("x", partitions=DAY), x=MISSING)
        days = world.automaton.ledger.holdings["x"].universe.keys[1:]
        made = set(rng.sample(days, rng.randrange(4)))
        bad = set(rng.sample(days, rng.randrange(4)))
        sets = {"missing": set(days) - made, "late": set(days[-1:]), "two": set(days[-2:]), "bad": bad}

        def grow(depth: int) -> tuple[Condition, set[str]]:
            if not depth:
                name = rng.choice(list(leaves))
                return leaves[name], sets[name]  # noqa: B023
            (one, mine), (two, theirs) = grow(depth - 1), grow(depth - 1)
            kind = rng.choice(("and", "or", "not"))
            if kind == "and":
                return a.Both((one, two)), mine & theirs
            return (a.Either((one, two)), mine | theirs) if kind == "or" else (a.Not(one), set(days) - mine)  # noqa: B023

        condition, expected = grow(3)
        world.conditions = {"x": condition}
        world.automaton = world.build()
        for key in made:
            world.make("x", key)
        for key in bad:
            world.automaton.checked("x", "c", key, passed=False)
        assert set(world.look().get("x", [])) == expected, condition


def test_any_and_all_of_the_upstreams_go_through_the_mapping():
    specs = (asset("hours", partitions=HOUR), asset("day", "hours", partitions=DAY))
    world = World(*specs, day=a.Upstream("any", a.Not(MISSING)))
    world.make("hours", "2026-01-02T07:00")
    assert world.look() == {"day": ["2026-01-02"]}
    world = World(*specs, day=a.Upstream("all", a.Not(MISSING)))
    for hour in range(23):
        world.make("hours", f"2026-01-02T{hour:02}:00")
    assert world.look() == {}
    world.make("hours", "2026-01-02T23:00")
    assert world.look() == {"day": ["2026-01-02"]}


def test_a_window_that_looks_beyond_the_present_waits_for_it():
    tomorrow = (DepSpec("raw", "window", 0, 1),)
    specs = (asset("raw", partitions=DAY), asset("x", "raw", partitions=DAY, mappings=tomorrow))
    world = World(*specs, x=a.Both((MISSING, a.Not(a.Upstream("any", MISSING)))))
    for day in ("2026-01-02", "2026-01-03"):
        world.make("raw", day)
    assert world.look() == {"x": ["2026-01-02"]}
    world.at("2026-01-05T00:00")
    world.make("raw", "2026-01-04")
    assert world.look() == {"x": ["2026-01-03"]}


def test_an_upstream_that_changed_while_it_was_being_made_makes_it_newer():
    world = World(asset("raw"), asset("x", "raw"), x=NEWER)
    world.make("raw")
    world.make("x")
    world.automaton.began("x", "")
    world.make("raw")  # after x has read it
    world.make("x")
    assert world.look() == {"x": [""]}


def test_what_is_newer_is_found_alike_when_it_happens_and_when_it_is_read_again():
    """Seeded: an upstream without partitions, one with the same, one that is read by its hours, one that is read whole."""
    rng = random.Random(7)
    specs = (
        AssetSpec("one"),
        AssetSpec("same", partitions=DAY),
        AssetSpec("hours", partitions=HOUR),
        AssetSpec("reader", deps=("one", "same", "hours"), partitions=DAY),
        AssetSpec("whole", deps=("reader",)),
    )
    keys = {"one": [""], "whole": [""], "same": [f"2026-01-0{d}" for d in (1, 2, 3)]}
    keys["reader"], keys["hours"] = keys["same"], [f"2026-01-0{d}T{h:02}:00" for d in (1, 2, 3) for h in (0, 23)]
    world = World(*specs, reader=NEWER, whole=NEWER)
    for _ in range(300):
        asset = rng.choice(list(keys))
        key = rng.choice(keys[asset])
        world.automaton.ledger.began(asset, key)
        world.make(asset, key, rng.choice(("a", "b")))
        known = {name: holding.newer for name, holding in world.automaton.ledger.holdings.items()}
        read_again = {name: holding.newer for name, holding in world.build().ledger.holdings.items()}
        assert known == read_again


def test_newly_is_true_at_one_look_only():
    world = World(asset("x"), x=a.Newly(a.State("check_failed", "c")))
    assert world.look() == {}
    world.automaton.checked("x", "c", "", passed=False)
    assert world.look(ask=False) == {"x": [""]}
    world.automaton.wake("x")
    assert world.look() == {}
    world.restart()
    assert world.look() == {}


def test_since_remembers_until_it_is_reset_also_over_restarts():
    updated = a.Upstream("any", a.State("updated"))
    world = World(
        asset("raw"), asset("x", "raw"), x=a.Both((a.Since(updated, a.State("updated")), a.Cron("0 6 * * *")))
    )
    world.make("raw")
    assert world.look() == {}  # the tick is still to come
    world.restart()
    world.at("2026-01-05T06:00")
    assert world.look() == {"x": [""]}
    world.make("x")
    assert world.look() == {}
    world.at("2026-01-06T06:00")
    assert world.look() == {}  # no update since


def test_what_was_asked_for_is_not_asked_for_again_for_the_same_cause():
    world = World(asset("raw"), asset("x", "raw"), x=MISSING)
    assert world.look() == {"x": [""]}
    world.automaton.wake("x")
    assert world.look() == {}
    world.restart()
    assert world.look() == {}
    world.make("raw")
    assert world.look() == {"x": [""]}


def test_what_is_being_made_or_held_up_by_a_check_is_not_asked_for():
    world = World(asset("raw"), asset("x", "raw"), x=MISSING)
    world.automaton.ledger.holdings["raw"].blocking = frozenset({"sane"})
    world.automaton.making("x", "", 1)
    assert world.look() == {}
    world.automaton.making("x", "", -1)
    world.automaton.checked("raw", "sane", "", passed=False)
    assert world.look() == {}
    assert "blocking check sane of raw failed" in held(world.automaton.explain("x", "", world.now))
    world.automaton.checked("raw", "sane", "", passed=True)
    assert world.look() == {"x": [""]}


def test_missing_downstreams_are_asked_for_together_with_what_they_read():
    world = World(asset("a"), asset("b", "a"), asset("c", "b"), a=a.on_missing(), b=a.on_upstream(), c=a.on_upstream())
    assert world.look() == {"a": [""], "b": [""], "c": [""]}


def test_but_not_over_a_mapping_that_one_run_cannot_cross():
    world = World(
        asset("hours", partitions=HOUR),
        asset("day", "hours", partitions=DAY),
        hours=a.on_missing(),
        day=a.on_upstream(),
    )
    assert world.look() == {"hours": ["2026-01-04T11:00"]}


def test_an_explanation_says_what_decides_and_changes_nothing():
    world = World(asset("raw"), asset("x", "raw"), x=a.on_upstream())
    before = world.automaton.explain("x", "", world.now)
    assert not before.holds
    assert before == world.automaton.explain("x", "", world.now)
    assert before.text == "x is not asked for now"
    world.make("raw")
    after = world.automaton.explain("x", "", world.now)
    assert after.holds
    assert held(after)[:3] == ["x is to be made now", "on_upstream", "any of"]
    assert world.look() == {"x": [""]}


def test_an_update_is_looked_at_by_its_readers_and_nobody_else():
    specs = [asset("raw"), *(asset(f"near{i}", "raw") for i in range(3)), *(asset(f"far{i}") for i in range(50))]
    world = World(*specs, **{spec.name: a.on_upstream() for spec in specs})
    world.look()
    world.make("raw")
    assert set(world.automaton._dirty) == {"raw", "near0", "near1", "near2"}


@pytest.mark.parametrize("condition", [a.on_upstream(), a.on_cron("@daily"), a.Since(MISSING, a.Newly(NEWER))])
def test_a_condition_survives_its_bytes(condition: Condition):
    assert a.decode(a.encode(condition)) == condition
