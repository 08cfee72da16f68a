"""Projects that are served: loaded by real hosts, versions by content, kept files, and runs that are asked for."""

from __future__ import annotations

import os
import queue
import select
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from partita.core.plain import pack
from partita.engine.asking import Retry, Submit, Submitted
from partita.engine.changes import Changes
from partita.engine.projects import Reload
from partita.engine.service import Service
from partita.errors import DefinitionError, ParamError
from partita.executors.kept import folders_of, is_kept, keep, listing
from partita.executors.processes import ProcessExecutor
from partita.settings import Home, Settings, home_of
from partita.store import versions
from partita.store.sqlite import open_in_memory

CODE = """
from pathlib import Path
import partita as pt
{imports}

@pt.task
def say(n: int) -> str:
    Path("said").write_text(f"{{n}} {word}")
    return "{word}"

@pt.pipeline
def one(n: int = 1):
    say(n)
"""


class Served:
    """A service over one project, turned by the test."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.settings = Settings.of(folder, workers=workers)
        self.settings.home.root.mkdir(mode=0o700, exist_ok=True)
        self.store = open_in_memory()
        self.executor = ProcessExecutor(
            {}, home=self.settings.home, source=lambda *key: self.service.projects.host_of(*key), patient=True
        )  # type: ignore[union-attr]
        self.service = Service(
            self.store, self.executor, settings=self.settings, projects=[self.settings], tell=self.events.append
        )
        self.handlers = self.service.handlers()
        self.service.start()

    def close(self) -> None:
        self.service.close(kill=True)

    def until(self, is_done: Callable[[], bool]) -> None:
        for _ in range(2000):
            if is_done():
                return
            self.service.turn(0.5)
        raise AssertionError(f"it does not come; events: {self.events}")

    def ask(self, request: Any) -> Any:
        """The answer to a request, as over the control socket."""
        asked = self.service.engine.post(lambda: self.handlers[type(request)](request))
        self.until(asked.done)
        answer = asked.result()
        if hasattr(answer, "done"):
            self.until(answer.done)
            answer = answer.result()
        return answer

    def edit(self, text: str) -> dict[str, Any]:
        """Change the project, and what was told of it."""
        count = len(self.events)
        (self.folder / "pipelines.py").write_text(text)
        self.ask(Reload())
        self.until(lambda: len(self.events) > count)
        return self.events[count]

    def end_of(self, made: Submitted) -> str:
        self.until(lambda: made.run not in self.service.engine.active)
        row = self.store.run(made.run)
        assert row is not None
        return str(row.state)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(CODE.format(imports="", word="old"))
    return folder


@pytest.fixture
def served(shop: Path) -> Iterator[Served]:
    with closing(Served(shop)) as made:
        yield made


def test_a_run_that_is_asked_for_before_the_project_is_loaded_waits_for_it(served: Served) -> None:
    assert not served.events
    made = served.ask(Submit("one", "somebody"))
    assert (made.no, made.is_new) == (1, True)
    assert served.end_of(made) == "succeeded"


def test_asking_twice_under_one_key_makes_one_run(served: Served) -> None:
    request = Submit("one", "somebody", params=pack({"n": "5"}), key="k")
    first, second = served.ask(request), served.ask(request)
    assert (second.run, second.no, second.is_new) == (first.run, first.no, False)
    assert served.end_of(first) == "succeeded"
    assert served.ask(request).run == first.run
    assert served.store.run_of_origin("default", "api:k") == first.run
    assert (served.folder / "said").read_text() == "5 old"


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Submit("one", "s", params=pack({"n": "x"})), ParamError, "whole number"),
        (Submit("one", "s", params=pack({"m": 1})), ParamError, "`m`"),
        (Submit("one", "s", params=pack([1])), ParamError, "by name"),
        (Submit("nobody", "s"), DefinitionError, "nobody"),
        (Submit("one", "s", partition="2020-01-01"), DefinitionError, "partition"),
        (Retry("nobody", "s"), DefinitionError, "no run nobody"),
    ],
)
def test_what_is_wrong_is_said_before_there_is_a_run(
    served: Served, request_: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        served.ask(request_)
    assert served.store.runs() == []


def test_a_retry_names_its_version_and_what_it_takes_over(served: Served) -> None:
    first = served.ask(Submit("one", "s"))
    assert served.end_of(first) == "succeeded"
    with pytest.raises(DefinitionError, match="nothing to repeat"):
        served.ask(Retry(first.run, "s"))
    assert served.edit(CODE.format(imports="", word="new"))["event"] == "reloaded"
    same = served.ask(Retry(first.run, "s", ("say",), "same", key="a"))
    assert served.ask(Retry(first.run, "s", ("say",), "same", key="a")).run == same.run
    assert (same.reused, same.to_do) == (0, 1)
    assert served.end_of(same) == "succeeded"
    assert (served.folder / "said").read_text() == "1 old"
    assert served.end_of(served.ask(Retry(first.run, "s", ("say",)))) == "succeeded"
    assert (served.folder / "said").read_text() == "1 new"


def test_a_version_that_is_not_kept_cannot_be_had_again(served: Served) -> None:
    first = served.ask(Submit("one", "s"))
    assert served.end_of(first) == "succeeded"
    shutil.rmtree(served.settings.home.code)
    served.edit(CODE.format(imports="", word="new"))
    with pytest.raises(DefinitionError, match="is not kept"):
        served.ask(Retry(first.run, "s", ("say",), "same"))


def test_the_host_of_an_older_version_goes_when_its_runs_have_ended(served: Served) -> None:
    served.until(lambda: bool(served.events))
    old = served.executor.crews["shop"].connection
    descriptor = os.pidfd_open(old.pid)
    try:
        served.edit(CODE.format(imports="", word="new"))
        served.until(lambda: not served.executor.crews.codes("shop"))
        served.until(lambda: bool(select.select([descriptor], [], [], 0)[0]))
        # reaped too: nothing of it is left, not even a zombie
        served.until(lambda: old.reap() is not None)
    finally:
        os.close(descriptor)


def test_definitions_that_would_be_lost_by_a_mistake_go_on(served: Served) -> None:
    served.until(lambda: bool(served.events))
    good = served.events[0]["code"]
    broken = CODE.format(imports="", word="old").replace("    say(n)", "    say(nonsense=1)")
    kept = served.edit(broken)
    assert (kept["event"], kept["code"]) == ("kept", good)
    assert "would lose one" in kept["error"]
    row = versions.project(served.store, "shop")
    assert row is not None
    assert (row.code, len(row.problems)) == (good, 1)
    assert served.end_of(served.ask(Submit("one", "s"))) == "succeeded"
    # without a mistake it is what somebody wants
    gone = served.edit("import partita as pt\n")
    assert (gone["event"], gone["pipelines"], gone["error"]) == ("reloaded", 0, "")


def test_interpreters_of_their_own_import_the_version_that_is_served_not_what_lies_there(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    text = CODE.format(imports="import helper", word="{helper.SAYS}").replace(
        "@pt.task\n", '@pt.task(isolation="process")\n'
    )
    (folder / "pipelines.py").write_text(text.replace('return "{helper.SAYS}"', "return helper.SAYS"))
    (folder / "helper.py").write_text("SAYS = 'good'\n")
    with closing(Served(folder)) as served:
        served.until(lambda: bool(served.events))
        assert served.events[0]["problems"] == []
        (folder / "helper.py").write_text("SAYS = nonsense\n")
        served.ask(Reload())
        served.until(lambda: len(served.events) > 1)
        assert served.events[1]["event"] == "kept"
        assert served.end_of(served.ask(Submit("one", "s"))) == "succeeded"
        assert (folder / "said").read_text() == "1 good"


# --- versions by content --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "is_same"),
    [
        (lambda text: text + "\n# a comment\n", True),
        (lambda text: text.replace("\n\n", "\n\n\n"), True),
        (lambda text: text.replace("def say(n: int) -> str:", "def say(\n    n: int,\n) -> str:"), True),
        (lambda text: text.replace('return "old"', 'return "new"'), False),
        (lambda text: text.replace("@pt.task\n", "@pt.task(retries=1)\n"), False),
        (lambda text: text.replace("n: int = 1", "n: int = 2"), False),
    ],
    ids=["comment", "lines", "form", "code", "policy", "default"],
)
def test_a_version_is_what_the_code_means(shop: Path, edit: Callable[[str], str], is_same: bool) -> None:
    from partita.define.project import load

    text = (shop / "pipelines.py").read_text()
    before = load(shop).manifest.code
    assert load(shop).manifest.code == before
    (shop / "pipelines.py").write_text(edit(text))
    assert edit(text) != text
    assert (load(shop).manifest.code == before) == is_same


def test_definitions_made_of_other_files_have_their_version_too(shop: Path) -> None:
    from partita.define.project import load

    (shop / "names.json").write_text('["a"]')
    (shop / "pipelines.py").write_text(
        "import json, pathlib, partita as pt\n@pt.task\ndef t(): pass\n"
        "for name in json.loads((pathlib.Path(__file__).parent / 'names.json').read_text()):\n"
        "    @pt.pipeline(name=name)\n    def p():\n        t()\n"
    )
    before = load(shop).manifest.code
    (shop / "names.json").write_text('["a", "b"]')
    assert load(shop).manifest.code != before


# --- kept files -----------------------------------------------------------------------------------------------------


def test_a_kept_version_has_the_code_of_then_and_the_data_of_now(shop: Path) -> None:
    home = Home(shop / ".partita")
    (shop / "data").mkdir()
    (shop / "data" / "table.csv").write_text("1")
    (shop / "lib" / "deep").mkdir(parents=True)
    (shop / "lib" / "deep" / "x.py").write_text("old")
    (shop / "lib" / "notes.txt").write_text("1")
    (shop / ".venv").mkdir()
    (shop / ".venv" / "y.py").write_text("")
    kept = keep(home, "shop", "v1", shop)
    assert kept is not None
    assert kept.name == "shop"
    (shop / "lib" / "deep" / "x.py").write_text("new")
    (shop / "data" / "table.csv").write_text("2")
    assert (kept / "lib" / "deep" / "x.py").read_text() == "old"
    assert (kept / "data" / "table.csv").read_text() == "2"
    assert (kept / "lib" / "notes.txt").read_text() == "1"
    assert not (kept / ".partita").exists()
    assert is_kept(home, "shop", "v1", shop)
    # keeping it once more changes nothing
    assert keep(home, "shop", "v1", shop) == kept
    assert (kept / "lib" / "deep" / "x.py").read_text() == "old"


def test_what_is_no_code_is_neither_watched_nor_listed(shop: Path) -> None:
    for name in (".partita", ".venv", "__pycache__", "node_modules", "env"):
        (shop / name).mkdir()
        (shop / name / "x.py").write_text("")
    (shop / "env" / "pyvenv.cfg").write_text("")
    (shop / "out" / "compiled").mkdir(parents=True)
    (shop / "out" / "compiled" / "model.sql").write_text("")
    (shop / "models.yml").mkdir()
    (shop / "models.yml" / "there.txt").write_text("")
    (shop / "pyproject.toml").write_text('[tool.partita]\noutputs = ["out"]\n')
    assert folders_of(shop) == [str(shop), str(shop / "models.yml")]
    assert sorted(listing(shop)) == ["pipelines.py", "pyproject.toml"]
    (shop / "models.yml" / "there.txt").unlink()
    (shop / "models.yml").rmdir()
    (shop / "pyproject.toml").unlink()
    (shop / "out" / "compiled" / "model.sql").unlink()
    (shop / "out" / "compiled").rmdir()
    (shop / "out").rmdir()
    assert folders_of(shop) == [str(shop)]
    assert list(listing(shop)) == ["pipelines.py"]


def test_a_change_is_told_and_what_is_written_elsewhere_is_not(shop: Path) -> None:
    (shop / ".partita").mkdir()
    told: queue.Queue[set[Path]] = queue.Queue()
    changes = Changes([shop], told.put)
    changes.start()
    try:
        # as soon as it watches: whatever was changed before
        assert told.get(timeout=30) == {shop}
        (shop / ".partita" / "noise.py").write_text("")
        (shop / "data.bin").write_text("")
        (shop / "pipelines.py").write_text("import partita")
        assert told.get(timeout=30) == {shop}
        # of a folder that came
        (shop / "more").mkdir()
        assert told.get(timeout=30) == {shop}
        assert told.get(timeout=30) == {shop}
        (shop / "more" / "x.py").write_text("")
        assert told.get(timeout=30) == {shop}
    finally:
        changes.close()
    assert told.empty()


# --- homes ----------------------------------------------------------------------------------------------------------


def test_a_project_that_is_served_with_others_points_to_their_home(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTITA_HOME", raising=False)
    assert home_of(shop).root == shop / ".partita"
    (shop / ".partita").mkdir()
    (tmp_path / "all").mkdir()
    (shop / ".partita" / "home").write_text(f"{tmp_path / 'all'}\n")
    assert home_of(shop).root == tmp_path / "all"
    # one that is gone is passed over
    (tmp_path / "all").rmdir()
    assert home_of(shop).root == shop / ".partita"
    monkeypatch.setenv("PARTITA_HOME", str(tmp_path))
    assert home_of(shop).root == tmp_path


HANGING = (
    """
