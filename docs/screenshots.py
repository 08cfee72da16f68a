"""Pictures of every screen into docs/screens/, light and dark: of a nightly that broke, small enough to be kept.

`python docs/screenshots.py` makes its own night: three runs of examples/nightly, the last of them with faults, and an
approval. `--at URL --token T` takes them of a service that runs. Each file is a WebP below 80 kB.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
INTO = ROOT / "docs" / "screens"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
MOST_BYTES = 80_000
NIGHTS = ("2013-12-14", "2013-12-15", "2013-12-16", "2013-12-17")
# A pipeline of two steps beside the nightly, so that somebody is asked something.
RELEASE = '''"""What a person decides."""

import partita as pt


@pt.task
def compare() -> object:
    return pt.md.table([
        {"metric": "ROC AUC", "in use": 0.741, "new": 0.768},
        {"metric": "calibration error", "in use": 0.031, "new": 0.027},
        {"metric": "rows judged", "in use": 9_184, "new": 9_184},
    ])


@pt.task
def publish(decision: dict) -> str:
    return decision["by"]


@pt.pipeline(owner="modelling", tags=["release"])
def release_model():
    """Brings tonight's model of delays into use, if somebody agrees."""
    go = pt.approval(
        "Use tonight's model of delays?",
        by=["role:operator", "role:admin"],
        show={"numbers": compare(), "why now": pt.md.markdown("Trained on **all of 2013**; the one in use ends in June.")},
        timeout="2d",
        name="go",
    )
    publish(go)
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", help="the address of a service that runs")
    parser.add_argument("--token", default="", help="a token for it")
    parser.add_argument("--scheme", choices=["light", "dark"], help="only these")
    parser.add_argument("--only", default="", help="only pictures with this in their names")
    arguments = parser.parse_args()
    INTO.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        if arguments.at:
            take(browser, arguments.at, arguments.token, arguments.only, arguments.scheme)
        else:
            with night() as (url, token):
                take(browser, url, token, arguments.only, arguments.scheme)
        browser.close()
    files = sorted(INTO.glob("*.webp"))
    print(
        f"{len(files)} pictures, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB, in {INTO.relative_to(ROOT)}"
    )


def chromium() -> str | None:
    """Debian's Chromium, if it is there; else the driver's own."""
    return next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@contextmanager
def night() -> Iterator[tuple[str, str]]:
    """A service over the nightly with three good nights and a bad one."""
    with tempfile.TemporaryDirectory(prefix="partita-night-") as name:
        folder = Path(name, "nightly")
        leave = shutil.ignore_patterns(".partita", "out", "__pycache__", "tests")
        shutil.copytree(ROOT / "examples" / "nightly", folder, ignore=leave)
        (folder / "release.py").write_text(RELEASE)
        with (folder / "pipelines.py").open("a") as definitions:
            definitions.write("\n\nimport release  # noqa: E402\n")
        with up(folder, "") as (url, token):
            for day in NIGHTS[:-1]:
                over(url, token, {"pipeline": "nightly", "partition": day})
        with up(folder, "1") as (url, token):
            over(url, token, {"pipeline": "nightly", "partition": NIGHTS[-1]})
            ask(url, token, "POST", "/runs", {"pipeline": "release_model"})
            yield url, token


@contextmanager
def up(folder: Path, broken: str) -> Iterator[tuple[str, str]]:
    """`partita up` there: its address and a token."""
    words = [sys.executable, "-m", "partita.cli.main", "up", "--port", "0", "--json"]
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(folder, broken)
    )
    assert process.stdout is not None
    try:
        url, loaded = "", False
        while not (url and loaded):
            event = json.loads(process.stdout.readline() or b'{"event": "ended"}')
            if event["event"] == "ended":
                sys.exit("partita up has ended; look into its folder by hand: cd examples/nightly; partita up")
            loaded = loaded or event["event"] == "loaded"
            url = event["address"] if event["event"] == "ready" and event.get("part") == "web" else url
        yield url, (folder / ".partita" / "token").read_text().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def environment(folder: Path, broken: str) -> dict[str, str]:
    # A machine that is busy reads the project slowly; there is no hurry.
    return {
        **os.environ,
        "PARTITA_NIGHTLY_BREAK": broken,
        "NIGHTLY_ROOT": str(folder / "out"),
        "PARTITA_LOAD_TIMEOUT": "300",
    }


