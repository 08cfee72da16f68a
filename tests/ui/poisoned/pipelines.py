"""A project whose every text breaks out of where it is put, if anything lets it.

`PARTITA_TEST_POISON` is a file of payloads (JSON). Each gets its own sink in turn, so that all of them pass through many.
Names are not among them: the product refuses such names, and the test says so.
"""

import itertools
import json
import logging
import os
from pathlib import Path

import partita as pt

POISON: list[str] = json.loads(Path(os.environ["PARTITA_TEST_POISON"]).read_text())
_next = itertools.cycle(POISON)


def some(count: int = 12) -> str:
    """So many payloads as one text."""
    return "\n".join(next(_next) for _ in range(count))


def one() -> str:
    return next(_next)


# Keys may hold much, but not what a selection of partitions is written with.
KEYS = [
    text
    for text in POISON
    if not set("|,*/") & {*text} and ".." not in text and text.isprintable() and text.strip() == text
]


@pt.task(owner=one(), tags=[one(), one()], description=some())
def say(ctx: pt.Context, text: str) -> dict:
    """Says all of it: <img src=/canary onerror=window.__xss=1></script><script>window.__xss=1</script>"""
    for payload in POISON:
        print(payload)
    logging.getLogger("shop").warning("%s", some())
    ctx.add_metadata(
        **{
            POISON[at]: value
            for at, value in enumerate(
                [
                    pt.md.markdown("\n\n".join(POISON)),
                    pt.md.markdown(
                        "\n".join(f"- [{at}]({payload}) ![{at}]({payload})" for at, payload in enumerate(POISON))
                    ),
                    pt.md.table([{POISON[2]: payload, POISON[3]: payload} for payload in POISON]),
                    pt.md.json({payload: payload for payload in POISON}),
                    pt.md.text(some()),
                    pt.md.path(one()),
                    *(pt.md.url(payload) for payload in POISON[:40]),
                ]
            )
        }
    )
    return {payload: payload for payload in POISON}


class Odd(Exception):
    pass


Odd.__name__ = Odd.__qualname__ = POISON[4]


@pt.task(owner=one(), description=some(), retries=1, retry_delay=0)
def fail(said: dict) -> None:
    poisoned = "<img src=x onerror=alert(1)></script><script>window.__xss=1</script>"  # shown by the code view
    raise Odd("\n".join(POISON), poisoned)


@pt.task
def give_up(said: dict) -> None:
    raise pt.Skip(some(6))


@pt.task
def table(said: dict) -> object:
    return [{POISON[5]: payload, "n": at} for at, payload in enumerate(POISON)]


@pt.task
def hold(said: dict, text: str) -> str:
    return text


@pt.pipeline(owner=one(), tags=[one(), one(), one()], description=some(20), schedule=pt.cron("0 3 * * *"))
def poisoned(text: str = one(), more: str = one()):
    said = say(text)
    fail(said)
    give_up(said)
    go = pt.approval(
        some(3), choices=[one(), one()], show={"said": said, "table": table(said)}, name="go", description=some()
    )
    hold(go, more)


@pt.asset(
    owner=one(),
    tags=[one()],
    description=some(20),
    partitions=pt.static(["a", "b", *KEYS[:30]]),
    columns={payload: payload for payload in POISON[:60]},
    lineage={},
)
def tainted(ctx: pt.Context) -> str:
    """Its code is shown: <img src=/canary onerror=window.__xss=1></script><script>window.__xss=1</script>"""
    ctx.add_metadata(rows=len(ctx.partition), **{POISON[6]: one(), POISON[7]: 3})
    print(some())
    return one()


@pt.check(tainted, description=some())
def checked(ctx: pt.Context, tainted: str) -> bool:
    ctx.add_metadata(note=pt.md.markdown(some(40)))
    return False


elsewhere = pt.external_asset("elsewhere", description=some(20), owner=one(), columns={one(): one()})


@pt.sensor(poisoned, interval="1h", description=some(), owner=one())
def look(ctx: pt.SensorContext):
    print(some())
    return pt.SkipReason(some(4))


@pt.sensor(poisoned, interval="1h", description=some(), owner=one())
def stumble(ctx: pt.SensorContext):
    raise Odd(some(4))


@pt.resource(description=some())
class Warehouse:
    url: str = one()

    def test(self) -> str | None:
        return some()


# What cannot be reached says so with its address.
nowhere = pt.post("nowhere", url="http://127.0.0.1:<img src=x onerror=alert(1)>/")
pt.alert(
    "taint",
    on=["run.failed", "step.failed", "check.failed", "sensor.failed", "run.cancelled"],
    to=nowhere,
    template=some(4),
)
