"""The import of a project in its host, and what is told about it while it lasts.

The import may raise, hang, end the process or start threads. Before each module of the project is imported, its name
goes to the engine, so whoever has to give up can say where it was.

Rule: whatever user code does here, the engine gets one message: the manifest, or why there is none.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from partita.core import manifest as manifests
from partita.executors import control
from partita.executors.channel import Channel
from partita.executors.control import ToHost

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from partita.define.project import Project
    from partita.settings import Settings

_SLACK_S = 5.0


def load(settings: Settings, channel: Channel[ToHost]) -> Project | None:
    """Import the project and send its manifest; None if that failed, and the reason was sent."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # Should the engine die meanwhile, nobody else ends an import without end.
    faulthandler.dump_traceback_later(settings.load_timeout_s + _SLACK_S, exit=True)
    notice = _Notice(settings, channel)
    sys.meta_path.insert(0, notice)
    try:
        from partita.define.project import load as load_project

        project = load_project(settings.code_folder)
        answer: control.FromHost = control.Loaded(manifests.encode(project.manifest))
    except Exception as error:
        project = None
        answer = _failure(error)
    except SystemExit as error:
        project = None
        answer = control.LoadFailed(
            f"a module called sys.exit({error.code!r}) while it was imported",
            hint="a module of a project only defines; put a script's own code under `if __name__ == '__main__'`",
        )
    finally:
        sys.meta_path.remove(notice)
        faulthandler.unregister(signal.SIGUSR1)
        faulthandler.cancel_dump_traceback_later()
    channel.send(control.frame(answer))
    channel.flush_all()
    # What the import left is kept out of every later collection, so a worker's collector copies no shared page.
    gc.collect()
    gc.freeze()
    return project


class _Notice:
    """A finder that finds nothing, and says which module of the project is being looked for."""

    def __init__(self, settings: Settings, channel: Channel[ToHost]) -> None:
        self._channel = channel
        try:
            names = os.listdir(settings.code_folder)
        except OSError:
            names = []
        self._ours = frozenset(name.removesuffix(".py") for name in names)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self._ours:
            self._channel.send(control.frame(control.Importing(name)))
        return None


def _failure(error: Exception) -> control.LoadFailed:
    from partita.errors import PartitaError

    trace = traceback.format_exc()
    if isinstance(error, PartitaError):
        return control.LoadFailed(error.message, error.hint or "", trace)
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be made)"
    return control.LoadFailed(f"{type(error).__name__}: {text}", traceback=trace)
