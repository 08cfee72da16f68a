"""What a backfill is planned to do, and what comes next while it runs."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Sequence

import pytest

from partita.core.backfill import BackfillPlan, BackfillSpec, Member, World, decode_work, encode, label, part_keys
from partita.core.backfill_course import BackfillCourse, Part, PartState
from partita.core.backfill_plan import plan
from partita.core.manifest import DepSpec, PartitionSpec
from partita.errors import ParamError

DAYS = PartitionSpec("daily", start="2026-01-01")
HOURS = PartitionSpec("hourly", start="2026-01-01")
NOW = dt.datetime(2026, 2, 1, tzinfo=dt.UTC).timestamp()


def member(
    name: str, *reads: str, partitions: PartitionSpec | None = DAYS, project: str = "p", batch: int = 1
) -> Member:
    return Member(
        name,
        project,
        partitions=partitions,
        reads=tuple((r, DepSpec(r)) for r in reads),
        makes=(name,),
        batch=batch,
        work_s=2.0,
        chain_s=2.0,
    )


def planned(
    *members: Member,
    partitions: str = "2026-01-01..2026-01-04",
    present: dict[str, Collection[str]] | None = None,
    roots: Sequence[str] = (),
    capacity: dict[str, int] | None = None,
    **more: object,
) -> BackfillPlan:
    world = World(NOW, lambda asset: (present or {}).get(asset, ()), lambda m, keys: (), capacity or {"workers": 2})
    spec = BackfillSpec("x", partitions, **more)  # type: ignore[arg-type]
    return plan(spec, members, roots or [m.name for m in members], world)


def test_members_with_the_same_partitions_are_one_stage_and_a_run_each_partition() -> None:
    found = planned(member("a"), member("b", "a"))
    assert [(s.name, s.variants) for s in found.work.stages] == [("a and 1 more", ("a|b",))]
    assert found.work.keysets == (("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"),)
    assert (found.runs, found.partitions, found.estimate.steps) == (4, 4, 8)


def test_what_is_there_already_is_left_out_of_the_run_of_its_partition() -> None:
    found = planned(member("a"), member("b", "a"), only="missing", present={"a": {"2026-01-02"}, "b": {"2026-01-04"}})
    stage = found.work.stages[0]
    made = {k: stage.variants[stage.chosen[i]] for i, k in enumerate(found.work.keysets[0])}
    assert made == {"2026-01-01": "a|b", "2026-01-02": "b", "2026-01-03": "a|b", "2026-01-04": "a"}


def test_batches_hold_partitions_of_one_variant_in_a_row() -> None:
    found = planned(member("a"), batch=3, only="missing", present={"a": {"2026-01-02"}})
    keys = part_keys(found.work, 0)
    assert [keys(p) for p in range(found.work.count(0))] == [("2026-01-01", "2026-01-03", "2026-01-04")]
    newest = planned(member("a"), batch=3, order="newest")
    keys = part_keys(newest.work, 0)
    assert [keys(p) for p in range(2)] == [("2026-01-04",), ("2026-01-01", "2026-01-02", "2026-01-03")]


def test_assets_say_how_many_partitions_a_run_of_theirs_takes() -> None:
    assert planned(member("a", batch=0)).runs == 1
    assert planned(member("a", batch=0), member("b", "a", batch=2)).runs == 2
    assert planned(member("a", batch=0), batch=1).runs == 4


def test_a_reader_of_hours_by_day_waits_for_all_hours_of_its_day() -> None:
    found = planned(
        member("h", partitions=HOURS),
        member("d", "h"),
        partitions="2026-01-01..2026-01-02",
        roots=["d"],
        cascade="upstreams",
    )
    assert [s.name for s in found.work.stages] == ["h", "d"]
    assert found.work.count(0) == 48
    need = found.work.stages[1].needs[0]
    assert (need.stage, need.table) == (0, (tuple(range(24)), tuple(range(24, 48))))


def test_other_projects_come_after_what_they_read_part_by_part() -> None:
    found = planned(member("a"), member("b", "a", project="q"), member("c", "b"))
    assert [(s.project, s.name, [n.stage for n in s.needs]) for s in found.work.stages] == [
        ("p", "a", []),
        ("q", "b", [0]),
        ("p", "c", [1]),
    ]
    assert all(not n.table for s in found.work.stages for n in s.needs)


def test_the_most_used_limit_is_the_bottleneck() -> None:
    assert planned(member("a")).estimate.seconds == 4.0
    assert planned(member("a")).estimate.bottleneck == "2 workers"
    one = planned(member("a"), max_runs=1)
    assert (one.estimate.seconds, one.estimate.bottleneck) == (8.0, "its own limit of 1 runs at once")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ParamError, match="before the first one"):
        planned(member("a"), partitions="2025-12-31")
    with pytest.raises(ParamError, match="at least one partition"):
        planned(member("a"), batch=-1)


def test_several_partitions_are_called_by_their_range_or_by_their_names() -> None:
    assert label(DAYS, ["2026-01-03"]) == "2026-01-03"
    assert label(DAYS, ["2026-01-03", "2026-01-01", "2026-01-02"]) == "2026-01-01..2026-01-03"
    assert label(DAYS, ["2026-01-01", "2026-01-03"]) == "2026-01-01,2026-01-03"
    assert label(PartitionSpec("static", keys=("eu", "us", "asia")), ["us", "asia"]) == "us..asia"


def test_a_plan_survives_being_written_down() -> None:
    work = planned(
        member("h", partitions=HOURS), member("d", "h"), partitions="2026-01-01", roots=["d"], cascade="upstreams"
    ).work
    assert decode_work(encode(work)) == work


def test_any_order_of_ends_starts_every_part_once_within_the_limit_and_after_its_needs() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        work = planned(
            member("a"), member("b", "a", project="q"), member("m", "b", partitions=PartitionSpec("weekly", start="2025-12-29")),
            partitions="*", roots=["a"], cascade="downstreams", batch=chance.choice([1, 1, 3, 0]),
            order=chance.choice(["oldest", "newest"]),
        ).work  # fmt: skip
        limit = chance.randint(1, 5)
        course = BackfillCourse(work, limit)
        open_: list[Part] = []
        ended: dict[Part, PartState] = {}
        while not course.is_finished:
            part = course.next_part()
            if part is not None and chance.random() < 0.7:
                for need in work.stages[part.stage].needs:
                    needed = need.table[part.part] if need.table else (part.part,)
                    assert all(ended.get(Part(need.stage, n)) == "succeeded" for n in needed), seed
                assert part not in ended, seed
                course.start(part)
                open_.append(part)
            elif open_:
                part = open_.pop(chance.randrange(len(open_)))
                state: PartState = "failed" if chance.random() < 0.1 else "succeeded"
                ended[part] = state
                ended.update(dict.fromkeys(course.finish(part, state), "skipped"))
            assert len(open_) <= limit, seed
            if chance.random() < 0.1:
                # Another engine takes it up, with what was written down.
                known = [*ended.items(), *((p, "running") for p in open_)]
                course = BackfillCourse(work, limit, known)  # type: ignore[arg-type]
        assert len(ended) == work.total, seed
        assert course.end == ("failed" if "failed" in ended.values() else "succeeded"), seed