def ask(url: str, token: str, method: str, path: str, body: Any = None, **query: str) -> Any:
    """What the API answers. It says 503 while the project is still read, and when to ask again."""
    headers, until = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}, time.monotonic() + 90
    while True:
        answer = httpx2.request(method, f"{url}/api/v1{path}", json=body, params=query, headers=headers, timeout=90)
        if answer.status_code != 503 or time.monotonic() > until:
            break
        time.sleep(float(answer.headers.get("Retry-After", "1")))
    if answer.is_error:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json()


def over(url: str, token: str, body: dict[str, Any]) -> None:
    """A run to its end."""
    run = ask(url, token, "POST", "/runs", body)
    while run["state"] not in ("succeeded", "failed", "cancelled"):
        run = ask(url, token, "GET", f"/runs/{run['id']}", wait="60s")


def screens(url: str, token: str) -> dict[str, str]:
    """The address of every screen, by its picture's name."""
    runs = ask(url, token, "GET", "/runs", pipeline="nightly")["items"]
    broken = next((run for run in runs if run["state"] == "failed"), runs[0])
    run, asked = f"/runs/{broken['no']}", ask(url, token, "GET", "/approvals")["items"]
    cause = ask(url, token, "GET", f"/runs/{broken['id']}/why")["causes"][0]["step"]
    found = {
        "today": "/",
        "runs": "/runs",
        "floor": "/runs?view=timeline&hours=1",
        "run": run,
        "run-step": f"{run}?step={cause}",
        "run-timeline": f"{run}?tab=timeline",
        "run-table": f"{run}?tab=table",
        "step-log": f"{run}/steps/{cause}?tab=log",
        "pipelines": "/pipelines",
        "pipeline": "/pipelines/nightly",
        "launch": "/pipelines/nightly?tab=launch",
        "durations": "/pipelines/nightly?tab=durations",
        "assets": "/assets",
        "asset": "/assets/AA-EWR",
        "asset-lineage": "/assets/flights?tab=lineage",
        "lineage": "/lineage",
        "schedules": "/schedules",
        "calendar": "/schedules?tab=calendar",
        "backfill-plan": "/backfills?new=1&target=flights&partitions=2013-12-01..2013-12-13",
        "health": "/system",
        "limits": "/system?tab=limits",
        "approvals": "/approvals",
    }
    if asked:
        shown = next((gate for gate in asked if gate["step"] == "go" and "model" in gate["question"]), asked[0])
        found["approval"] = f"/approvals/{shown['run']}/{shown['step']}"
        # The one whose material names no folder of this machine.
        found["approvals"] = f"/approvals?of={shown['run_no']}/{shown['step']}/{shown['index']}"
    return found


ON_A_PHONE = ("today", "run", "run-step", "approvals", "approval")


def take(browser: Browser, url: str, token: str, only: str, scheme: str | None) -> None:
    """All of them."""
    addresses = {name: to for name, to in screens(url, token).items() if only in name}
    for colours in (scheme,) if scheme else ("light", "dark"):
        for size, ending in ((DESK, ""), (PHONE, "-phone")):
            context = browser.new_context(
                base_url=url,
                viewport=size,
                color_scheme=colours,
                timezone_id="UTC",
                reduced_motion="reduce",
                extra_http_headers={"Authorization": f"Bearer {token}"},
            )
            page = context.new_page()
            for name, address in addresses.items():
                if not ending or name in ON_A_PHONE:
                    # On a telephone what is chosen stands in the place of the list.
                    address = address.partition("?of=")[0] if ending else address
                    picture(page, address, INTO / f"{name}{ending}-{colours}.webp")
            context.close()


def picture(page: Page, address: str, file: Path) -> None:
    """One of them, when all of it is there."""
    page.goto(address)
    page.locator("main :is(h1, h2, h3)").first.wait_for()
    quiet(page)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # Text stays sharp in few colours; a graph with many may need fewer still, then a lossy file.
    for colours, quality in ((256, 100), (128, 100), (64, 100)):
        image.quantize(colours).convert("RGB").save(file, "WEBP", lossless=True, quality=quality, method=4)
        if file.stat().st_size <= MOST_BYTES:
            return
    for quality in (80, 65, 50):
        image.save(file, "WEBP", quality=quality, method=4)
        if file.stat().st_size <= MOST_BYTES:
            return


def quiet(page: Page) -> None:
    """Until nothing is on its way, and two frames are the same."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    before, until = b"", time.monotonic() + 10
    while time.monotonic() < until and (now := page.screenshot()) != before:
        before = now
        page.wait_for_timeout(250)


if __name__ == "__main__":
    main()
