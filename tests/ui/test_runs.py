"""Runs, through a browser: the list with its filters, many at once, and the picture over time."""

from __future__ import annotations

import re
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from partita.core.events import RunCreated, RunEnded, RunStarted
from partita.core.graph import Graph, Step, encode, version
from partita.store.contract import RunCommit
from partita.store.sqlite import open_store

from .conftest import BUILT, Service


def row(page: Page, run: dict) -> Locator:
    link = page.get_by_role("link", name=f"#{run['no']}", exact=True)
    return page.get_by_role("table", name="runs").get_by_role("row").filter(has=link)


def test_a_run_appears_and_ends_without_a_reload(page: Page, service: Service) -> None:
    page.goto("/runs")
    name = "runs-live"
    run = service.run("patient", params={"name": name})
    expect(row(page, run)).to_contain_text("running")
    service.open_gate(name)
    expect(row(page, run)).to_contain_text("succeeded")
    expect(row(page, run)).to_contain_text(f"name={name}")
    row(page, run).get_by_role("link", name=f"#{run['no']}").click()
    expect(page).to_have_url(re.compile(f"/runs/{run['no']}$"))


def test_filters_are_in_the_address_and_go_together(page: Page, service: Service) -> None:
    good = service.run("orders", until="succeeded")
    bad = service.run("broken", until="failed")
    page.goto("/runs")
    expect(row(page, good)).to_be_visible()
    page.get_by_role("button", name="failed").click()
    expect(page).to_have_url(re.compile("state=failed"))
    expect(row(page, good)).to_be_hidden()
    expect(row(page, bad)).to_be_visible()
    page.get_by_role("button", name="succeeded").click()
    expect(row(page, good)).to_be_visible()
    page.get_by_role("textbox", name="Tag").fill("sales")
    page.get_by_role("textbox", name="Tag").press("Enter")
    expect(page).to_have_url(re.compile("tag=sales"))
    expect(row(page, bad)).to_be_hidden()
    expect(row(page, good)).to_be_visible()
    page.reload()
    expect(row(page, good)).to_be_visible()
    expect(row(page, bad)).to_be_hidden()
    page.get_by_role("button", name="clear the filters").click()
    expect(row(page, bad)).to_be_visible()
    expect(page).to_have_url(re.compile("/runs$"))


def test_a_search_finds_by_number_and_by_parameter(page: Page, service: Service) -> None:
    run = service.run("orders", until="succeeded", params={"region": "patagonia"})
    other = service.run("orders", until="succeeded", params={"region": "eu"})
    page.goto("/runs")
    expect(row(page, other)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("region=patagonia")
    expect(row(page, other)).to_be_hidden()
    expect(row(page, run)).to_be_visible()
    expect(page).to_have_url(re.compile("q=region"))
    page.get_by_role("textbox", name="Search").fill(f"#{other['no']}")
    expect(row(page, other)).to_be_visible()
    expect(row(page, run)).to_be_hidden()
    page.get_by_role("textbox", name="Search").fill("nothing of the kind")
    expect(page.get_by_text("No run fits")).to_be_visible()


def test_many_are_cancelled_after_a_question_and_each_is_answered_for(page: Page, service: Service) -> None:
    over = service.run("orders", until="succeeded")
    runs = [service.run("patient", params={"name": "runs-never"}) for _ in range(2)]
    page.goto("/runs")
    for run in (*runs, over):
        row(page, run).get_by_role("checkbox").check()
    bar = page.get_by_role("toolbar", name="selected runs")
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Cancel 2").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 run left alone")
    dialog.get_by_label("Reason").fill("the wrong day")
    dialog.get_by_role("button", name="Cancel 2 runs").click()
    results = page.get_by_role("list", name="results")
    expect(results.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Done").click()
    for run in runs:
        expect(row(page, run)).to_contain_text("cancelled")
    expect(bar).to_be_hidden()


def test_many_are_retried_and_make_new_runs(page: Page, service: Service) -> None:
    runs = [service.run("broken", until="failed") for _ in range(2)]
    page.goto("/runs?pipeline=broken")
    for run in runs:
        row(page, run).get_by_role("checkbox").check()
    page.keyboard.press("r")
    page.get_by_role("dialog").get_by_role("button", name="Retry 2 runs").click()
    expect(page.get_by_role("list", name="results").get_by_text("a new run")).to_have_count(2)
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("retry by").first).to_be_visible()


