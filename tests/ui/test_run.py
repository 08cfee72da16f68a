"""The page of a run: what broke, its graph, timeline, table, grid and history, and all that can be done there."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from .conftest import Service


@pytest.fixture(scope="module")
def broken(service: Service) -> dict:
    return service.run("broken", until="failed")


@pytest.fixture(scope="module")
def fan(service: Service) -> dict:
    return service.run("fan", until="over")


def node(page: Page, name: str):
    return page.locator(f'[data-node="{name}"]')


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


def opened(page: Page, run: dict, rest: str = "") -> None:
    page.goto(f"/runs/{run['no']}{rest}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"#{run['no']}")


# --- what broke ---------------------------------------------------------------------------------------------------


def test_the_first_cause_stands_on_top_with_its_error_owner_and_what_it_blocks(page: Page, broken: dict) -> None:
    opened(page, broken)
    causes = page.get_by_role("region", name="What broke")
    expect(causes).to_contain_text("1 cause, 2 steps behind")
    expect(causes).to_contain_text("ValueError: column 'dep_delay' is missing in flights.csv")
    expect(causes).to_contain_text("flights-team")
    expect(causes).to_contain_text("blocks fit, publish")


def test_a_look_at_the_cause_opens_the_inspector_and_stands_in_the_address(page: Page, broken: dict) -> None:
    opened(page, broken)
    page.get_by_role("button", name="Look at it").click()
    expect(page).to_have_url(re.compile(r"step=parse"))
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_contain_text("parse")
    page.reload()
    expect(panel).to_contain_text("parse")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page).not_to_have_url(re.compile("step="))


# --- graph --------------------------------------------------------------------------------------------------------


def test_the_graph_shows_each_step_with_its_state_and_a_click_selects_it(page: Page, broken: dict) -> None:
    opened(page, broken)
    expect(node(page, "parse")).to_have_attribute("data-state", "failed")
    expect(node(page, "fit")).to_have_attribute("data-state", "upstream_failed")
    node(page, "fit").click()
    expect(node(page, "fit")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("complementary", name="Inspector")).to_contain_text("fit")


def test_arrow_keys_walk_along_the_graph(page: Page, broken: dict) -> None:
    opened(page, broken, "?step=parse")
    node(page, "parse").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("step=fit"))
    expect(node(page, "fit")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("step=parse"))


def test_a_mapped_step_is_one_node_with_the_counts_of_its_instances(page: Page, fan: dict) -> None:
    opened(page, fan)
    expect(node(page, "square")).to_contain_text("×40")
    expect(node(page, "square")).to_contain_text("2 failed")


# --- timeline -----------------------------------------------------------------------------------------------------


def test_the_timeline_has_a_bar_for_each_attempt_and_marks_the_longest_way(page: Page, broken: dict) -> None:
    opened(page, broken)
    # Its key is answered when it is there.
    expect(page.get_by_role("tab", name="Timeline")).to_be_visible()
    page.keyboard.press("t")
    expect(page).to_have_url(re.compile("tab=timeline"))
    rows = page.get_by_role("list", name="steps in time")
    line = rows.get_by_role("listitem").filter(has_text="parse")
    expect(line.locator('button[title^="attempt"]')).to_have_count(2)
    expect(line.locator('button[title^="attempt 1 failed"]')).to_have_attribute("title", re.compile("dep_delay"))
    page.get_by_label("longest way only").check()
    expect(rows.get_by_role("listitem")).to_have_count(1)


def test_a_drag_over_the_timeline_zooms_and_the_whole_comes_back(page: Page, broken: dict) -> None:
    opened(page, broken, "?tab=timeline")
    track = page.get_by_test_id("timeline-track")
    expect(track).to_be_visible()
    box = track.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] - 3
    page.mouse.move(box["x"] + box["width"] * 0.6, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, y, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.9, y, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=[\d.]+"))
    page.get_by_role("button", name="The whole run").click()
    expect(page).not_to_have_url(re.compile(r"from="))


# --- table, grid, history -------------------------------------------------------------------------------------------


def test_the_table_has_what_failed_first_and_is_filtered_by_the_address(page: Page, fan: dict) -> None:
    opened(page, fan, "?tab=table")
    rows = page.get_by_role("table", name="steps").locator("tbody tr[aria-rowindex]")
    expect(rows.first).to_contain_text("square[16]")
    expect(rows.nth(1)).to_contain_text("square[33]")
    page.get_by_label("Search").fill("numb")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("q=numb"))
    page.get_by_label("Search").fill("")
    page.goto(f"/runs/{fan['no']}?tab=table&state=failed")
    expect(rows).to_have_count(2)
    expect(page.get_by_text("2 steps", exact=True)).to_be_visible()


def test_rows_are_walked_with_j_and_opened_with_enter(page: Page, fan: dict) -> None:
    opened(page, fan, "?tab=table&state=failed")
    expect(page.get_by_text("square[16]")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("index=33"))


def test_the_grid_draws_each_instance_and_opens_the_one_that_is_pressed(page: Page, fan: dict) -> None:
    opened(page, fan)
    tab(page, "Grid")
    grid = page.get_by_role("application", name=re.compile("instances of square: .*2 failed"))
    expect(grid).to_be_visible()
    grid.click(position={"x": 8, "y": 8})
    expect(page).to_have_url(re.compile("step=square&index=16|index=16&step=square"))
    grid.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("square[33]")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("index=33"))


def test_the_history_tells_what_happened_and_can_be_searched(page: Page, broken: dict) -> None:
    opened(page, broken, "?tab=events")
    table = page.get_by_role("table", name="events")
    expect(table).to_contain_text("asked for by")
    expect(table).to_contain_text("the run failed")
    page.get_by_label("Search").fill("retried")
    expect(table.locator("tbody tr[aria-rowindex]")).to_have_count(1)
    expect(table).to_contain_text("attempt 2 is to come")


# --- what can be done -------------------------------------------------------------------------------------------------


def test_one_press_retries_what_failed_and_shows_the_new_run(page: Page, service: Service) -> None:
    run = service.run("broken", until="failed")
    opened(page, run)
    page.get_by_role("button", name="Retry from failure").click()
    expect(page.get_by_role("heading", level=1)).not_to_contain_text(f"#{run['no']}")
    expect(page.get_by_text("retry of")).to_be_visible()
    page.get_by_role("link", name=f"#{run['no']}").click()
    expect(page.get_by_text("retried as")).to_be_visible()


def test_a_run_is_repeated_from_the_selected_step_with_the_same_code(page: Page, service: Service) -> None:
    run = service.run("orders", until="succeeded")
    opened(page, run, "?step=clean")
    page.get_by_role("button", name="more ways to retry").click()
    expect(page.get_by_text("From clean on")).to_be_visible()
    page.get_by_role("menuitem", name="with the same code").click()
    expect(page.get_by_text("retry of")).to_be_visible()
    expect(page.locator('[data-state="succeeded"]').first).to_be_visible()
    tab(page, "Events")
    expect(page.get_by_role("table", name="events")).to_contain_text("taken over from an earlier run")


def test_a_running_run_is_paused_resumed_and_cancelled_with_a_reason(page: Page, service: Service) -> None:
    run = service.run("patient", params={"name": "never"})
    opened(page, run)
    head = page.locator("header").filter(has=page.get_by_role("heading", level=1))
    page.get_by_role("button", name="Pause").click()
    expect(head.locator('[data-state="paused"]')).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(head.locator('[data-state="running"]')).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong day")
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(head.locator('[data-state="cancelled"]')).to_be_visible()
    expect(head).to_contain_text("wrong day")


def test_a_waiting_step_is_marked_and_says_who_did_it(page: Page, service: Service) -> None:
    run = service.run("patient", params={"name": "marks"})
    opened(page, run, "?step=finish")
    page.get_by_role("button", name="Mark finish").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("skipped", exact=True).click()
    dialog.get_by_label("Reason").fill("not needed today")
    dialog.get_by_role("button", name="Mark skipped").click()
    expect(dialog).to_have_count(0)
    expect(node(page, "finish")).to_have_attribute("data-state", "skipped")
    expect(page.get_by_role("button", name="Mark finish")).to_have_count(0)
    tab(page, "Events")
    expect(page.get_by_role("table", name="events")).to_contain_text(
        re.compile(r"marked skipped by \S+: not needed today")
    )
    service.open_gate("marks")


def test_a_question_is_answered_on_the_page_of_its_run(page: Page, service: Service) -> None:
    run = service.run("release")
    opened(page, run)
    expect(page.get_by_text("deploy 1.4 to prod?")).to_be_visible()
    expect(node(page, "go")).to_have_attribute("data-state", "awaiting")
    page.get_by_label("Comment").fill("looks right")
    page.get_by_role("button", name="approve", exact=True).click()
    expect(page.get_by_text("deploy 1.4 to prod?")).to_have_count(0)
    expect(node(page, "deploy")).to_have_attribute("data-state", "succeeded")


# --- live ---------------------------------------------------------------------------------------------------------


def test_a_step_that_ends_is_seen_to_have_ended_without_a_reload(page: Page, service: Service) -> None:
    run = service.run("patient", params={"name": "live"})
    opened(page, run)
    expect(node(page, "hold")).to_have_attribute("data-state", "running")
    begun = time.monotonic()
    service.open_gate("live")
    expect(node(page, "finish")).to_have_attribute("data-state", "succeeded")
    assert time.monotonic() - begun < 5
    head = page.locator("header").filter(has=page.get_by_role("heading", level=1))
    expect(head.locator('[data-state="succeeded"]')).to_be_visible()


# --- on a phone, and in general -------------------------------------------------------------------------------------


def test_on_a_phone_the_run_fits_and_begins_with_what_broke_and_the_list(phone: Page, broken: dict) -> None:
    opened(phone, broken)
    expect(phone.get_by_role("region", name="What broke")).to_be_visible()
    expect(phone.get_by_role("tab", name="Table")).to_have_attribute("aria-selected", "true")
    expect(phone.get_by_role("table", name="steps")).to_contain_text("parse")
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_that_is_not_there_is_said_to_be_none(page: Page) -> None:
    page.goto("/runs/99999999")
    expect(page.get_by_role("alert")).to_contain_text("99999999")


def test_the_page_offers_the_command_that_says_the_same(page: Page, broken: dict) -> None:
    opened(page, broken)
    expect(page.get_by_text(f"partita show {broken['no']}")).to_be_visible()
    opened(page, broken, "?step=parse")
    expect(page.get_by_text(f"partita why {broken['no']} parse")).to_be_visible()
