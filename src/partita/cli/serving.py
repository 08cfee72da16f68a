"""Whether a service is at work here, and what it says about itself.

Rule: light, for every command may ask; it looks at files before it imports anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partita.settings import Settings


def is_served(settings: Settings) -> bool:
    """Whether an engine answers that makes runs for others: that of `partita up`, and not that of a `partita run`.

    On this machine, or on another one with the same store.
    """
    if not settings.home.socket.exists():
        if not settings.home.store:
            return False
        from partita.engine.postbox import leader_elsewhere

        return bool(leader_elsewhere(settings.home))
    from partita.cli.project import has_engine

    return settings.home.service.exists() and has_engine(settings)


def say_interrupted(settings: Settings, runs: list[int]) -> None:
    """No engine answers, and these runs have not ended: because of a restart that takes a moment, or for good."""
    from partita.cli import terminal

    which = f"run {', '.join(map(str, runs))}"
    if service_of(settings) is not None:
        terminal.note(("◌ ", "amber"), f"the service is starting its scheduler again: {which} goes on then")
        return
    terminal.note(("◌ ", "amber"), f"no engine is at work: {which} was interrupted")
    terminal.hint(f"take it up: partita retry {runs[0]}, or partita up   or end it: partita cancel {runs[0]}")


def service_of(settings: Settings) -> dict[str, Any] | None:
    """What `partita up` wrote about itself: pid, since, address, projects, parts. None if it is not at work here."""
    import json

    from partita.executors.identity import is_alive

    try:
        content = json.loads(settings.home.service.read_text())
        return content if is_alive(content["process"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
