"""The list of pipelines and one pipeline: history by steps, days and durations, graph, versions, launch form, schedules."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import BUILT, Service

GOOD = '''
import datetime as dt
from typing import Literal

import partita as pt


@pt.task(owner="sales-team")
def extract(region: str) -> int:
    return 3


@pt.task
def clean(rows: int) -> int:
    return rows


@pt.task
def load(rows: int, works: bool) -> int:
    if not works:
        raise ValueError("the disk is on fire")
    return rows


@pt.group
def staging(region: str):
    return clean(extract(region))


@pt.pipeline(
    owner="sales-team", tags=["daily", "sales"], max_runs=2, deadline="2h", schedule=pt.cron("0 3 * * *", tz="UTC")
)
def nightly(region: str = "eu", works: bool = True):
    """Every order of a region, loaded.

    The team of sales looks at it *first thing in the morning*.
    """
    load(staging(region), works)


@pt.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@pt.task
def square(number: int) -> int:
    if number == 4:
        raise ArithmeticError("four is not liked")
    return number


@pt.pipeline(tags=["wide"])
def fan(count: int = 4):
    square.map(numbers(count))


@pt.pipeline(partitions=pt.daily("2026-01-01", end="2026-01-31"), owner="flights-team")
def punctuality(
    region: Literal["eu", "us"],
    slack: dt.timedelta = dt.timedelta(minutes=15),
    airports: list[str] = ["EWR"],
    strict: bool = False,
):
    """How punctual the flights of a day were."""
    extract(region)


@pt.pipeline
def untouched():
    numbers(1)
'''
LATER = GOOD.replace("load(staging(region), works)", "tell(load(extract(region), works))").replace(
    "@pt.group\n", "@pt.task\ndef tell(rows: int) -> None: ...\n\n\n@pt.group\n"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: these tests change the code that it serves, and look at all that has run."""
    if not BUILT.exists():
        pytest.fail("the screens are not built; say: make ui")
    folder = tmp_path_factory.mktemp("pipelines") / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(GOOD)
    service = Service(folder, tmp_path_factory.mktemp("gate"))
    for works in (True, False, True):
        service.run("nightly", params={"works": works}, until="over")
    for count in (4, 6):
        service.run("fan", params={"count": count}, until="over")
    yield service
    service.close()


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("table", name="pipelines").get_by_role("row").filter(has_text=name)


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_has_last_runs_next_start_owner_and_leads_to_the_pipeline(page: Page) -> None:
    page.goto("/pipelines")
    nightly = row(page, "nightly")
    expect(nightly).to_contain_text("Every order of a region, loaded.")
    expect(nightly).to_contain_text("sales-team")
    expect(nightly.get_by_role("group", name="last 3 runs, 1 failed")).to_be_visible()
    expect(nightly.get_by_role("link", name=re.compile("^run 2: failed"))).to_have_attribute("href", "/runs/2")
    expect(nightly).to_contain_text(re.compile(r"in \d+ (h|min)"))
    expect(row(page, "untouched")).to_contain_text("never run")
    nightly.get_by_role("link", name="nightly", exact=True).click()
    expect(page).to_have_url(re.compile("/pipelines/nightly$"))
    expect(page.get_by_role("heading", name="nightly", level=1)).to_be_visible()


def test_the_list_is_filtered_by_address_search_state_and_tag(page: Page) -> None:
    page.goto("/pipelines?state=failed")
    expect(row(page, "fan")).to_be_visible()
    expect(row(page, "nightly")).to_be_hidden()
    page.get_by_role("button", name=re.compile("^1 failed")).click()
    expect(row(page, "nightly")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("punctual")
    expect(row(page, "nightly")).to_be_hidden()
    expect(page).to_have_url(re.compile("q=punctual"))
    expect(page.get_by_text("1 of 4")).to_be_visible()
    page.get_by_label("Search pipelines").fill("")
    row(page, "fan").get_by_role("button", name="wide").click()
    expect(page).to_have_url(re.compile("tag=wide"))
    expect(page.get_by_text("partita list --kind pipelines --tag wide")).to_be_visible()


def test_rows_are_walked_and_opened_by_the_keyboard(page: Page) -> None:
    page.goto("/pipelines")
    expect(row(page, "nightly")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/pipelines/fan$"))


# --- one pipeline ---------------------------------------------------------------------------------------------------


def test_the_head_says_what_it_is_when_it_starts_and_what_bounds_it(page: Page) -> None:
    page.goto("/pipelines/nightly")
    expect(page.get_by_text("first thing in the morning")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"runs at once\s*2"))
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"deadline\s*2 h after the start"))
    schedules = page.get_by_role("region", name="Schedules")
    expect(schedules.get_by_role("link", name="at 03:00 every day")).to_be_visible()
    expect(schedules.get_by_role("list", name="Next starts").get_by_role("listitem")).to_have_count(5)


