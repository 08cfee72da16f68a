"""`partita assets`: how assets are and why, straight at the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from .projects import Partita, Said, call, shell, write_project

SHOP = '''
import partita as pt

source = pt.external_asset("source", columns={"order_id": "int"})
day = pt.daily("2024-01-01", end="2024-01-03")


@pt.asset(deps=[source], automation=pt.auto.on_upstream(), owner="ann", freshness="26h")
def clean() -> int:
    """Orders without nonsense."""
    return 1


@pt.asset(partitions=day)
def days(ctx: pt.Context) -> str:
    return ctx.partition


@pt.asset
def total(clean: int) -> int:
    return clean


@pt.asset(partitions=pt.dynamic("customers"))
def invoice(ctx: pt.Context) -> str:
    return ctx.partition
'''


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("assets") / "shop", SHOP)
    assert shell(folder, "run", "clean").status == 0
    assert shell(folder, "run", "days", "--partition", "2024-01-02").status == 0
    assert shell(folder, "assets", "report", "source", "--data-version", "v1", "--by", "airbyte").status == 0
    return folder


@pytest.fixture
def look(shop: Path, capsys: pytest.CaptureFixture[str]) -> Partita:
    return lambda *words: call(capsys, shop, *words)


def test_the_list_says_how_each_asset_is(look: Partita) -> None:
    states = {one["asset"]: (one["state"], one["made"], one["partitions"]) for one in look("assets", "--json").json}
    assert states == {
        "clean": ("stale", 1, 1),
        "days": ("missing", 1, 3),
        "invoice": ("current", 0, 0),
        "source": ("current", 1, 1),
        "total": ("missing", 0, 1),
    }
    assert [one["asset"] for one in look("assets", "--state", "stale", "--json").json] == ["clean"]
    assert "1/3" in look("assets", "d*").out


def test_one_asset_is_shown_with_its_reasons_and_its_history(look: Partita) -> None:
    said = look("assets", "show", "clean")
    assert "source has newer data" in said.out
    assert "read by total" in said.out
    found = look("assets", "show", "source", "--json").json
    assert found["downstream"] == ["clean"]
    assert found["materializations"][0]["step"] == "airbyte"


def test_why_says_what_automation_would_do(look: Partita) -> None:
    said = look("assets", "why", "clean")
    assert "clean is to be made now" in said.out
    assert "source has data that it was not made from" in said.out
    assert "clean is to be made now" in look("why", "clean").out
    tree = look("why", "clean", "--json").json["automation"]
    assert tree["holds"] is True


def test_why_of_a_partition(look: Partita) -> None:
    assert "days 2024-01-02 current" in look("why", "days@2024-01-02").out
    assert "never made" in look("assets", "why", "days", "2024-01-03").out


def test_a_search_finds_by_column_owner_and_description(look: Partita) -> None:
    def names(*words: str) -> list[str]:
        return [hit["name"] for hit in look("assets", "search", *words, "--json").json]

    assert names("order_id") == ["source"]
    assert names("ann") == ["clean"]
    assert names("nonsense", "orders") == ["clean"]
    assert names("nowhere") == []


def test_partitions_are_listed_with_their_state(look: Partita) -> None:
    [one] = look("assets", "partitions", "days", "--json").json
    assert (one["partition"], one["state"]) == ("2024-01-02", "current")


def test_keys_of_dynamic_partitions_are_added_and_taken_away(look: Partita) -> None:
    assert look("assets", "partitions", "customers", "--add", "acme", "--add", "bell").status == 0
    assert look("assets", "partitions", "customers").out.split() == ["acme", "bell"]
    assert look("assets", "partitions", "customers", "--remove", "acme").status == 0
    assert look("assets", "partitions", "customers", "--json").json == ["bell"]


def test_a_report_under_a_key_is_one_report(look: Partita) -> None:
    words = ("assets", "report", "source", "--key", "k1", "-m", "rows=17", "--json")
    assert [look(*words).json["repeated"] for _ in range(2)] == [False, True]


def test_a_check_from_elsewhere_makes_it_failing(look: Partita) -> None:
    assert look("assets", "check", "days", "wide", "--no-passed", "--partition", "2024-01-02").status == 0
    assert "check wide failed" in look("why", "days@2024-01-02").out
    assert look("assets", "check", "days", "wide", "--passed", "--partition", "2024-01-02").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("assets", "show", "claen"), "did you mean 'clean'"),
        (("assets", "report", "nothing"), "no project declares an asset"),
        (("assets", "check", "clean", "wide"), "--passed or --no-passed"),
        (("assets", "report", "source", "-m", "rows"), "name=value"),
        (("assets", "partitions", "nobody", "--add", "x"), "no dynamic partitions"),
        (("why", "nothing"), "there is no run 'nothing'"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(look: Partita, words: tuple[str, ...], said: str) -> None:
    answer: Said = look(*words)
    assert answer.status == 2
    assert said in answer.err