def test_runs_are_paused_and_resumed(page: Page, service: Service) -> None:
    run = service.run("patient", params={"name": "runs-pause"})
    page.goto("/runs")
    row(page, run).get_by_role("checkbox").check()
    page.get_by_role("button", name="Pause 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause 1 run").click()
    page.get_by_role("button", name="Done").click()
    expect(row(page, run)).to_contain_text("paused")
    row(page, run).get_by_role("checkbox").check()
    page.get_by_role("button", name="Resume 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume 1 run").click()
    page.get_by_role("button", name="Done").click()
    expect(row(page, run)).to_contain_text("running")
    service.open_gate("runs-pause")
    expect(row(page, run)).to_contain_text("succeeded")


def test_the_timeline_shows_all_runs_with_a_line_that_is_now(page: Page, service: Service) -> None:
    run = service.run("orders", until="succeeded")
    page.goto("/runs?view=timeline&hours=1")
    lane = page.get_by_test_id("lane-orders")
    expect(lane.get_by_role("link").first).to_be_visible()
    line = page.get_by_test_id("now")
    before = line.bounding_box()
    assert before is not None
    expect(line).not_to_have_attribute("style", line.get_attribute("style") or "")
    page.get_by_text("3 h", exact=True).click()
    expect(page).to_have_url(re.compile("hours=3"))
    lane.get_by_role("link").last.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("orders")
    assert run["no"] > 0


def test_a_drag_looks_closer_and_the_way_back_leads_to_now(page: Page, service: Service) -> None:
    service.run("orders", until="succeeded")
    page.goto("/runs?view=timeline&hours=12")
    expect(page.get_by_test_id("lane-orders")).to_be_visible()
    box = page.get_by_test_id("drag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 10, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=.*to="))
    expect(page.get_by_test_id("lane-orders")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("No run in this window")).to_be_visible()
    page.get_by_role("button", name="To now").click()
    expect(page.get_by_test_id("lane-orders")).to_be_visible()
    expect(page.get_by_test_id("now")).to_be_visible()


def test_the_equivalent_command_is_offered(page: Page) -> None:
    page.goto("/runs?pipeline=broken&state=failed")
    expect(page.get_by_text("partita runs broken --state failed")).to_be_visible()


# --- a long history ---------------------------------------------------------------------------------------------------


def long_history(file: Path, runs: int) -> None:
    """So many runs that ended one after the other, the first of them alone in having been asked for by `needle`."""
    graph = Graph("old", (Step("one"),))
    with closing(open_store(file)) as store:
        lease = store.acquire("engine", "history", 60.0)
        store.put_graph(version(graph), encode(graph))
        commits = []
        for no in range(runs):
            run, at = str(uuid.UUID(int=no + 1)), 1_700_000_000.0 + no
            by = "needle" if no == 0 else "somebody"
            created = RunCreated(at, run, "default", "shop", "old", version(graph), "", f"test:{no}", by)
            ended = (created, RunStarted(at), RunEnded(at, "succeeded"))
            commits.append(RunCommit(run, 1, at, ended))
        for first in range(0, runs, 1000):
            store.commit(commits[first : first + 1000], epoch=lease.epoch)
        store.release(lease)


def test_a_search_that_has_looked_through_as_many_runs_as_it_may_says_so_and_goes_on(
    browser: Browser, tmp_path: Path
) -> None:
    if not BUILT.exists():
        pytest.fail("the screens are not built; say: make ui")
    folder = tmp_path / "shop"
    (folder / ".partita").mkdir(parents=True, mode=0o700)
    (folder / "pipelines.py").write_text("import partita as pt\n\n\n@pt.pipeline\ndef old():\n    pt.task(print)()\n")
    long_history(folder / ".partita" / "partita.db", 10_050)
    service = Service(folder, tmp_path)
    context = browser.new_context(base_url=service.url, extra_http_headers={"Authorization": f"Bearer {service.token}"})
    try:
        page = context.new_page()
        page.goto("/runs?q=needle")
        said = page.get_by_role("status").filter(has_text="a search looks through")
        expect(said).to_contain_text("None found so far; a search looks through 10,000 runs at once")
        expect(said).to_contain_text("there are older ones")
        page.get_by_role("button", name="Look through older runs").click()
        expect(row(page, {"no": 1})).to_be_visible()
        expect(said).to_have_count(0)
    finally:
        context.close()
        service.close()