def test_the_grid_has_the_newest_run_at_the_right_and_opens_the_step(page: Page) -> None:
    page.goto("/pipelines/nightly")
    grid = page.get_by_role("grid")
    expect(grid.get_by_role("columnheader").last).to_contain_text("3")
    expect(grid.get_by_role("gridcell", name="load, run 2: failed")).to_be_visible()
    expect(grid.get_by_role("gridcell", name="load, run 3: succeeded")).to_be_visible()
    grid.get_by_role("gridcell", name="load, run 2: failed").hover()
    expect(page.get_by_text("run 2 ·")).to_be_visible()
    group = grid.get_by_role("button", name=re.compile("staging"))
    expect(group).to_have_attribute("aria-expanded", "true")
    group.click()
    expect(grid.get_by_role("rowheader").filter(has_text="clean")).to_be_hidden()
    expect(page).to_have_url(re.compile("turned=staging"))
    page.get_by_label("only what failed").check(force=True)
    expect(grid.get_by_role("rowheader")).to_have_count(1)
    grid.get_by_role("gridcell", name="load, run 2: failed").click()
    expect(page).to_have_url(re.compile("/runs/2[?]step=load"))


def test_the_grid_sums_a_mapped_step_and_says_its_counts(page: Page) -> None:
    page.goto("/pipelines/fan")
    cell = page.get_by_role("gridcell", name="square, run 5: failed")
    cell.hover()
    expect(page.get_by_text("1 failed")).to_be_visible()
    expect(page.get_by_text("5 succeeded")).to_be_visible()


def test_the_grid_is_walked_by_the_keyboard(page: Page) -> None:
    page.goto("/pipelines/nightly")
    page.get_by_role("gridcell", name="staging, run 3: succeeded").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
        expect(page.locator("[role=gridcell]:focus")).to_be_visible()
    expect(page.locator("[role=gridcell]:focus")).to_have_attribute("aria-label", "load, run 2: failed")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/2[?]step=load"))


def test_a_run_that_starts_comes_into_the_grid_by_itself(page: Page, service: Service) -> None:
    page.goto("/pipelines/untouched")
    expect(page.get_by_text("It has never run")).to_be_visible()
    run = service.run("untouched", until="succeeded")
    expect(page.get_by_role("gridcell", name=f"numbers, run {run['no']}: succeeded")).to_be_visible()


def test_the_graph_has_the_last_states_and_opens_a_step_of_the_last_run(page: Page) -> None:
    page.goto("/pipelines/nightly?tab=graph&step=load")
    expect(page.get_by_text("States are those of run 3")).to_be_visible()
    expect(page.get_by_text("load", exact=True).first).to_be_visible()


def test_a_day_of_the_calendar_leads_to_its_runs(page: Page) -> None:
    page.goto("/pipelines/nightly?tab=calendar")
    expect(page.get_by_text("3 runs")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"^\d{4}-\d\d-\d\d: .*1 failed")).click()
    expect(page).to_have_url(re.compile("tab=runs&day="))
    runs = page.get_by_role("table", name="runs")
    expect(runs.get_by_role("row")).to_have_count(4)
    page.get_by_role("combobox", name="State").click()
    page.get_by_role("option", name="failed").click()
    expect(runs.get_by_role("row")).to_have_count(2)
    runs.get_by_role("link", name="2", exact=True).click()
    expect(page).to_have_url(re.compile("/runs/2$"))


def test_durations_have_a_curve_the_usual_range_and_the_slowest_steps(page: Page) -> None:
    page.goto("/pipelines/nightly?tab=durations")
    expect(page.get_by_role("img", name="how long the last 3 runs took")).to_be_visible()
    expect(page.get_by_text("Where the time goes")).to_be_visible()
    page.get_by_text("500 runs").click()
    expect(page).to_have_url(re.compile("n=500"))