import time
from pathlib import Path

here = Path(__file__).parent
if "{folder}" == str(here) and not (here / "works").exists():
    {how}
"""
    + CODE
)


@pytest.mark.parametrize("how", ["time.sleep(600)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_load_that_took_too_long_or_was_killed_is_tried_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(HANGING.format(imports="", word="one", folder=folder, how=how))
    monkeypatch.setattr("partita.engine.projects._FIRST_PAUSE_S", 0.05)
    # Short for the one that hangs, long enough for the one that goes well on a slow machine: it is tried until it does.
    monkeypatch.setenv("PARTITA_LOAD_TIMEOUT", "3")
    service = Served(folder)
    try:
        service.until(lambda: len(service.events) >= 2)
        assert [e["event"] for e in service.events[:2]] == ["broken", "broken"]
        assert all(e["again_in_s"] is not None for e in service.events)
        (folder / "works").touch()
        service.until(lambda: service.events[-1]["event"] in ("loaded", "reloaded"))
        assert service.events[-1]["again_in_s"] is None
        assert service.service.projects is not None
        assert service.service.projects.due_at() == float("inf")
    finally:
        service.close()


def test_what_is_wrong_in_the_code_is_not_tried_again_before_a_file_changes(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text("import os\nos._exit(3)\n")
    service = Served(folder)
    try:
        service.until(lambda: bool(service.events))
        assert service.events[0]["event"] == "broken"
        assert service.events[0]["again_in_s"] is None
        assert service.service.projects is not None
        assert service.service.projects.due_at() == float("inf")
    finally:
        service.close()
