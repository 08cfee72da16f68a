"""Who does not see, does not point, does not see colours or wants no motion can do what everybody can (WCAG 2.2, AA).

axe-core looks at every screen in the light, in the dark and as wide as a telephone; what it calls serious or critical fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .conftest import ROOT, Service

AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = ("serious", "critical")
# The squares of a grid and the bars of a history may be small; what they lead to is also a row of a list on the same screen,
# which is the exception that WCAG 2.5.8 names "equivalent". Nothing else may.
SMALL = "[role=gridcell][data-cell], a[data-bar]"
JUDGE = """async ([tags, small]) => {
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const found = await axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]});
  for (const one of found.violations)
    if (one.id === "target-size")
      one.nodes = one.nodes.filter((node) => !document.querySelector(node.target.at(-1))?.matches(small));
  return found.violations.filter((one) => one.nodes.length > 0).map(({id, impact, help, nodes}) => ({
    id, impact, help, at: nodes.slice(0, 4).map((node) => [node.target.join(" "), node.html.slice(0, 160), node.failureSummary]),
  }));
}"""

# Colours are judged as they are in the end, not on their way there.
STILL = """
const still = new CSSStyleSheet();
still.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important }");
document.adoptedStyleSheets = [still];
"""

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; say: make ui")


@pytest.fixture(scope="module")
def made(service: Service) -> dict[str, str]:
    """Something on every screen: the address of each by its name."""
    broken = service.run("broken", until="failed")["no"]
    fan = service.run("fan", until="over")["no"]
    service.run("orders", until="succeeded")
    asked = service.run("release")["no"]
    backfill = service.client.backfills.start("raw_orders, daily_sales", "2026-01-01..2026-01-02")["id"]
    for part in service.client.backfills.parts(backfill):
        if part["run"]:
            service.client.get(f"/runs/{part['run']}", wait=30)
    steps = f"/runs/{broken}/steps/parse"
    run = f"/runs/{broken}"
    return {
        "Today": "/",
        "Runs": "/runs",
        "Runs over time": "/runs?view=timeline",
        "Run, graph": run,
        "Run, step inspected": f"{run}?step=parse",
        "Run, timeline": f"{run}?tab=timeline",
        "Run, table": f"{run}?tab=table",
        "Run, grid": f"/runs/{fan}?tab=grid",
        "Run, events": f"{run}?tab=events",
        "Step, log": f"{steps}?pane=log",
        "Step, values": f"{steps}?pane=values",
        "Step, why": f"{steps}?pane=why",
        "Step, attempts": f"{steps}?pane=attempts",
        "Step, use": f"{steps}?pane=use",
        "Step, code": f"{steps}?pane=code",
        "Pipelines": "/pipelines",
        "Pipeline, grid": "/pipelines/orders",
        "Pipeline, graph": "/pipelines/orders?tab=graph",
        "Pipeline, calendar": "/pipelines/orders?tab=calendar",
        "Pipeline, durations": "/pipelines/orders?tab=durations",
        "Pipeline, runs": "/pipelines/orders?tab=runs",
        "Pipeline, versions": "/pipelines/orders?tab=versions",
        "Pipeline, launch": "/pipelines/orders?tab=launch",
        "Assets": "/assets",
        "Asset": "/assets/daily_sales",
        "Asset, lineage": "/assets/daily_sales?tab=lineage",
        "Asset, partitions": "/assets/daily_sales?tab=partitions",
        "Asset, materializations": "/assets/daily_sales?tab=made",
        "Asset, checks": "/assets/daily_sales?tab=checks",
        "Asset, why": "/assets/daily_sales?tab=why",
        "Asset, columns": "/assets/daily_sales?tab=columns",
        "Asset, definition": "/assets/daily_sales?tab=definition",
        "Asset, used by": "/assets/daily_sales?tab=uses",
        "Lineage": "/lineage",
        "Schedules": "/schedules",
        "Sensors": "/schedules?tab=sensors",
        "Calendar": "/schedules?tab=calendar",
        "Schedule": "/schedules/default/orders",
        "Sensor": "/sensors/default/new_orders",
        "Backfills": "/backfills",
        "Backfill plan": "/backfills?new=1&target=raw_orders&partitions=2026-01-01..2026-01-04",
        "Backfill": f"/backfills/{backfill}",
        "Approvals": "/approvals",
        "Approval": f"/approvals/{asked}/go",
        **{
            f"System, {tab}": f"/system?tab={tab}"
            for tab in ("health", "queues", "limits", "workers", "storage", "projects", "notifications", "resources")
        },
        "System, secrets": "/system?tab=secrets",
        "System, people": "/system?tab=people",
        "System, audit": "/system?tab=audit",
        "no such run": "/runs/999999",
    }


@pytest.fixture
def judged(make_context: Callable[..., BrowserContext]) -> Page:
    """A page with axe on it."""
    context = make_context(color_scheme="light")
    context.add_init_script(path=AXE)
    context.add_init_script(STILL)
    return context.new_page()


def settled(page: Page) -> None:
    """What is on its way has come."""
    expect(page.locator("main :is(h1, h2, h3), [role=alert]").first).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def findings(page: Page, where: str) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(JUDGE, [RULES, SMALL])
    serious = [one for one in found if one["impact"] in SERIOUS]
    return [f"{where}: {one['id']} ({one['help']}) {one['at']}" for one in serious]


def looked_at_in_every_light(page: Page, name: str) -> list[str]:
    found = findings(page, f"{name}, light")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    found += findings(page, f"{name}, dark")
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page)
    found += findings(page, f"{name}, phone")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})
    return found


PARTS = ["Today|Run|Step", "Pipeline", "Asset|Lineage", "Sched|Sensor|Calendar|Backfill|Approval", "System|no such"]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_no_screen_has_a_serious_finding(judged: Page, made: dict[str, str], part: str) -> None:
    found: list[str] = []
    for name, address in made.items():
        if re.match(part, name):
            judged.goto(address)
            settled(judged)
            found += looked_at_in_every_light(judged, name)
    assert found == [], "\n".join(found)


def test_every_screen_belongs_to_a_part(made: dict[str, str]) -> None:
    assert [name for name in made if not re.match("|".join(PARTS), name)] == []


def test_no_dialog_or_menu_has_a_serious_finding(judged: Page, made: dict[str, str], service: Service) -> None:
    found: list[str] = []
    judged.goto("/")
    settled(judged)
    judged.keyboard.press("Control+k")
    expect(judged.get_by_role("dialog")).to_be_visible()
    found += findings(judged, "palette")
    judged.keyboard.press("Escape")
    expect(judged.get_by_role("dialog")).to_have_count(0)
    judged.keyboard.press("?")
    expect(judged.get_by_role("dialog")).to_be_visible()
    found += findings(judged, "list of keys")
    judged.keyboard.press("Escape")
    judged.get_by_role("button", name=re.compile("Time zone")).click()
    expect(judged.get_by_role("menu")).to_be_visible()
    found += findings(judged, "menu of zones")
    judged.goto(made["Run, step inspected"])
    settled(judged)
    judged.get_by_role("button", name="more ways to retry").click()
    expect(judged.get_by_role("menu")).to_be_visible()
    found += findings(judged, "menu of retries")
    held = service.run("patient", params={"name": "accessible"})
    judged.goto(f"/runs/{held['no']}")
    judged.get_by_role("button", name="Cancel", exact=True).click()
    dialog = judged.get_by_role("dialog")
    expect(dialog).to_be_visible()
    found += findings(judged, "cancel?")
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(judged.locator("main")).to_contain_text("cancelled")
    assert found == [], "\n".join(found)


def test_signing_in_has_no_serious_finding(make_context: Callable[..., BrowserContext]) -> None:
    context = make_context(extra_http_headers={})
    context.add_init_script(path=AXE)
    context.add_init_script(STILL)
    page = context.new_page()
    page.goto("/signin")
    expect(page.get_by_role("heading").first).to_be_visible()
    assert looked_at_in_every_light(page, "sign in") == []


# --- by the keyboard ----------------------------------------------------------------------------------------------


def tabbed_to(page: Page, name: str, role: str = "") -> None:
    """Press Tab until what is called so has the focus, and is seen to have it."""
    for _ in range(120):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const at = document.activeElement;
              const style = getComputedStyle(at);
              return {
                name: (at.getAttribute("aria-label") ?? at.textContent).trim(),
                role: at.getAttribute("role") ?? at.tagName.toLowerCase(),
                ring: style.outlineStyle !== "none" || style.boxShadow !== "none" || at.matches("input"),
              };
            }"""
        )
        if re.search(name, at["name"]) and role in ("", at["role"]):
            assert at["ring"], f"{at} does not show that it has the focus"
            return
    raise AssertionError(f"Tab never reaches {name!r}")


