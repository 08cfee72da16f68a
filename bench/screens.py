"""The screens, measured in headless Chromium on the production build, against services as `partita up` starts them.

Bare, in the same run and browser: a static file of the same server shown, and the API's own answer for the data of a screen.
Medians of several rounds; prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import gzip
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
from history import fill
from playwright.sync_api import Browser, Page, sync_playwright

from partita.store.sqlite import open_store

PROJECT = """
import time
import partita as pt

@pt.task
def numbers(count: int) -> list[int]:
    return list(range(count))

@pt.task
def work(number: int) -> int:
    return number

@pt.task(when="all_done")
def add(numbers: list[int]) -> int:
    return 1

@pt.pipeline
def wide(count: int = 10000):
    add(work.map(numbers(count)))

@pt.task
def step(text: str) -> str:
    time.sleep(0.4)
    return text

@pt.pipeline
def short(text: str = "x"):
    step(step.named("again")(step.named("once_more")(text)))


def _asset(at: int):
    deps = [f"a{layer}" for layer in {at - 1, at - 7, at // 2} if 0 <= layer < at] if at % 25 else []

    @pt.asset(name=f"a{at}", deps=deps)
    def made() -> int:
        return 1

    return made

for _at in range(1000):
    globals()[f"_a{_at}"] = _asset(_at)
"""
# Long tasks since the page was opened; frames counted while something scrolls.
WATCH = """
window.__long = [];
new PerformanceObserver((list) => window.__long.push(...list.getEntries().map((one) => one.duration)))
  .observe({type: "longtask", buffered: true});
window.__frames = (ms) => new Promise((done) => {
  const times = [];
  const next = (now) => {
    times.push(now);
    if (now - times[0] < ms) requestAnimationFrame(next);
    else done(times.slice(1).map((at, n) => at - times[n]));
  };
  requestAnimationFrame(next);
});
window.__until = (test) => new Promise((done) => {
  const look = () => (test() ? done(true) : requestAnimationFrame(look));
  look();
});
// When what is looked for has been drawn, in ms since the page was asked for, or since `from`.
window.__drawn = (selector, text, from = 0) => new Promise((done, fail) => {
  const seen = () => [...document.querySelectorAll(selector)].some((one) => !text || one.textContent.includes(text));
  const end = () => requestAnimationFrame(() => requestAnimationFrame((now) => done(now - from)));
  if (seen()) return end();
  const watch = new MutationObserver(() => { if (seen()) { watch.disconnect(); end(); } });
  watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
  setTimeout(() => fail(new Error(`no ${selector} ${text ?? ""}`)), 30000);
});
"""


class Served:
    """A `partita up` over a folder."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "partita.cli.main", "up", "--port", "0", "--json"]
        self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self.url, is_loaded = "", False
        while not (self.url and is_loaded):
            event = json.loads(self.process.stdout.readline() or b'{"event": "ended"}')
            if event["event"] == "ended":
                raise SystemExit("partita up has ended")
            is_loaded = is_loaded or event["event"] == "loaded"
            self.url = event["address"] if event["event"] == "ready" and event.get("part") == "web" else self.url
        token = (folder / ".partita" / "token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}"}
        self.api = httpx2.Client(base_url=f"{self.url}/api/v1", headers=self.headers, timeout=60)

    def run(self, pipeline: str, **params: Any) -> dict[str, Any]:
        """A run that has ended."""
        run: dict[str, Any] = self.api.post("/runs", json={"pipeline": pipeline, "params": params}).json()
        while run["state"] not in ("succeeded", "failed", "cancelled"):
            run = self.api.get(f"/runs/{run['id']}", params={"wait": "30s"}).json()
        return run

    def close(self) -> None:
        self.api.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    service = Served(folder)
    try:
        yield service
    finally:
        service.close()


@contextlib.contextmanager
def opened(browser: Browser, service: Served) -> Iterator[Page]:
    """A page of a new visitor: nothing is in its cache."""
    context = browser.new_context(
        base_url=service.url, extra_http_headers=service.headers, viewport={"width": 1440, "height": 900}
    )
    context.add_init_script(WATCH)
    try:
        yield context.new_page()
    finally:
        context.close()


def median(rounds: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(rounds))


def drawn(page: Page, selector: str, text: str = "", start: str = "0") -> float:
    """Milliseconds until something is on the screen, since the page was asked for or since `start` (JavaScript)."""
    return float(page.evaluate(f"window.__drawn({json.dumps(selector)}, {json.dumps(text)}, {start})"))


def first(browser: Browser, service: Served, address: str, selector: str, text: str = "") -> float:
    """From nothing to a drawn screen."""
    with opened(browser, service) as page:
        page.goto(address, wait_until="commit")
        return drawn(page, selector, text)


def first_load_kb(browser: Browser, service: Served) -> float:
    """JavaScript that has come when the first screen is drawn, gzipped, in thousands of bytes."""
    with opened(browser, service) as page:
        page.goto("/", wait_until="commit")
        ready = drawn(page, "[data-testid=line]")
        # What is fetched ahead for other screens comes later, when nothing else is to be done.
        wanted = page.evaluate(
            """ready => performance.getEntriesByType("resource")
              .filter((one) => one.name.endsWith(".js") && one.responseEnd <= ready).map((one) => one.name)""",
            ready,
        )
    return sum(len(gzip.compress(httpx2.get(url, headers=service.headers).content, 6)) for url in wanted) / 1000


# Where the rail leads, and what of the screen is drawn when its data is there.
FOLLOWING = {
    "Runs": "table[aria-label=runs] tbody td",
    "Pipelines": "main table tbody td, main li a",
    "Assets": "main table tbody td",
    "Schedules": "main h1",
    "Backfills": "main h1",
    "Approvals": "main h1",
    "System": "main [role=tabpanel] *",
}


def following(browser: Browser, service: Served, rounds: int) -> dict[str, float]:
    """Clicks through the rail: from the click to the drawn screen."""
    times: dict[str, list[float]] = {name: [] for name in FOLLOWING}
    with opened(browser, service) as page:
        page.goto("/")
        drawn(page, "[data-testid=line]")
        page.wait_for_load_state("networkidle")
        for _ in range(rounds):
            for name, selector in FOLLOWING.items():
                page.evaluate("window.__from = undefined")
                page.evaluate(
                    """name => {
                      const link = [...document.querySelectorAll('nav[aria-label=Screens] a')]
                        .find((one) => one.title === name);
                      link.addEventListener('click', () => { window.__from = performance.now(); },
                        {once: true, capture: true});
                      document.querySelector('main').dataset.was = '1';
                    }""",
                    name,
                )
                page.locator("nav[aria-label=Screens]").get_by_title(name, exact=True).click()
                page.evaluate("() => window.__until(() => window.__from !== undefined)")
                drawn(page, "main h1", name, "window.__from")
                times[name].append(drawn(page, selector, "", "window.__from"))
                page.evaluate("() => window.__until(() => document.querySelector('[aria-busy=true]') === null)")
    return {name: statistics.median(of) for name, of in times.items()}


def scrolled(browser: Browser, service: Served, address: str, selector: str) -> dict[str, float]:
    """Frames while the wheel turns over a screen."""
    with opened(browser, service) as page:
        page.goto(address)
        drawn(page, selector)
        page.wait_for_load_state("networkidle")
        page.locator(selector).first.hover()
        page.evaluate("window.__counted = window.__frames(2500)")
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            page.mouse.wheel(0, 240)
        gaps = sorted(page.evaluate("window.__counted"))
    return {"fps": 1000 * len(gaps) / sum(gaps), "worst_ms": gaps[-1], "p95_ms": gaps[int(len(gaps) * 0.95)]}


def live_ms(browser: Browser, service: Served, rounds: int) -> float:
    """From the end of a step, as the API says it, until the open page of its run shows it."""
    late = []
    with opened(browser, service) as page:
        for _ in range(rounds):
            run = service.api.post("/runs", json={"pipeline": "short"}).json()
            page.goto(f"/runs/{run['no']}")
            seen = page.evaluate(
                """() => new Promise((done) => {
                  const look = () => document.querySelector('[data-node=once_more][data-state=succeeded]')
                    && document.querySelector('[data-node=again][data-state=succeeded]');
                  const watch = new MutationObserver(() => { if (look()) { watch.disconnect(); done(Date.now()); } });
                  if (look()) return done(0);
                  watch.observe(document, {subtree: true, childList: true, attributes: true});
                })"""
            )
            ended = service.api.get(f"/runs/{run['id']}/steps/again").json()["finished_at"]
            if seen:
                late.append(seen - _ms(ended))
            service.api.get(f"/runs/{run['id']}", params={"wait": "30s"})
    return statistics.median(late)


def _ms(instant: str) -> float:
    return dt.datetime.fromisoformat(instant).timestamp() * 1000


def lineage(browser: Browser, service: Served, rounds: int) -> dict[str, float]:
    """1,000 assets: until their graph is drawn, and the longest time in which the page answered nothing."""
    times, longest = [], []
    for _ in range(rounds):
        with opened(browser, service) as page:
            page.goto("/assets")
            drawn(page, "main table tbody td")
            page.wait_for_load_state("networkidle")
            page.evaluate("window.__long.length = 0; window.__from = performance.now()")
            page.locator("main").get_by_text("Lineage", exact=True).first.click()
            page.evaluate("window.__lineage = window.__drawn('[data-node]', '', window.__from)")
            times.append(page.evaluate("window.__lineage"))
            page.wait_for_load_state("networkidle")
            longest.append(max(page.evaluate("window.__long"), default=0.0))
    return {"lineage_ms": statistics.median(times), "lineage_longest_task_ms": statistics.median(longest)}


def api_ms(service: Served, path: str, rounds: int) -> float:
    """The API's own answer, for what a screen shows."""

    def ask() -> float:
        began = time.perf_counter()
        service.api.get(path).raise_for_status()
        return (time.perf_counter() - began) * 1000

    ask()
    return median(rounds * 2, ask)


def measure_small(browser: Browser, folder: Path, rounds: int, instances: int) -> dict[str, Any]:
    """All but the long history."""
    (folder / "pipelines.py").write_text(PROJECT)
    with served(folder) as service:
        wide = service.run("wide", count=instances)
        for _ in range(3):
            service.run("short")
        run = f"/runs/{wide['no']}"
        first(browser, service, "/", "[data-testid=line]")
        f: dict[str, Any] = {
            "screens_instances": instances,
            "screens_first_ms": median(rounds, lambda: first(browser, service, "/", "[data-testid=line]")),
            "screens_bare_ms": median(rounds, lambda: first(browser, service, "/favicon.svg", "svg")),
            "screens_today_api_ms": api_ms(service, "/today", rounds),
            "screens_js_kb": first_load_kb(browser, service),
        }
        clicks = following(browser, service, rounds)
        f["screens_following"] = clicks
        f["screens_following_ms"] = max(clicks.values())
        f["screens_run_ms"] = median(rounds, lambda: first(browser, service, f"{run}?tab=grid", "main canvas"))
        f["screens_run_table_ms"] = median(
            rounds, lambda: first(browser, service, f"{run}?tab=table", "table[aria-label=steps] tbody td")
        )
        f["screens_run_api_ms"] = api_ms(service, f"/runs/{wide['no']}/instances", rounds)
        grid = scrolled(browser, service, f"{run}?tab=grid", "main canvas")
        table = scrolled(browser, service, f"{run}?tab=table", "table[aria-label=steps] tbody td")
        f |= {f"screens_grid_{name}": value for name, value in grid.items()}
        f |= {f"screens_table_{name}": value for name, value in table.items()}
        f["screens_live_ms"] = live_ms(browser, service, rounds)
        f |= {f"screens_{name}": value for name, value in lineage(browser, service, rounds).items()}
        f["screens_lineage_api_ms"] = api_ms(service, "/lineage", rounds)
    return f


def measure_large(browser: Browser, folder: Path, rounds: int, runs: int) -> dict[str, float]:
    """A history of a million runs: its list, by clicking, by a filter, and from nothing."""
    (folder / "pipelines.py").write_text(
        "import partita as pt\n\n@pt.pipeline\ndef pipeline_1():\n    pt.task(print)()\n"
    )
    (folder / ".partita").mkdir(mode=0o700)
    with contextlib.closing(open_store(folder / ".partita" / "partita.db")) as store:
        fill(store, runs, now=time.time(), days=300.0)
    cell = "table[aria-label=runs] tbody td"
    with served(folder) as service:
        first(browser, service, "/runs", cell)
        opens = median(rounds, lambda: first(browser, service, "/runs", cell))
        address = "/runs?state=failed&pipeline=pipeline_1"
        filtered = median(rounds, lambda: first(browser, service, address, cell, "failed"))
        clicked = []
        with opened(browser, service) as page:
            page.goto("/system")
            drawn(page, "main h1")
            page.wait_for_load_state("networkidle")
            for _ in range(rounds):
                page.evaluate("window.__from = performance.now()")
                page.locator("nav[aria-label=Screens]").get_by_title("Runs", exact=True).click()
                clicked.append(drawn(page, cell, "", "window.__from"))
                page.locator("nav[aria-label=Screens]").get_by_title("System", exact=True).click()
                page.evaluate("() => window.__until(() => !document.querySelector('table[aria-label=runs]'))")
        api = api_ms(service, "/runs?limit=50", rounds)
        today = median(rounds, lambda: first(browser, service, "/", "[data-testid=line]"))
    return {
        "screens_history_runs": runs,
        "screens_history_first_ms": opens,
        "screens_history_ms": statistics.median(clicked),
        "screens_history_filter_ms": filtered,
        "screens_history_api_ms": api,
        "screens_history_today_ms": today,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--only", choices=["small", "large"])
    arguments = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for part in ("small", "large"):
            Path(name, part).mkdir()
        if arguments.only != "large":
            figures |= measure_small(browser, Path(name, "small"), arguments.rounds, arguments.instances)
        if arguments.only != "small":
            figures |= measure_large(browser, Path(name, "large"), arguments.rounds, arguments.runs)
        browser.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
