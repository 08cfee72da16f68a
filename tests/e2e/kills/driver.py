"""An engine that kills itself at a given place: `python driver.py PROJECT [SITE NUMBER]`.

SITE is "before" or "after" with the number of the commit, or "tell" with the number of the turn that has committed. Without
it the engine runs until everything has ended. It submits its one run by a fixed origin, so starting it again continues.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

from partita.engine.embedded import Embedded
from partita.engine.submission import RunRequest
from partita.settings import Settings
from partita.store.contract import OriginTaken


class Killer:
    """Wraps a store's commit, and ends this process at the chosen one."""

    def __init__(self, store: object, site: str, number: int) -> None:
        self._store, self._site, self._left = store, site, number

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def commit(self, commits: object, *, epoch: int, **more: object) -> object:
        self._left -= 1
        if self._left == 0 and self._site == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        created: object = self._store.commit(commits, epoch=epoch, **more)  # type: ignore[attr-defined]
        if self._left == 0 and self._site == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return created


def main(project: str, site: str = "", number: str = "0") -> int:
    with Embedded(Settings.of(Path(project), workers=2, lease_s=1.0), workers=2) as partita:
        if site:
            partita.store = Killer(partita.store, site, int(number))  # type: ignore[assignment]
        active = partita.start()
        with contextlib.suppress(OriginTaken):
            active.append(partita.submit(RunRequest("everything", "tests", "kills:1")))
        partita.wait(active, patience_s=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
