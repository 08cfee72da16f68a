"""`make demo`: the nightly on real data, then the morning report. `make demo BREAK=1`: with faults that happen.

What it does is what you can type: `partita run nightly --partition 2013-12-17`, then `partita report last`.

Exits with 0 if the night was as expected: all well, or broken exactly as asked for and told so by the report.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from faults import switched_on
from folders import HERE, Folders, default_folders
from stations import dbt_project

from partita.integrations.dbt import read_nodes

NIGHT = "2013-12-17"
# What each fault shows as: the step that is the first cause, or that was retried and then worked.
CAUSES = {
    "columns": "AA-JFK",
    "duplicates": "stg_planes:planes_are_registered_once",
    "memory": "model_cancellation_risk",
}
RETRIED = {"timeouts": "weather"}

# The dashboards read best in this order.
PAGES = ("punctuality", "weather", "routes", "fleet", "costs", "models")


def main() -> int:
    asked = switched_on()
    folders = default_folders()
    if asked:
        # A fault shows itself where nothing is there yet that worked before.
        shutil.rmtree(folders.root, ignore_errors=True)
        _say(f"the nightly of {NIGHT}, and four things go wrong" if len(asked) == 4 else f"with faults: {asked}")
    else:
        first = "" if folders.warehouse.exists() else "; the first time takes about a minute"
        _say(f"the nightly of {NIGHT}{first}")
    if not (folders.dbt_target / "manifest.json").exists():
        # Else it would be done while the project is loaded, which must not take long.
        print("dbt reads its project, once", flush=True)
        read_nodes(dbt_project(folders))
    status = _partita("run", "nightly", "--partition", NIGHT, stdout=subprocess.DEVNULL).returncode
    if status not in (0, 1):
        return status
    page = folders.root / "report.html"
    print(flush=True)
    _partita("report", "last", "--html", str(page), stderr=subprocess.DEVNULL)
    _say_where(folders, page)
    return _verdict(asked, status)


def _partita(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "partita.cli.main", words[0], "-C", str(HERE), *words[1:]]
    return subprocess.run(command, check=False, text=True, **options)


def _say_where(folders: Folders, page: Path) -> None:
    made = [name for name in PAGES if (folders.dashboards / f"{name}.html").exists()]
    print(f"\nreport      {_short(page)}")
    for at, name in enumerate(made):
        print(f"{'dashboards' if at == 0 else '':<12}{_short(folders.dashboards / f'{name}.html')}")
    tool = Path(sys.executable).with_name("partita")
    enter = f"cd {shlex.quote(_short(HERE))}; alias partita={shlex.quote(str(tool))}"
    words = ["why last", "show last", "graph nightly", "logs last flights", "list --kind assets"]
    if switched_on():
        # Without the faults the world is mended: the register of planes is delivered again, and all that stands on it.
        enter += f"; export NIGHTLY_ROOT={shlex.quote(str(folders.root))}"
        words = ["why last", "why last dashboard_models", "logs last stg_planes:planes_are_registered_once"]
        words += ["show last", "retry last --from planes   # the world is mended meanwhile"]
    print(f"\nlook further   {enter}")
    for word in words:
        print(f"               partita {word}")


def _verdict(asked: tuple[str, ...], status: int) -> int:
    """Whether the night was as expected."""
    if not asked:
        if status == 0:
            _say("run it again: what is unchanged comes from the cache. Break it: make demo BREAK=1")
        return status
    report = json.loads(_partita("report", "last", "--json", stdout=subprocess.PIPE).stdout)
    found = {cause["step"] for cause in report["causes"]}, {step["step"] for step in report["recovered"]}
    expected = {CAUSES[f] for f in asked if f in CAUSES}, {RETRIED[f] for f in asked if f in RETRIED}
    if found != expected:
        _say(f"the report should name {expected[0]} and, as retried, {expected[1]}; it names {found[0]} and {found[1]}")
        return 1
    behind = len({name for cause in report["causes"] for count in cause["blocks"] for name in count["names"]})
    _say(
        f"the demo succeeded at failing: {len(asked)} faults were put in, and the report names them "
        f"and not the {behind} steps behind them"
    )
    return 0


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _say(words: str) -> None:
    print(f"\n{words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
