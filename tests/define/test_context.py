"""What a step's code knows and says: context, metadata, signals."""

from __future__ import annotations

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import partita as pt
from partita.core.events import AssetReport, CheckReport
from partita.core.plain import unpack
from partita.define.context import MemoryBackend, enter, leave
from partita.define.metadata import meta
from partita.errors import PartitaError


def of_metadata(ctx: pt.Context) -> dict[str, tuple[str, Any]]:
    return {entry.name: (entry.kind, unpack(entry.data)) for entry in ctx.reported_metadata()}


def test_facts_and_the_keys_made_of_them() -> None:
    ctx = pt.Context(run_id="r1", namespace="ns", step="load", index="3.17", attempt=2, fencing_token=5)

    assert ctx.map_index == 17
    assert ctx.idempotency_key == "ns/r1/load/3.17"
    assert ctx.attempt_key == "ns/r1/load/3.17/2"
    assert ctx.execution_uid == "ns/r1/load/3.17/2/5"
    assert pt.Context().map_index is None
    assert ctx.logger.name == "partita.step.load"


def test_facts_are_read_only() -> None:
    with pytest.raises(AttributeError):
        pt.Context().attempt = 3  # type: ignore[misc]


def test_effects_go_to_the_backend() -> None:
    backend = MemoryBackend()
    ctx = pt.Context(backend=backend)

    ctx.progress(3, 10, "loading")
    ctx.heartbeat()
    ctx.save({"at": 3})
    ctx.save(1, "other")

    assert backend.said == [("progress", 3.0, 10.0, "loading"), ("heartbeat",)]
    assert (ctx.load(), ctx.load("other"), ctx.load("none", default=7)) == ({"at": 3}, 1, 7)
    assert not ctx.cancelled()
    backend.cancelled = True
    assert ctx.cancelled()


def test_the_current_context_is_found_and_made_when_first_asked_for() -> None:
    made: list[int] = []

    def make() -> pt.Context:
        made.append(1)
        return pt.Context(step="x")

    token = enter(make)
    assert not made
    assert pt.context() is pt.context()
    assert made == [1]
    leave(token)
    with pytest.raises(PartitaError, match="there is no context"):
        pt.context()


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        (3, "number", 3),
        (0.5, "number", 0.5),
        (np.float64(0.5), "number", 0.5),
        (np.int32(3), "number", 3),
        ("text", "text", "text"),
        ("https://example.org/a", "url", "https://example.org/a"),
        (Path("a/b"), "path", "a/b"),
        (True, "json", True),
        ([1, {"a": 2}], "json", [1, {"a": 2}]),
        (Decimal("1.5"), "json", Decimal("1.5")),
        (pt.md.markdown("# Hi"), "markdown", "# Hi"),
        (pt.md.text(3), "text", "3"),
        (pt.md.path(Path("x")), "path", "x"),
        (pt.md.url("ftp://x"), "url", "ftp://x"),
        (pt.md.json({"a": 1}), "json", {"a": 1}),
        (pt.md.number(2), "number", 2),
        (pt.md.table([{"a": 1}, {"b": 2}]), "table", {"columns": ["a", "b"], "rows": [[1, None], [None, 2]]}),
        (pt.md.table([(1, 2)], columns=["x", "y"]), "table", {"columns": ["x", "y"], "rows": [[1, 2]]}),
        (pd.DataFrame({"a": [1]}), "table", {"columns": ["a"], "rows": [[1]]}),
    ],
)
def test_metadata_has_a_kind(value: object, kind: str, plain: object) -> None:
    entry = meta("x", value)

    assert entry.kind == kind
    assert unpack(entry.data) == plain


def test_metadata_of_anything_is_text_and_never_an_error() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert unpack(meta("x", Rude()).data) == "<Rude: its __str__ raised RuntimeError>"
    assert meta("x", float("nan")).kind == "json"
    assert unpack(meta("x", pt.md.text("a\ud800")).data) == "a\\ud800"


def test_the_last_word_on_a_name_counts() -> None:
    ctx = pt.Context()
    ctx.add_metadata(rows=1, file=Path("a"))
    ctx.add_metadata("rows", 2)

    assert of_metadata(ctx) == {"rows": ("number", 2), "file": ("path", "a")}


def test_metadata_goes_to_the_own_asset_and_to_others_by_name() -> None:
    ctx = pt.Context(asset="flights", partition="2013-01-01")
    ctx.add_metadata(rows=1)
    ctx.add_asset_metadata("planes", "rows", 2)
    ctx.set_data_version("v1")

    assert ctx.reported_assets() == (
        AssetReport("flights", "2013-01-01", "v1", (meta("rows", 1),)),
        AssetReport("planes", "2013-01-01", "", (meta("rows", 2),)),
    )
    assert pt.Context().reported_assets() == ()


def test_members_of_a_bundle_begin_and_end() -> None:
    backend = MemoryBackend()
    ctx = pt.Context(backend=backend, partition="p")

    with ctx.member("orders") as member:
        member.add_metadata(rows=3)
        member.returns(7)
    with pytest.raises(ValueError, match="bad"), ctx.member("lines"):
        raise ValueError("bad")
    ctx.member_ended(
        "orders:unique", "failed", checks=(CheckReport("orders", "unique", False),), failure="2 rows twice"
    )

    began, ended, _, failed, check = backend.said
    assert began[:2] == ("member_began", "orders")
    assert ended[:7] == (
        "member_ended",
        "orders",
        "succeeded",
        7,
        (AssetReport("orders", "p", "", (meta("rows", 3),)),),
        (),
        None,
    )
    assert failed[:4] == ("member_ended", "lines", "failed", None)
    assert failed[4] == ()
    assert isinstance(failed[6], ValueError)
    assert check[1:3] == ("orders:unique", "failed")
    assert check[6].message == "2 rows twice"


def test_the_times_of_a_member_may_come_from_elsewhere() -> None:
    backend = MemoryBackend()
    ctx = pt.Context(backend=backend)

    ctx.member_began("a", at=1.0)
    ctx.member_ended("a", began_at=1.0, ended_at=2.0, metadata={"rows": 3})
    ctx.member_ended("b", "skipped", ended_at=5.0)

    assert backend.said[0] == ("member_began", "a", 1.0)
    assert backend.said[1][7:] == (1.0, 2.0)
    assert backend.said[1][4] == (AssetReport("a", "", "", (meta("rows", 3),)),)
    assert backend.said[2][7:] == (5.0, 5.0)


def test_signals_say_what_they_want() -> None:
    assert pt.Skip("no files").reason == "no files"
    assert pt.Fail("broken").message == "broken"
    late = pickle.loads(pickle.dumps(pt.RetryAfter("30s", "limited")))
    assert (late.delay_s, str(late)) == (30.0, "limited")
    assert str(pt.RetryAfter(2)) == "retry after 2 s"
