"""A step from inside: how it died, its log, what it was given, what it used, its code, why; and what a person is asked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import Service


@pytest.fixture(scope="module")
def chatty(service: Service) -> int:
    """A run whose last step failed twice, after one that has said a lot."""
    return int(service.run("chatty", until="failed")["no"])


def log_of(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("log", name="log")


def line(page: Page, no: int):  # type: ignore[no-untyped-def]
    return page.locator(f"[data-line='{no}']")


# --- how it is ---


def test_a_step_that_failed_says_how_it_died_before_all_else(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip")
    expect(page.get_by_role("heading", level=1)).to_have_text("trip")
    expect(page.get_by_text("It raised an exception")).to_be_visible()
    expect(page.get_by_text("LookupError: nothing is down here").first).to_be_visible()
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("in _deeper").first).to_be_visible()
    expect(page.get_by_role("link", name=f"#{chatty}")).to_be_visible()


def test_the_panel_of_a_run_shows_the_same_beside_the_run(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}?step=trip&pane=attempts")
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel.get_by_text("It raised an exception").first).to_be_visible()
    panel.get_by_role("tab", name="Log").click()
    expect(panel.get_by_text("going down")).to_be_visible()
    expect(page).to_have_url(re.compile("pane=log"))


def test_keys_turn_the_pages_of_a_step(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip")
    for key, name in {"w": "Why", "c": "Code", "i": "In & out", "l": "Log"}.items():
        expect(page.get_by_role("tab", name="Log")).to_be_visible()
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")


# --- its log ---


def test_a_log_is_searched_from_hit_to_hit_and_a_line_has_an_address(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/talk")
    expect(line(page, 1)).to_contain_text("row 1 <img src=x onerror=alert(1)>")
    page.keyboard.press("/")
    page.keyboard.type("is odd")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 lines")).to_be_visible()
    page.keyboard.press("Enter")
    expect(line(page, 1000)).to_be_in_viewport()
    expect(page).to_have_url(re.compile("find=is\\+odd#L1000"))
    page.get_by_role("button", name="next hit").click()
    expect(page.get_by_text("2 of 3")).to_be_visible()
    page.keyboard.press("n")
    expect(line(page, 3000)).to_be_in_viewport()
    page.keyboard.press("Shift+N")
    expect(page.get_by_text("2 of 3")).to_be_visible()
    expect(page.locator("mark").first).to_have_text("is odd")


def test_the_address_of_a_line_leads_to_it(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/talk#L1777")
    expect(line(page, 1777)).to_be_in_viewport()
    expect(line(page, 1)).to_have_count(0)
    line(page, 1779).get_by_role("link", name="line 1779").click()
    expect(page).to_have_url(re.compile("#L1779$"))


def test_a_log_is_filtered_by_level(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/talk")
    page.get_by_role("combobox", name="level").click()
    page.get_by_role("option", name="warnings and errors (3)").click()
    expect(log_of(page).locator("[data-line]")).to_have_count(3)
    expect(page).to_have_url(re.compile("level=warnings"))
    page.reload()
    expect(log_of(page).locator("[data-line]")).to_have_count(3)


def test_colours_are_shown_and_nothing_of_a_log_runs(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/talk")
    red = line(page, 1).get_by_text("row", exact=True)
    plain = line(page, 1).get_by_text("<img src=x")
    colour = "element => getComputedStyle(element).color"
    assert red.evaluate(colour) != plain.evaluate(colour)
    assert page.locator("[role=log] img").count() == 0


def test_a_log_wraps_has_times_and_is_downloaded_whole(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/talk")
    page.get_by_role("button", name="wrap long lines").click()
    expect(page.get_by_role("button", name="wrap long lines")).to_have_attribute("aria-pressed", "true")
    expect(line(page, 1)).to_be_visible()
    page.get_by_role("button", name="when each line was written").click()
    expect(line(page, 1)).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    link = page.get_by_role("link", name="download the whole log")
    expect(link).to_have_attribute("download", "talk-1.log")
    answer = page.request.get(str(link.get_attribute("href")))
    assert answer.text().count("\n") == 3000


def test_lines_come_as_they_are_written(page: Page, service: Service) -> None:
    run = service.run("telling", params={"name": "tell_ui"})
    page.goto(f"/runs/{run['no']}/steps/follow")
    expect(log_of(page).get_by_text("before")).to_be_visible()
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    service.open_gate("tell_ui")
    expect(line(page, 2)).to_contain_text("behind")
    service.open_gate("tell_ui_more")
    expect(page.get_by_text("live", exact=True)).to_have_count(0)
    expect(page.locator("[data-state=succeeded]").first).to_be_visible()


# --- what it was given and gave ---


def test_frames_are_tables_pictures_are_pictures_and_parameters_say_so(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip?pane=values")
    expect(page.get_by_text("40 rows × 2 columns")).to_be_visible()
    expect(page.get_by_role("columnheader", name="carrier")).to_be_visible()
    picture = page.get_by_role("img", name="picture")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 1
    expect(page.get_by_role("link", name="talk")).to_be_visible()
    page.goto(f"/runs/{chatty}/steps/talk?pane=values")
    expect(page.get_by_text("from parameter lines")).to_be_visible()


def test_metadata_is_shown_by_its_kind(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip?pane=metadata")
    expect(page.get_by_text("40", exact=True)).to_be_visible()
    expect(page.locator("strong", has_text="two")).to_be_visible()


# --- attempts, use, code, why ---


def test_attempts_stand_side_by_side(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip?pane=attempts")
    expect(page.get_by_role("columnheader", name="Attempt 1")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Attempt 2")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Error"))).to_contain_text("LookupError")
    page.get_by_role("combobox", name="attempt").click()
    page.get_by_role("option", name="attempt 1 of 2").click()
    expect(page).to_have_url(re.compile("attempt=1"))


def test_a_short_attempt_says_why_it_has_no_curve(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip?pane=use")
    expect(page.get_by_text("No curve of this attempt")).to_be_visible()
    expect(page.get_by_text("Highest memory")).to_be_visible()


def test_the_code_of_the_run_is_shown_with_its_definition_marked(page: Page, chatty: int) -> None:
    page.goto(f"/runs/{chatty}/steps/trip?pane=code")
    code = page.get_by_role("textbox", name=re.compile("pipelines.py, from line"))
    expect(code).to_contain_text("def trip(")
    expect(page.locator(".cm-marked").first).to_contain_text("@pt.task(retries=1")
    expect(page.locator(".cm-marked").first).to_be_in_viewport()


def test_why_leads_from_step_to_step(page: Page, service: Service) -> None:
    run = service.run("broken", until="failed")
    page.goto(f"/runs/{run['no']}/steps/publish")
    expect(page.get_by_role("tab", name="Why")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name=re.compile("why is parse so")).first.click()
    expect(page.get_by_text(re.compile("attempt 2 failed"))).to_be_visible()


# --- what a person is asked ---


def test_a_typed_answer_is_asked_for_field_by_field_and_given(page: Page, service: Service) -> None:
    run = service.run("rollout")
    page.goto(f"/runs/{run['no']}/steps/how_far")
    gate = page.get_by_role("region", name="approval how_far")
    expect(gate.get_by_role("heading", name="how far?")).to_be_visible()
    gate.get_by_role("button", name="approve").click()
    expect(gate.get_by_text("this is needed")).to_be_visible()
    gate.get_by_label("share").fill("0.25")
    gate.get_by_role("combobox", name="where").click()
    page.get_by_role("option", name="us").click()
    gate.get_by_role("button", name="Add").click()
    gate.get_by_role("textbox", name="days 1").fill("monday")
    gate.get_by_label("dry").check(force=True)
    gate.get_by_label("Comment").fill("a quarter first")
    gate.get_by_role("button", name="approve").click()
    expect(gate.get_by_label("answers so far")).to_contain_text("a quarter first")
    expect(gate.get_by_role("button", name="approve")).to_have_count(0)
    ended = service.client.get(f"/runs/{run['id']}", wait=30)
    assert ended["state"] == "succeeded"
    values = service.client.get(f"/runs/{run['id']}/steps/roll_out/values")
    assert "0.25" in str(values["output"]["value"])
    assert "monday" in str(values["output"]["value"])


def test_a_step_is_read_on_a_telephone(phone: Page, chatty: int) -> None:
    phone.goto(f"/runs/{chatty}/steps/trip")
    expect(phone.get_by_text("It raised an exception")).to_be_visible()
    expect(phone.get_by_text("going down")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
