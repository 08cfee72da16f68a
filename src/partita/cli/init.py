"""`partita init`: a small project that runs at once, and shows the main ideas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from partita.cli import terminal
from partita.cli.naming import quoted
from partita.cli.parsing import Argument
from partita.errors import DefinitionError, WorldError

_PIPELINES = '''\
"""A small project: a pipeline of tasks with a map, and an asset with a check. Change it and run it again."""

import partita as pt

SOURCES = ["orders", "customers", "payments"]


@pt.task(retries=2, retry_delay="5s", label="{source}")
def extract(source: str, region: str) -> list[dict]:
    """One source; mapped, so there is one step instance for each."""
    print(f"reading {source} of {region}")
    return [{"source": source, "region": region, "row": n} for n in range(len(source))]


@pt.task
def combine(tables: list[list[dict]]) -> list[dict]:
    """All rows in one list: it waits for every instance of `extract`."""
    return [row for table in tables for row in table]


@pt.pipeline(schedule=pt.cron("0 3 * * *", tz="UTC"))
def daily(region: str = "eu"):
    """Every source, combined."""
    combine(extract.partial(region=region).map(SOURCES))


@pt.asset(group="raw")
def rates() -> dict[str, float]:
    """Exchange rates."""
    return {"EUR": 1.0, "USD": 1.08, "CHF": 0.96}


@pt.asset
def price_list(rates: dict[str, float]) -> dict[str, float]:
    """What a coffee costs; the parameter's name is the dependency."""
    return {currency: round(3.2 * rate, 2) for currency, rate in rates.items()}


@pt.check(price_list, blocking=True)
def prices_are_positive(price_list: dict[str, float]) -> bool:
    """Runs after the asset is made; blocking, so nothing reads it if this fails."""
    return all(price > 0 for price in price_list.values())
'''

_README = """\
# {name}

    partita run                # the pipeline, with a live view
    partita run +price_list    # an asset with all that it is made from
    partita why last           # why things are as they are
    partita graph daily        # what depends on what
    partita runs               # what ran, newest first
    partita up                 # serve it: its schedule, sensors, an HTTP API; Ctrl-C ends it

Everything is defined in `pipelines.py`. `partita check` finds what is wrong with it, `partita --help` lists the rest.
What was run is kept in `.partita` (remove it to start afresh).
"""

_IGNORED = ".partita/\n__pycache__/\n"


def init(
    target: Annotated[Path, Argument("FOLDER", "Where (default: here); made if it is missing")] = Path("."),
) -> int:
    """Make a small project that runs. Nothing that exists is changed."""
    folder = target.absolute()
    if (folder / "pipelines.py").exists() or (folder / "pipelines").exists():
        raise DefinitionError(f"{folder} has a project already", hint="name another folder: partita init FOLDER")
    if folder.exists() and not folder.is_dir():
        raise DefinitionError(f"{folder} is a file", hint="name a folder")
    files = {"pipelines.py": _PIPELINES, "README.md": _README.format(name=folder.name), ".gitignore": _IGNORED}
    made: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            if _write_new(folder / name, text):
                made.append(name)
    except OSError as error:
        raise WorldError(f"{folder} cannot be written: {error.strerror}", hint="name a folder that is yours") from error
    out = terminal.out()
    out.line(("● ", "green"), f"made {', '.join(made)} in {folder}")
    here = folder == Path.cwd()
    terminal.hint("partita run" if here else f"cd {quoted(str(target))} && partita run")
    return 0


def _write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; whether it was written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