# --- its schedules ----------------------------------------------------------------------------------------------------


def test_its_schedule_is_paused_resumed_and_triggered(page: Page, service: Service) -> None:
    page.goto("/pipelines/nightly")
    page.get_by_role("button", name="pause nightly").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the source moves")
    dialog.get_by_role("button", name="Pause").click()
    schedules = page.get_by_role("region", name="Schedules")
    expect(schedules).to_contain_text("the source moves")
    expect(schedules).to_contain_text("no tick while it is paused")
    page.get_by_role("button", name="resume nightly").click()
    expect(schedules.get_by_role("list", name="Next starts")).to_be_visible()
    page.get_by_role("button", name="trigger nightly").click()
    page.get_by_role("dialog").get_by_role("button", name="Run now").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+$"))
    newest = service.client.get("/runs", pipeline="nightly", limit=1)["items"][0]
    assert newest["no"] == int(page.url.rpartition("/")[2])


# --- the launch form ----------------------------------------------------------------------------------------------------


def test_a_run_is_started_from_the_form_and_the_command_line_says_the_same(page: Page, service: Service) -> None:
    page.goto("/pipelines/punctuality")
    expect(page.get_by_text("It has never run")).to_be_visible()
    page.keyboard.press("n")
    page.get_by_role("button", name="newest: 2026-01-31").click()
    page.get_by_role("combobox", name="region").click()
    page.get_by_role("option", name="us").click()
    page.get_by_label("Only these steps").fill("extract")
    tags = page.get_by_role("combobox", name="Tags")
    tags.fill("by hand")
    tags.press("Enter")
    page.get_by_label("Priority").fill("5")
    line = "partita run punctuality --partition 2026-01-31 --select extract -p region=us --tag 'by hand' --priority 5"
    expect(page.get_by_text(line)).to_be_visible()
    page.get_by_role("button", name="Start the run").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+$"))
    run = service.client.get(f"/runs/{page.url.rpartition('/')[2]}")
    assert (run["partition"], run["params"]["region"], run["tags"]) == ("2026-01-31", "us", ["by hand"])
    assert (run["priority"], run["selection"]) == (5, ["extract"])


def test_a_run_leads_to_the_form_with_all_that_it_was_started_with(page: Page, service: Service) -> None:
    given = {"region": "us", "airports": ["JFK", "LGA"]}
    run = service.run("punctuality", partition="2026-01-30", params=given, tags=["by hand"], priority=7, until="over")
    page.goto(f"/runs/{run['no']}")
    page.get_by_role("button", name="more ways to retry").click()
    page.get_by_role("menuitem", name="A new run with these parameters").click()
    expect(page).to_have_url(re.compile(rf"/pipelines/punctuality\?.*like=.?.?.?{run['no']}"))
    expect(page.get_by_role("form").get_by_text(f"As run #{run['no']} was started")).to_be_visible()
    line = page.get_by_text("partita run punctuality --partition 2026-01-30")
    for said in ("region=us", "JFK", "LGA", "--tag 'by hand'", "--priority 7"):
        expect(line).to_contain_text(said)
    page.get_by_role("button", name="Start the run").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+$"))
    again = service.client.get(f"/runs/{page.url.rpartition('/')[2]}")
    assert again["no"] > run["no"]
    for same in ("partition", "params", "tags", "priority", "selection", "fail_fast"):
        assert again[same] == run[same], same


def test_a_run_that_there_is_not_is_no_start_like_it(page: Page) -> None:
    page.goto("/pipelines/punctuality?tab=launch&like=99999999")
    expect(page.get_by_role("alert")).to_contain_text("99999999")


def test_what_is_missing_is_said_at_its_field_before_anything_is_sent(page: Page, service: Service) -> None:
    before = len(service.client.get("/runs", limit=500)["items"])
    page.goto("/pipelines/punctuality?tab=launch")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_text("Say which partition")).to_be_visible()
    expect(page.get_by_text("this is needed")).to_be_visible()
    assert len(service.client.get("/runs", limit=500)["items"]) == before