def test_from_today_over_the_run_to_its_retry_with_tab_and_enter_alone(page: Page, service: Service) -> None:
    service.run("broken", until="failed")
    page.goto("/")
    expect(page.get_by_test_id("cause").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    tabbed_to(page, "^Why$", "a")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs/\d+\?.*step="))
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_be_visible()
    was = page.url
    page.locator("main").focus()
    tabbed_to(page, "^Retry from failure$", "button")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.split("?")[0] != was.split("?")[0])
    expect(page.get_by_role("heading", level=1)).to_contain_text("broken")


def test_escape_closes_the_inspector_and_gives_the_keys_back(page: Page, made: dict[str, str]) -> None:
    page.goto(made["Run, step inspected"])
    expect(page.get_by_role("complementary", name="Inspector")).to_be_visible()
    # The page answers no key before it is there.
    expect(page.get_by_role("tab", name=re.compile("^Timeline"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Inspector")).to_have_count(0)
    page.keyboard.press("t")
    expect(page.get_by_role("tab", name=re.compile("^Timeline"))).to_have_attribute("aria-selected", "true")


# --- motion, size -------------------------------------------------------------------------------------------------

MOVING = """() => document.getAnimations().filter((one) => {
  const {iterations, duration} = one.effect.getComputedTiming();
  return one.playState === "running" && (iterations === Infinity || duration > 200);
}).map((one) => one.animationName ?? one.transitionProperty)"""


def test_nothing_moves_for_whom_the_system_asks_for_no_motion(
    make_context: Callable[..., BrowserContext], service: Service
) -> None:
    run = service.run("patient", params={"name": "still"})
    moving = {}
    for wish in ("no-preference", "reduce"):
        page = make_context(reduced_motion=wish).new_page()
        page.goto(f"/runs/{run['no']}")
        expect(page.get_by_test_id("counts").get_by_role("img", name="running")).to_be_visible()
        moving[wish] = page.evaluate(MOVING)
    service.open_gate("still")
    # What runs turns, so that the other half of this test has something to find.
    assert moving["no-preference"] != []
    assert moving["reduce"] == []


@pytest.mark.parametrize("size", [{"width": 720, "height": 450}, {"width": 390, "height": 844}])
def test_today_enlarged_twice_needs_no_scrolling_to_the_side(
    make_context: Callable[..., BrowserContext], made: dict[str, str], size: dict[str, int]
) -> None:
    """200 % of 1440 x 900 is a page of 720 x 450."""
    page = make_context(viewport=size, device_scale_factor=2).new_page()
    for name in ("Today", "Run, graph", "Approvals"):
        page.goto(made[name])
        settled(page)
        wide = page.evaluate(
            "document.querySelector('#content').scrollWidth - document.querySelector('#content').clientWidth"
        )
        assert wide <= 0, f"{name} is {wide} px wider than the screen"
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_build_has_no_colour_alone_for_a_state(page: Page, made: dict[str, str]) -> None:
    """Wherever a state is drawn, a word says it too, to those who see and to those who listen."""
    page.goto("/runs")
    settled(page)
    cells = page.get_by_role("table", name="runs").get_by_role("row")
    expect(cells.nth(1)).to_contain_text(re.compile("succeeded|failed|running|waiting|queued|cancelled"))


def test_axe_is_here() -> None:
    assert Path(AXE).stat().st_size > 100_000
