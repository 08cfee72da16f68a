"""One job in a process of its own, as a pod or a batch job has it: `python -m partita.executors.clusters.job`.

    --exchange ADDRESS --name NAME [--beside]

SIGTERM ends the job politely, and by force after its grace period. Status 0: an outcome is in the exchange, whatever it
says. 1: there is none, and why is on standard error. 75: somebody else performs this job, and nothing was done.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from partita.errors import PartitaError
from partita.executors.clusters.beside import Beside
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.perform import AlreadyClaimed, perform, stop_here
from partita.executors.clusters.station import Station

# How long the rest of the log may take after the outcome.
_SHIP_S = 60.0
_FAILED, _CLAIMED = 1, 75


def main(arguments: list[str] | None = None) -> int:
    """Perform the job; the exit status."""
    parser = argparse.ArgumentParser(prog="partita.executors.clusters.job", description="Perform one job of a cluster.")
    parser.add_argument("--exchange", required=True, help="the address of the exchange")
    parser.add_argument("--name", required=True, help="the job's name")
    parser.add_argument("--beside", action="store_true", help="the scheduler runs the container of this step")
    options = parser.parse_args(arguments)
    try:
        job = Exchange.at(options.exchange).job(options.name)
        if job is None:
            raise PartitaError(f"{options.exchange} has no job {options.name}", hint="it was removed, or never put")
        beside = Beside(job) if options.beside else None
        try:
            return _perform_until_told(job.name, job.policies.grace_s, lambda: perform(job))
        finally:
            if beside is not None:
                beside.close()
    except AlreadyClaimed as error:
        print(error, file=sys.stderr)
        return _CLAIMED
    except PartitaError as error:
        print(error, file=sys.stderr)
        return _FAILED


def _perform_until_told(name: str, grace_s: float, work: Callable[[], object]) -> int:
    """Perform in a thread, so that signals are heard meanwhile."""
    failed: list[BaseException] = []
    done = threading.Event()

    def carry_out() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    def end(number: int, frame: FrameType | None) -> None:
        stop_here(name, grace_s)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    threading.Thread(target=carry_out, name="partita-job", daemon=True).start()
    while not done.wait(1.0):
        continue
    if failed:
        raise failed[0]
    Station.here().shipping.wait(_SHIP_S)
    Station.here().close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