def test_what_the_server_refuses_stands_at_the_field_that_it_names(page: Page) -> None:
    page.goto("/pipelines/punctuality?tab=launch")
    page.get_by_role("combobox", name="Partition").fill("2026-01-02")
    page.get_by_role("combobox", name="region").click()
    page.get_by_role("option", name="eu").click()
    page.get_by_label("slack").fill("soon")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_text(re.compile("^is 'soon'"))).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("see their fields")


def test_a_partition_that_there_is_not_is_refused_in_words(page: Page) -> None:
    page.goto("/pipelines/punctuality?tab=launch")
    page.get_by_role("combobox", name="Partition").fill("2031-01-02")
    page.get_by_role("combobox", name="region").click()
    page.get_by_role("option", name="eu").click()
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("alert")).to_contain_text("2031-01-02")


# --- other code: last, for it changes what is served -----------------------------------------------------------------


def test_what_differs_between_two_versions_is_drawn_and_shown_as_code(page: Page, service: Service) -> None:
    (Path(service.folder) / "pipelines.py").write_text(LATER)
    page.goto("/pipelines/nightly?tab=versions")
    expect(page.get_by_role("list", name="Versions").get_by_role("button")).to_have_count(2)
    changes = page.get_by_role("listitem")
    expect(changes.filter(has_text="added")).to_contain_text("tell")
    expect(changes.filter(has_text="removed")).to_contain_text("staging.clean")
    graph = page.get_by_role("region", name="what differs in the graph of nightly")
    expect(graph.get_by_role("button", name="added tell")).to_be_visible()
    expect(page.locator("summary").filter(has_text="pipelines.py")).to_contain_text("+")
    expect(page.get_by_text("def tell").first).to_be_visible()
    page.get_by_role("list", name="Versions").get_by_role("button").nth(1).click()
    expect(page.get_by_text("This is the oldest that is kept")).to_be_visible()


def test_a_failed_run_leads_to_what_has_changed_since_the_last_good_one(page: Page, service: Service) -> None:
    (Path(service.folder) / "pipelines.py").write_text(LATER)
    good = service.client.get("/runs", pipeline="nightly", state="succeeded", limit=1)["items"][0]
    # The first runs after the change may still begin with the code that was served before it.
    run, until = service.run("nightly", params={"works": False}, until="failed"), time.monotonic() + 30
    while run["code"] == good["code"] and time.monotonic() < until:
        run = service.run("nightly", params={"works": False}, until="failed")
    assert run["code"] != good["code"]
    page.goto(f"/runs/{run['no']}")
    page.get_by_role("link", name=f"changed since #{good['no']}").click()
    expect(page).to_have_url(re.compile("tab=versions"))
    expect(page).to_have_url(re.compile(f"version={run['code']}"))
    expect(page).to_have_url(re.compile(f"against={good['code']}"))
    expect(page.get_by_role("region", name="what differs in the graph of nightly")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="added")).to_contain_text("tell")
    expect(page.get_by_role("list", name="Versions").locator("[aria-current=true]")).to_contain_text(run["code"][:8])


def test_what_could_not_be_loaded_stands_on_top_with_its_place_and_hint(page: Page, service: Service) -> None:
    (Path(service.folder) / "pipelines.py").write_text(LATER + "\n\nimport orders_of_nobody\n")
    page.goto("/pipelines")
    problems = page.get_by_role("region", name="Problems of shop")
    # The loader looks again within a second, and needs longer where two browsers share two cores.
    expect(problems).to_contain_text(re.compile(r"pipelines\.py:\d+"), timeout=20_000)
    expect(problems).to_contain_text("No module named 'orders_of_nobody'")
    expect(problems).to_contain_text("install `orders_of_nobody`")
    expect(row(page, "nightly")).to_be_visible()
    (Path(service.folder) / "pipelines.py").write_text(LATER)
    expect(problems).to_be_hidden(timeout=20_000)


def test_a_pipeline_that_there_is_not_says_so(page: Page) -> None:
    page.goto("/pipelines/nothing")
    expect(page.get_by_role("alert")).to_contain_text("there is no pipeline 'nothing'")


def test_on_a_telephone_nothing_stands_beside_the_page(phone: Page) -> None:
    for path in (
        "/pipelines",
        "/pipelines/nightly",
        "/pipelines/nightly?tab=calendar",
        "/pipelines/nightly?tab=launch",
    ):
        phone.goto(path)
        expect(phone.get_by_role("heading", level=1)).to_be_visible()
        wide = phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
