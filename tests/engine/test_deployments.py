"""Bundles that are brought to a service: tried by real hosts, served when they are well, and there again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from partita.core.facts.deployments import DeploymentBegun
from partita.core.plain import pack as packed_params
from partita.engine import deploying
from partita.engine.asking import Submit
from partita.engine.deployments import Deploy
from partita.engine.service import Service
from partita.errors import DefinitionError, LoadError
from partita.executors import bundle
from partita.executors.processes import ProcessExecutor
from partita.settings import Home, Settings
from partita.store import deployments as rows
from partita.store import versions
from partita.store.sqlite import open_in_memory

CODE = """
import time
from pathlib import Path
import partita as pt

@pt.task
def say(file: str) -> str:
    deadline = time.monotonic() + 60
    while file and not Path(file).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    Path("said").write_text(Path("said").read_text() + "{word} " if Path("said").exists() else "{word} ")
    return "{word}"

@pt.pipeline
def one(file: str = ""):
    say(file)
"""


class Server:
    """A service that serves what is brought to it, turned by the test."""

    def __init__(self, home: Path, store: Any, projects: tuple[Path, ...] = (), *, values: str = "") -> None:
        self.home = Home(home, values=values)
        self.store = store
        home.mkdir(exist_ok=True, mode=0o700)
        base = Settings.of(home, home=self.home, workers=1)
        self.executor = ProcessExecutor(
            {},
            home=self.home,
            source=lambda *key: self.service.projects.host_of(*key),
            patient=True,  # type: ignore[union-attr]
        )
        self.service = Service(
            store,
            self.executor,
            settings=base,
            projects=[Settings.of(folder, home=self.home, workers=1) for folder in projects],
            deployments=True,
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
        raise AssertionError("it does not come")

    def ask(self, request: Any) -> Any:
        asked = self.service.engine.post(lambda: self.handlers[type(request)](request))
        self.until(asked.done)
        answer = asked.result()
        if hasattr(answer, "done"):
            self.until(answer.done)
            answer = answer.result()
        return answer

    def bring(self, folder: Path, **more: Any) -> int:
        """Begin a deployment of a folder; its number."""
        made = bundle.pack(folder, into=folder.parent / "bundles")
        deploying.put_bundle(self.home, more.get("project", "shop"), made.digest, made.path.read_bytes())
        request = Deploy(
            **{"project": "shop", "namespace": "default", "digest": made.digest, "size": made.size, "by": "ann", **more}
        )
        return int(self.ask(request).no)

    def ended(self, no: int) -> rows.DeploymentRow:
        """A deployment when it was tried, and is served if it was taken."""
        self.until(lambda: self.row(no).state != "trying")
        if self.row(no).state == "taken":
            self.until(lambda: self.code == self.row(no).code)
        return self.row(no)

    def row(self, no: int) -> rows.DeploymentRow:
        found = rows.deployment(self.store, "shop", no)
        assert found is not None
        return found

    @property
    def code(self) -> str:
        """The version that is served."""
        manifest = self.service.catalog.manifests.get("shop")
        return manifest.code if manifest is not None else ""

    def run(self, file: str = "") -> str:
        return str(self.ask(Submit(target="one", by="ann", params=packed_params({"file": file}), key=file or "k")).run)

    @property
    def said(self) -> str:
        try:
            return (self.home.deployed / "projects" / "shop" / "said").read_text()
        except FileNotFoundError:
            return ""


@pytest.fixture
def store() -> Iterator[Any]:
    store = open_in_memory()
    yield store
    store.close()


@pytest.fixture
def server(tmp_path: Path, store: Any) -> Iterator[Server]:
    server = Server(tmp_path / "home", store)
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path / "shop", "first")


def project(folder: Path, word: str, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(CODE.format(word=word) + more)
    return folder


def test_what_is_brought_is_served_and_runs_under_way_end_on_their_version(server: Server, folder: Path) -> None:
    go = folder.parent / "go"
    first = server.ended(server.bring(folder))
    assert (first.state, first.by, first.no) == ("taken", "ann", 1)
    run = server.run(str(go))
    server.until(lambda: run in server.service.engine.active)
    second = server.ended(server.bring(project(folder, "second"), over=first.digest))
    assert second.code != first.code
    go.touch()
    server.until(lambda: run not in server.service.engine.active)
    server.run()
    server.until(lambda: "second" in server.said)
    assert server.said.split() == ["first", "second"]


def test_what_cannot_be_loaded_is_refused_with_its_problems_and_the_last_good_goes_on(
    server: Server, folder: Path
) -> None:
    good = server.ended(server.bring(folder))
    (folder / "pipelines.py").write_text("import partita as pt\n\n1 / 0\n")
    bad = server.ended(server.bring(folder))
    assert bad.state == "refused"
    assert [(p.file, p.line) for p in bad.problems] == [("pipelines.py", 3)]
    assert server.code == good.code
    current = rows.deployed_project(server.store, "shop")
    assert current is not None
    assert current.no == good.no


def test_of_two_at_once_one_is_refused_and_so_is_one_over_another_version(server: Server, folder: Path) -> None:
    no = server.bring(folder, over="")
    with pytest.raises(DefinitionError, match="being tried"):
        server.bring(folder)
    server.ended(no)
    with pytest.raises(DefinitionError, match="another version by now"):
        server.bring(project(folder, "second"), over="")


def test_a_rollback_is_one_more_deployment_of_an_earlier_bundle(server: Server, folder: Path) -> None:
    first = server.ended(server.bring(folder))
    (folder / "old.py").write_text("x = 1\n")
    server.ended(server.bring(project(folder, "second")))
    assert (deploying.folder_of(server.home, "shop") / "old.py").exists()
    request = Deploy("shop", "default", first.digest, first.size, "bob", rollback=True)
    third = server.ended(server.ask(request).no)
    assert (third.no, third.code, third.rollback, third.by) == (3, first.code, True, "bob")
    assert not (deploying.folder_of(server.home, "shop") / "old.py").exists()


def test_another_name_or_namespace_than_was_said_is_refused(server: Server, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.partita]\nname = "other"\n')
    assert "is project 'other'" in server.ended(server.bring(folder)).error
    (folder / "pyproject.toml").write_text('[tool.partita]\nnamespace = "sales"\n')
    assert "for namespace 'sales'" in server.ended(server.bring(folder)).error
    with pytest.raises(DefinitionError, match="no name of a project"):
        server.ask(Deploy("../x", "default", "0" * 64, 1, "ann"))


def test_packages_that_the_server_lacks_are_told_before_anything_runs(server: Server, folder: Path) -> None:
    (folder / "requirements.txt").write_text("msgspec==0.0.1\nno-such-package-here\n")
    refused = server.ended(server.bring(folder))
    assert "does not have no-such-package-here" in refused.error
    taken = server.ended(server.bring(folder, anyway=True))
    assert taken.state == "taken"
    assert taken.warnings[0] == "no-such-package-here is not installed"
    assert "the lock says 0.0.1" in taken.warnings[1]
    assert taken.lock.startswith("requirements.txt ")


def test_a_project_that_is_served_from_a_folder_is_not_deployed_over(tmp_path: Path, store: Any, folder: Path) -> None:
    server = Server(tmp_path / "home", store, (folder,))
    try:
        server.until(lambda: server.code != "")
        with pytest.raises(DefinitionError, match="served from the folder"):
            server.bring(folder)
    finally:
        server.close()


def test_after_a_restart_it_is_served_again_whatever_was_half_done(tmp_path: Path, store: Any, folder: Path) -> None:
    before = Server(tmp_path / "home", store)
    taken = before.ended(before.bring(folder))
    # As a kill in the middle leaves it: a trial that never ended, a folder that is half laid out, no unpacked bundle.
    before.service.engine.record(DeploymentBegun(1.0, "shop", 2, "default", "ab" * 32, 1, "ann"))
    before.until(lambda: rows.deployment(store, "shop", 2) is not None)
    before.close()
    place = deploying.folder_of(before.home, "shop")
    (place / ".deployed").unlink()
    (place / "pipelines.py").write_text("half")
    versions_of = tmp_path / "home" / "deployed" / "versions" / "shop"
    for path in sorted(versions_of.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    server = Server(tmp_path / "home", store)
    try:
        server.until(lambda: server.code == taken.code)
        assert server.row(2).state == "refused"
        assert "ended before it was tried" in server.row(2).error
        row = versions.project(store, "shop")
        assert row is not None
        assert (row.active, row.folder) == (True, str(place))
    finally:
        server.close()


def test_another_machine_that_takes_over_finds_the_bundle_where_the_values_are(
    tmp_path: Path, store: Any, folder: Path
) -> None:
    values = (tmp_path / "values").as_uri()
    before = Server(tmp_path / "one", store, values=values)
    taken = before.ended(before.bring(folder))
    before.close()
    after = Server(tmp_path / "two", store, values=values)
    try:
        after.until(lambda: after.code == taken.code)
        assert (tmp_path / "two" / "deployed" / "projects" / "shop" / "pipelines.py").exists()
    finally:
        after.close()


def test_a_folder_is_laid_out_to_the_file_and_what_is_not_of_a_bundle_stays(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    source = tmp_path / "src"

    def laid(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        made = bundle.pack(source, into=tmp_path / "b")
        deploying.put_bundle(home, "shop", made.digest, made.path.read_bytes())
        deploying.lay_out(home, "shop", made.digest)
        return deploying.folder_of(home, "shop")

    place = laid({"pipelines.py": "1", "lib/a.py": "a", "thing.py": "file"})
    (place / ".venv").mkdir()
    (place / "report.html").write_text("of a step")
    (source / "lib/a.py").unlink()
    (source / "lib").rmdir()
    (source / "thing.py").unlink()
    laid({"pipelines.py": "2", "thing.py/inner.py": "now a folder"})
    assert sorted(p.name for p in place.iterdir()) == [
        ".deployed", ".deployed-files", ".venv", "pipelines.py", "report.html", "thing.py",
    ]  # fmt: skip
    assert (place / "thing.py" / "inner.py").read_text() == "now a folder"
    assert (place / "pipelines.py").read_text() == "2"


def test_old_bundles_go_and_a_rollback_to_them_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    digests = [f"{n:064x}" for n in range(30)]
    for digest in digests:
        deploying.put_bundle(home, "shop", digest, b"x")
    deploying.prune(home, "shop", digests)
    assert deploying.bundle_of(home, "shop", digests[19]) == b"x"
    with pytest.raises(LoadError, match="not kept any more"):
        deploying.bundle_of(home, "shop", digests[20])
