"""What the tests of the screens look at: a bit of everything, quick, and doing what a test tells it by files.

`GATE` is a folder: a step that waits for `name` goes on when a file of that name is there.
"""

import dataclasses
import os
import time
from pathlib import Path
from typing import Literal

import partita as pt

GATE = Path(os.environ.get("PARTITA_TEST_GATE", "."))
day = pt.daily("2026-01-01", end="2026-03-31")


def wait_for(name: str) -> None:
    deadline = time.monotonic() + 60
    while not (GATE / name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened {name}")
        time.sleep(0.005)


@pt.task(owner="sales-team")
def extract(ctx: pt.Context, region: str = "eu", rows: int = 3) -> list[dict]:
    """Reads the orders of a region."""
    print(f"extracting {rows} rows of {region}")
    ctx.add_metadata(rows=rows)
    return [{"id": at, "region": region, "amount": 10 * at} for at in range(rows)]


@pt.task
def clean(orders: list[dict]) -> list[dict]:
    print("\x1b[32mclean\x1b[0m", len(orders), "orders")
    return [order for order in orders if order["amount"] > 0]


@pt.task(pool="warehouse")
def load(orders: list[dict]) -> int:
    return len(orders)


@pt.pipeline(owner="sales-team", tags=["daily", "sales"], schedule=pt.cron("0 3 * * *", tz="Europe/Berlin"))
def orders(region: str = "eu", rows: int = 3):
    """Every order of a region, loaded.

    The team of sales looks at it *first thing in the morning*.
    """
    load(clean(extract(region=region, rows=rows)))


@pt.task(retries=1, retry_delay=0, owner="flights-team")
def parse(text: str) -> int:
    print("parsing", text)
    print("WARNING the header is odd")
    if not (GATE / "parse_works").exists():
        raise ValueError(f"column 'dep_delay' is missing in {text}")
    return len(text)


@pt.task
def fit(size: int) -> float:
    return size / 2


@pt.task
def publish(model: float) -> str:
    return f"<b>model {model}</b>"


@pt.pipeline(tags=["daily"])
def broken():
    """Fails at `parse` until a test mends it."""
    size = parse("flights.csv")
    publish(fit(size))


@pt.task
def hold(name: str) -> str:
    print("waiting for", name, flush=True)
    wait_for(name)
    print("going on", flush=True)
    return name


@pt.task
def finish(name: str) -> str:
    return name


@pt.pipeline
def patient(name: str = "go"):
    """Runs until a test opens the gate."""
    finish(hold(name))


@pt.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@pt.task
def square(number: int) -> int:
    if number % 17 == 16:
        raise ArithmeticError(f"{number} is not liked")
    return number * number


@pt.task(when="all_done")
def add(squares: list[int]) -> int:
    return 1


@pt.pipeline
def fan(count: int = 40):
    """One step with many instances; each seventeenth fails."""
    add(square.map(numbers(count)))


@pt.task
def build() -> str:
    return "1.4"


@pt.task
def deploy(version: str, decision: dict) -> str:
    print("deploying", version, "said", decision["by"])
    return version


@pt.pipeline
def release():
    """Asks a person before it deploys."""
    version = build()
    go = pt.approval(
        "deploy {version} to prod?",
        by=["role:operator", "role:admin"],
        show={"version": version, "notes": pt.md.markdown("two **small** changes")},
        name="go",
        timeout="2d",
    )
    deploy(version, go)


@pt.asset(group="raw", owner="sales-team", partitions=day, columns={"id": "int", "amount": "float"}, tags=["pii"])
def raw_orders(ctx: pt.Context) -> list[int]:
    """All orders of a day, as they came."""
    ctx.add_metadata(rows=100 + len(ctx.partition), file=pt.md.path("orders.parquet"))
    return [1, 2, 3]


@pt.asset(
    group="core",
    owner="sales-team",
    partitions=day,
    freshness=pt.freshness("26h", warn="20h"),
    columns={"total": "float"},
    lineage={"total": "raw_orders.amount"},
)
def daily_sales(ctx: pt.Context, raw_orders: list[int]) -> int:
    """Sales of a day."""
    ctx.add_metadata(total=sum(raw_orders))
    return sum(raw_orders)


@pt.check(daily_sales)
def sales_are_positive(daily_sales: int) -> bool:
    return daily_sales > 0


crm = pt.external_asset("crm", description="synced by another tool", columns={"customer": "text"})


@pt.asset(group="marts", deps=[crm], owner="bi")
def customers() -> list[str]:
    return ["ann", "bob"]


@pt.asset(group="leaks")
def leaky() -> list[int]:
    """Has rows that it should not have: one check blocks for it, and one only warns."""
    return [1, 2, 3]


@pt.check(leaky, blocking=True)
def nothing_is_left(leaky: list[int]) -> pt.CheckResult:
    return pt.CheckResult(not leaky, message=f"{len(leaky)} rows that should not be there")


@pt.asset(group="leaks")
def loose() -> int:
    """Only warned about."""
    return 0


@pt.check(loose)
def is_tight(loose: int) -> bool:
    return loose > 0


@pt.asset(group="held", owner="bi", partitions=pt.static(["one", "two", "three"]))
def held(ctx: pt.Context) -> str:
    """Is made when a test opens the gate; "two" fails until it opens another one."""
    wait_for(f"held_{ctx.partition}")
    if ctx.partition == "two" and not (GATE / "held_works").exists():
        raise ValueError("the second one is odd")
    return ctx.partition


@pt.asset(group="pages", partitions=pt.product(day=day, region=pt.static(["eu", "us"])))
def regional(ctx: pt.Context) -> str:
    return ctx.partition


@pt.resource
class Warehouse:
    """Where the reports read from."""

    url: str

    def test(self) -> str | None:
        return None if self.url.startswith("db://") else f"{self.url} is no database"


@pt.resource
class Attic:
    """Where nobody looks."""

    url: str = "file://attic"

    def test(self) -> str | None:
        return f"{self.url} is no database"


# Nobody listens there: a test message fails, and says so.
nowhere = pt.post("nowhere", url="http://127.0.0.1:9/")
pt.alert("broken", on="run.failed", to=nowhere, subjects="pipeline:alarming")


@pt.sensor(orders, interval="1h")
def new_orders(ctx: pt.SensorContext):
    """Looks for new orders."""
    print("looking")
    return pt.SkipReason("no new order")


# --- the inside of a step ---------------------------------------------------------------------------------------------

_DOT = (
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)


@pt.task
def talk(lines: int) -> bytes:
    """Says a lot, some of it in colours."""
    for no in range(1, lines + 1):
        if no % 1000 == 0:
            print(f"WARNING row {no} is odd")
        else:
            print(f"\x1b[31mrow\x1b[0m {no} <img src=x onerror=alert(1)>")
    return bytes.fromhex(_DOT)


@pt.task
def frame(rows: int):  # type: ignore[no-untyped-def]
    import pandas

    return pandas.DataFrame({"carrier": ["AA", "UA"] * rows, "delay": [1.5, None] * rows})


@pt.task(retries=1, retry_delay=0)
def trip(ctx: pt.Context, picture: bytes, table, depth: int = 5) -> int:  # type: ignore[no-untyped-def]
    ctx.add_metadata(rows=len(table), note=pt.md.markdown("made of **two** tables"))
    print("going down", flush=True)
    if depth:
        return _deeper(depth)
    return 0


def _deeper(depth: int) -> int:
    if depth:
        return _deeper(depth - 1)
    raise LookupError("nothing is down here")


@pt.pipeline
def chatty(lines: int = 3000):
    trip(talk(lines), frame(20))


@pt.task
def follow(name: str) -> None:
    print("before", flush=True)
    wait_for(name)
    print("behind", flush=True)
    wait_for(name + "_more")


@pt.pipeline
def telling(name: str = "tell"):
    """Writes a line when a test lets it."""
    follow(name)


@dataclasses.dataclass
class Plan:
    """How to go about it."""

    share: float
    where: Literal["eu", "us"] = "eu"
    days: list[str] = dataclasses.field(default_factory=list)
    dry: bool = False


@pt.task
def roll_out(decision: dict) -> str:
    return str(decision["answer"])


@pt.pipeline
def rollout():
    """Asks a person for numbers."""
    roll_out(pt.approval("how far?", by=["role:operator", "role:admin"], answer=Plan, name="how_far", timeout="2d"))
