"""Whatever a list asks for, it finds by an index: no query of a reader walks through the history."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from partita.store import dialect, postgres, queries
from partita.store.sqlite import SqliteStore, open_store

from . import servers

# Walks that are meant: the newest first by the primary key, stopped by LIMIT.
NEWEST_FIRST = {"checks": {"SCAN c"}}
# Pages from the oldest on, stopped by LIMIT; a partial index that holds no others; tables with a row for each project.
NEWEST_FIRST |= {
    "audit_until": {"SCAN audit"},
    "manifests": {"SCAN manifests", "SCAN manifests USING INDEX sqlite_autoindex_manifests_1"},
    "leaving_runs": {"SCAN runs USING COVERING INDEX runs_leaving"},
    "oldest_runs": {"SCAN r"},
    "oldest_versions": {"SCAN v"},
    "steps_of_partition": {"SCAN r"},
    "open_steps": {"SCAN a USING INDEX one_open"},
}
# The audit reads everything. Columns without a condition are only the beginning of other statements.
NOT_READ_ALONE = {
    "ticks_in_ranges",
    "doubled_origins",
    "lost_latest",
    "runs_rest",
    *(name for name in queries.statements() if name.endswith("_columns")),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    with closing(open_store(tmp_path_factory.mktemp("plans") / "partita.db")) as store:
        yield store


def plan(store: SqliteStore, sql: str) -> list[str]:
    params = [1] * sql.count("?")
    return [str(row[3]) for row in store._db.fetch(f"EXPLAIN QUERY PLAN {sql}", params)]


READS = {name: sql for name, sql in queries.statements().items() if sql.startswith("SELECT")}


@pytest.mark.parametrize("name", sorted(READS.keys() - NOT_READ_ALONE))
def test_a_named_query_walks_through_no_table(store: SqliteStore, name: str) -> None:
    scans = {step for step in plan(store, READS[name]) if step.startswith("SCAN")}
    # What a subquery has found already, and tables of some rows: what is declared or set by people, what is unwell now.
    small = {
        scan
        for scan in scans
        if re.match(r"SCAN (\(subquery-\d+\)|newest$|migrations$|limits$|alerts$|CONSTANT ROW$)", scan)
    }
    assert scans - small - NEWEST_FIRST.get(name, set()) == set()


@pytest.mark.parametrize(
    "name", sorted(name for name in READS if name.startswith("runs_arm") and name != "runs_arm_of_tag")
)
@pytest.mark.parametrize("arms", [1, 5])
def test_a_list_of_runs_reads_no_more_than_its_page_of_each_state(store: SqliteStore, name: str, arms: int) -> None:
    steps = plan(store, queries.runs(name, arms))
    sorted_arms = sum("USE TEMP B-TREE" in step for step in steps)
    found_by_index = sum(bool(re.match(r"SEARCH runs USING INDEX runs_by_\w+ \(", step)) for step in steps)
    assert found_by_index == arms, steps
    assert not any(step.startswith("SCAN runs") for step in steps), steps
    # The runs of one partition are few and are sorted; all else comes in order, but for putting the arms together.
    assert "partition" in name.replace("unpartitioned", "") or sorted_arms <= arms, steps


def test_the_runs_of_a_tag_are_walked_in_order_and_not_sorted(store: SqliteStore) -> None:
    steps = plan(store, READS["runs_arm_of_tag"])
    assert steps[0] == "SEARCH t USING PRIMARY KEY (tag=? AND run>? AND run<?)"
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("open_attempts", "one_open"),
        ("open_runs", "runs_by_state"),
        ("materializations_of_asset", "materializations_by_asset"),
        ("materializations_of_partition", "materializations_by_partition"),
        ("checks_of_run", "checks_by_run"),
        ("checks_of_asset", "checks_by_asset"),
        ("usual", "runs_by_pipeline"),
    ],
)
def test_a_query_uses_the_index_that_was_made_for_it(store: SqliteStore, name: str, index: str) -> None:
    assert any(f"INDEX {index}" in step for step in plan(store, READS[name])), plan(store, READS[name])


@pytest.mark.parametrize(
    "name",
    [
        "materializations_of_asset",
        "materializations_of_partition",
        "checks_of_asset",
        "journal",
        "checks",
        "last_runs",
        "days_of_runs",
    ],
)
def test_a_list_with_a_limit_is_not_sorted_first(store: SqliteStore, name: str) -> None:
    assert not any("TEMP B-TREE" in step for step in plan(store, READS[name])), plan(store, READS[name])


def test_every_statement_has_a_name_of_its_own() -> None:
    folder = Path(queries.__file__).parent / "sql"
    names = [name for file in folder.glob("*.sql") for name in re.findall(r"^-- name: (\w+)$", file.read_text(), re.M)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_statement_is_used() -> None:
    """A statement that nobody asks for by name is dead."""
    folder = Path(queries.__file__).parent
    code = "\n".join(file.read_text() for file in folder.glob("*.py"))
    sql = "\n".join(file.read_text() for file in (folder / "sql").glob("*.sql"))
    composed = {"runs_arm_unpartitioned", "runs_arm_of_pipeline_unpartitioned", "checks_of_run", "checks_of_asset"}
    unused = [
        name
        for name in queries.statements()
        if f'"{name}"' not in code and f"{{{name}}}" not in sql and name not in composed
    ]
    assert unused == []


def test_on_postgres_as_well_every_query_finds_its_rows_by_an_index_also_in_tables_without_statistics() -> None:
    # A table with a row for each cause of alarm; what is looked at as a whole or by its key, whichever costs less.
    small = {"alerts": "Seq Scan on alerts", "oldest_materializations": "Seq Scan on latest"}
    reads = {name: sql for name, sql in READS.items() if name not in NOT_READ_ALONE}
    reads |= {f"{name} x5": queries.runs(name, 5) for name in reads if name.startswith("runs_arm_of_p")}
    walked = {}
    with servers.database() as address, closing(postgres.open_store(address)) as store:
        for name, sql in reads.items():
            found = "\n".join(postgres_plan(store, sql)).replace(small.get(name, "\0"), "")
            is_sorted = (
                name.startswith("runs_arm") and "partition" not in name and "x5" not in name and "Sort  " in found
            )
            if "Seq Scan" in found or is_sorted:
                walked[name] = found
    assert walked == {}
    assert len(reads) > 120


def postgres_plan(store: postgres.PostgresStore, sql: str) -> list[str]:
    """What PostgreSQL would do, whatever the parameters are."""
    text = dialect.translated(sql)
    for number in range(1, text.count("%s") + 1):
        text = text.replace("%s", f"${number}", 1)
    connection = store._db._connection  # type: ignore[attr-defined]
    result = connection.pgconn.exec_(f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {text}".encode())
    assert not result.error_message, sql
    return [result.get_value(row, 0).decode() for row in range(result.ntuples)]
