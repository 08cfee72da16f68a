from __future__ import annotations

import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from checks import CHECKS
from dashboards import DASHBOARDS
from folders import DBT_PROJECT
from sources import SOURCES
from stations import asset_name, buildable, dashboard_asset, model_asset
from training import MODELS


def test_the_committed_files_are_what_generate_writes():
    spec = spec_from_file_location("generate", DBT_PROJECT / "generate.py")
    generate = module_from_spec(spec)
    sys.modules["generate"] = generate
    spec.loader.exec_module(generate)
    assert generate.differences() == []


@pytest.mark.slow
class TestNodes:
    def test_layers_have_the_size_that_the_readme_says(self, nodes):
        assert Counter(node.kind for node in nodes.values()) == {"model": 202, "source": 51, "test": 24, "seed": 4}
        assert len(CHECKS) + 24 == 30

    def test_every_node_says_what_it_is_and_whose(self, nodes):
        silent = [
            name for name, node in nodes.items() if not node.owner or not (node.description or node.kind == "seed")
        ]
        assert silent == []
        assert {node.owner for node in nodes.values()} == {"flights", "weather", "fleet", "analytics", "finance", "ml"}

    def test_every_source_has_its_table(self, nodes):
        assert {asset_name(n) for n in nodes.values() if n.kind == "source"} == {*SOURCES, "inventory"}

    def test_no_two_assets_have_one_name(self, nodes):
        named = [
            *nodes,
            *map(model_asset, MODELS),
            *map(dashboard_asset, DASHBOARDS),
            *(check.name for check in CHECKS),
        ]
        assert [name for name, times in Counter(named).items() if times > 1] == []
        assert len(nodes) == 281

    def test_tests_say_what_they_are_about_and_whether_they_block(self, nodes):
        test = nodes["planes_are_registered_once"]
        assert test.attached_to == "model.nightly.stg_planes"
        assert test.is_blocking
        assert not nodes["every_feed_has_landed"].is_blocking
        assert sum(not node.is_blocking for node in nodes.values() if node.kind == "test") == 3

    def test_pages_models_and_checks_name_models_that_exist(self, nodes):
        named = [name for plan in DASHBOARDS.values() for name in plan.reads]
        named += [plan.reads for plan in MODELS.values()] + [check.about for check in CHECKS]
        assert [name for name in named if name not in nodes] == []

    def test_a_feed_that_never_landed_blocks_its_own_line_and_not_the_facts(self, nodes, landed, tmp_path):
        for place in landed.landing.iterdir():
            if place.name != "AA-JFK":
                (tmp_path / "landing").mkdir(exist_ok=True)
                (tmp_path / "landing" / place.name).symlink_to(place)
        chosen = set(buildable(nodes.values(), tmp_path))
        left_out = {n.name for n in nodes.values() if n.kind == "model" and n.unique_id not in chosen}
        assert {"stg_aa_jfk", "carrier_aa_daily", "airport_jfk_hourly", "report_airports"} <= left_out
        assert {"flights", "flight_features", "airport_lga_flights", "carrier_dl_daily"}.isdisjoint(left_out)
        assert len(left_out) == 11


@pytest.mark.slow
class TestRunner:
    def test_exactly_the_chosen_nodes_run_and_each_tells_its_start_and_end(self, built, nodes, runner):
        chosen = [nodes[name].unique_id for name in ("route_competition", "shares_of_a_route_add_up")]
        events = []
        outcome = runner.run(chosen, on_event=events.append)
        assert outcome.succeeded
        assert {node.unique_id for node in outcome.nodes} == set(chosen)
        told = Counter(type(event).__name__ for event in events)
        assert told["DbtNodeStarted"] == told["DbtNodeFinished"] == 2
        model = next(node for node in outcome.nodes if node.kind == "model")
        assert model.state == "succeeded"
        assert model.started_at <= model.finished_at
        assert model.depends_on == ("model.nightly.route_carriers",)
        assert model.compiled_path.endswith("models/routes/route_competition.sql")

    def test_nothing_chosen_is_nothing_run(self, runner):
        assert runner.run([]).nodes == ()

    def test_an_unknown_node_is_told_with_a_hint(self, runner):
        with pytest.raises(
            LookupError, match=r"no node 'model.nightly.flight'\nhint: did you mean 'model.nightly.flights'"
        ):
            runner.run(["model.nightly.flight"])

    def test_a_failed_test_stops_what_builds_on_its_model_and_is_named(self, built, nodes, runner):
        import pyarrow.parquet as pq

        place = built.landing / "planes" / "current.parquet"
        whole = place.read_bytes()
        table = pq.read_table(place)
        pq.write_table(table.take([*range(table.num_rows), 0]), place)
        try:
            chosen = [
                nodes[name].unique_id for name in ("stg_planes", "planes_are_registered_once", "registered_planes")
            ]
            outcome = runner.run(chosen)
        finally:
            place.write_bytes(whole)
        by_id = {node.unique_id: node for node in outcome.nodes}
        assert not outcome.succeeded
        assert by_id["model.nightly.stg_planes"].state == "succeeded"
        assert by_id[chosen[1]].failures == 1
        assert by_id["model.nightly.registered_planes"].state == "skipped"
        assert by_id["model.nightly.registered_planes"].blocked_by == (chosen[1],)

    def test_the_warehouse_is_free_between_two_commands(self, built, nodes, runner):
        from warehouse import reader

        runner.run([nodes["stg_holidays"].unique_id])
        with reader(built.warehouse, patience_s=0) as connection:
            assert connection.execute("select count(*) from staging.stg_holidays").fetchone() == (10,)
        assert runner.run([nodes["stg_holidays"].unique_id]).succeeded

    def test_a_manifest_is_read_again_only_when_the_project_changed(self, nodes, landed):
        from stations import dbt_project

        from partita.integrations.dbt import content_hash

        project = dbt_project(landed)
        stamp = (landed.dbt_target / "manifest.hash").read_text()
        assert content_hash(project) == stamp
        assert content_hash(dbt_project(type(landed)(landed.root / "elsewhere"))) != stamp


@pytest.mark.slow
class TestStations:
    def test_a_model_learns_and_says_how_well(self, built):
        from training import score_is_good_enough, train

        first = train("route_demand", built.warehouse, built.artifacts)
        again = train("route_demand", built.warehouse, built.artifacts)
        assert score_is_good_enough(first)[0]
        assert first["value"] < first["baseline"]
        assert again["value"] == first["value"]
        assert (built.artifacts / "route_demand.joblib").exists()

    def test_a_page_is_whole_and_fetches_nothing(self, built):
        from dashboards import refresh

        told = refresh("routes", built.warehouse, built.artifacts, built.dashboards)
        text = (built.dashboards / "routes.html").read_text()
        assert told["plots"] == text.count("</svg>") == 3
        assert text.endswith("</html>\n")
        assert 'src="' not in text
        assert "@import" not in text

    def test_a_page_reads_only_what_it_declares(self, built):
        from tables import Tables
        from warehouse import reader

        with reader(built.warehouse) as connection, pytest.raises(LookupError, match="does not say that it reads"):
            Tables(connection, ("nights",)).rows("flights")
