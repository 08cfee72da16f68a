"""What is refused before there is a run, and in which words."""

from __future__ import annotations

import msgspec
import pytest

from partita.core import plain
from partita.core.events import RunCreated
from partita.core.graph import Graph, Output, Step, Stored
from partita.core.manifest import AssetSpec, Manifest, ParamSpec, PartitionSpec, PipelineSpec
from partita.core.policies import Policies
from partita.engine.submission import RunRequest, bounds_of, interval, partition_keys, plan_run
from partita.errors import DefinitionError, GraphError, ParamError, SelectionError
from partita.store.memory import MemoryStore

DAY = PartitionSpec("daily", start="2024-01-01", tz="America/New_York")
ASSETS = Graph(
    "assets",
    (
        Step("raw", kind="asset", asset="raw"),
        Step("clean", kind="asset", asset="clean", args=(("raw", Output("raw")),), needs=("raw",)),
    ),
)
MANIFEST = Manifest(
    "shop",
    pipelines=(
        PipelineSpec("plain", Graph("plain", (Step("a"),))),
        PipelineSpec("daily", Graph("daily", (Step("a"),)), params=(ParamSpec("region", "{}"),), partitions=DAY),
        PipelineSpec("pooled", Graph("pooled", (Step("a", policies=Policies(pools=(("warehuse", 1),))),))),
        PipelineSpec("greedy", Graph("greedy", (Step("a", policies=Policies(pools=(("warehouse", 9),))),))),
    ),
    assets=(
        AssetSpec("raw", step="raw", partitions=DAY),
        AssetSpec("clean", deps=("raw",), step="clean", partitions=DAY),
    ),
    assets_graph=ASSETS,
    pools=(("warehouse", 5),),
)


def planned(target: str, **changes: object) -> tuple[Graph, RunCreated]:
    request = RunRequest(target, "tests", "test:1", **changes)  # type: ignore[arg-type]
    return plan_run(MANIFEST, request, MemoryStore(), now=1_700_000_000.0, namespace="default")


def test_a_pipeline_becomes_a_run():
    graph, run = planned("plain")
    assert graph.name == "plain"
    assert (run.pipeline, run.origin, run.by, run.namespace) == ("plain", "test:1", "tests", "default")
    assert run.run.startswith("018bcfe5-6800-7")


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(DefinitionError, match="did you mean 'plain'"):
        planned("plan")


def test_a_partitioned_pipeline_wants_a_partition_and_says_how():
    with pytest.raises(ParamError, match="--partition 2024"):
        planned("daily", params={"region": plain.pack("eu")})
    with pytest.raises(ParamError):
        planned("daily", params={"region": plain.pack("eu")}, partition="2023-12-31")
    with pytest.raises(ParamError, match="not partitioned"):
        planned("plain", partition="2024-01-01")


def test_parameters_must_be_known_and_complete():
    with pytest.raises(ParamError, match="region"):
        planned("daily", partition="2024-01-02")
    with pytest.raises(ParamError, match="rgion"):
        planned("daily", partition="2024-01-02", params={"rgion": b"\x01"})


def test_pools_must_be_declared_and_large_enough():
    with pytest.raises(GraphError, match="did you mean 'warehouse'"):
        planned("pooled")
    with pytest.raises(GraphError, match="9 slots of pool 'warehouse', which has 5"):
        planned("greedy")


def test_a_selection_of_assets_becomes_a_run_of_just_these():
    graph, run = planned("+clean", partition="2024-01-02")
    assert [s.key for s in graph.steps] == ["raw", "clean"]
    assert run.pipeline == "assets"
    assert run.selection == ("raw", "clean")


def test_what_is_read_but_never_made_is_said_before_the_run():
    with pytest.raises(SelectionError, match=r"raw \(read by clean\)") as caught:
        planned("clean", partition="2024-01-02")
    assert "partita run +clean" in str(caught.value)


def test_reading_from_the_store_is_marked_in_the_graph():
    from partita.core.selection import cut

    graph = cut(ASSETS, ["clean"])
    assert graph.steps[0].args == (("raw", Stored("raw")),)


def test_a_range_of_partitions_ends_today():
    keys = partition_keys(MANIFEST, "daily", "2024-01-01..2024-01-03", now=1_800_000_000.0)
    assert list(keys) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    with pytest.raises(ParamError):
        partition_keys(MANIFEST, "plain", "2024-01-01", now=1_800_000_000.0)


def test_the_interval_of_a_day_follows_its_zone():
    _, run = planned("daily", partition="2024-03-10", params={"region": plain.pack("eu")})
    assert interval(MANIFEST, run) == ("2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z")  # 23 hours long


def test_the_interval_is_that_of_the_assets_that_are_made_not_of_others_with_the_same_keys():
    berlin = PartitionSpec("daily", start="2024-01-01", tz="Europe/Berlin")
    other = Step("other", kind="asset", asset="other")
    manifest = msgspec.structs.replace(
        MANIFEST,
        assets=(*MANIFEST.assets, AssetSpec("other", step="other", partitions=berlin)),
        assets_graph=Graph("assets", (*ASSETS.steps, other)),
    )
    request = RunRequest("other", "tests", "test:1", partition="2024-06-13")
    _, run = plan_run(manifest, request, MemoryStore(), now=1_700_000_000.0, namespace="default")
    assert interval(manifest, run) == ("2024-06-12T22:00:00Z", "2024-06-13T22:00:00Z")


def test_a_product_with_a_day_covers_that_day_and_one_without_covers_no_time():
    shops = PartitionSpec("static", keys=("a", "b"))
    by_day = PartitionSpec("product", dimensions=(("day", DAY), ("shop", shops)))
    assert bounds_of(by_day, "2024-01-02|a") == ("2024-01-02T05:00:00Z", "2024-01-03T05:00:00Z")
    assert bounds_of(shops, "a") is None
    assert bounds_of(DAY, "2023-12-31") is None
