"""A container that somebody else runs, asked for in a folder: what the step makes of what comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partita.define.container_beside import Asked, Ended, folder_of, leave, run_beside
from partita.define.container_files import ContainerFailed, ContainerOutOfMemory
from partita.errors import UserCodeError

PATIENCE_S = 60.0


class Engine:
    """Runs the container that is asked for, by doing what the test says, in a thread."""

    def __init__(self, folder: Path, does: Callable[[Path], Ended]) -> None:
        self.folder = folder
        self.asked: Asked | None = None
        self._does = does
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        wait_for(self.folder / "asked")
        self.asked = msgspec.msgpack.decode((self.folder / "asked").read_bytes(), type=Asked)
        leave(self.folder / "ended", msgspec.msgpack.encode(self._does(self.folder)))

    def run(self, asked: Asked, result: str = "last_line", **said: Any) -> Any:
        inputs, outputs = said.get("inputs", {}), said.get("outputs", {})
        asked = msgspec.structs.replace(asked, inputs=list(inputs), outputs=list(outputs.values()))
        try:
            return run_beside(self.folder, asked, inputs, outputs, result, 10.0)
        finally:
            self._thread.join(PATIENCE_S)


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"
        threading.Event().wait(0.01)


def says(*pieces: bytes, ended: Ended) -> Callable[[Path], Ended]:
    """Writes pieces of a log, and ends."""

    def does(folder: Path) -> Ended:
        for piece in pieces:
            with (folder / "log").open("ab") as log:
                log.write(piece)
        return ended

    return does


def test_what_it_writes_is_passed_on_whatever_the_pieces_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Ended(code=0)
    engine = Engine(tmp_path, says(b"gr\xc3", b"\xbc\xc3\x9fe\nand no end", ended=done))
    assert engine.run(Asked("busy:1")) == "and no end"
    assert capsys.readouterr().out == "grüße\nand no end"


def test_inputs_lie_there_before_it_is_asked_for_and_outputs_are_read(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,b\n")

    def does(folder: Path) -> Ended:
        (folder / "out" / "0").write_bytes((folder / "in" / "0").read_bytes())
        (folder / "out" / "1").write_bytes((folder / "in" / "1").read_bytes())
        return Ended(code=0, outputs=["there", "there"])

    given = {"/in/rows.json": [1, 2], "/in/own.csv": tmp_path / "own.csv"}
    engine = Engine(tmp_path, does)
    found = engine.run(Asked("busy:1"), inputs=given, outputs={"rows": "/out/rows.json", "own": "/out/own.csv"})
    assert found == {"rows": [1, 2], "own": "a,b\n"}


@pytest.mark.parametrize(
    ("ended", "kind", "message"),
    [
        (Ended(code=3), ContainerFailed, "the container failed: exit code 3; its last lines were:\nlast"),
        (Ended(code=143), ContainerFailed, "the container failed: exit code 143 (SIGTERM)"),
        (Ended(code=1, out_of_memory=True), ContainerOutOfMemory, "killed at its limit of 64 MiB"),
        (Ended(code=137), ContainerOutOfMemory, "killed at its limit of 64 MiB"),
        (
            Ended(note="could not be started: no image"),
            UserCodeError,
            "the container of busy:1 could not be started: no",
        ),
        (Ended(code=0, outputs=["missing"]), UserCodeError, "the container left no file /out/a.txt"),
        (Ended(code=0, outputs=["too_large"]), UserCodeError, "output 'a' is larger than 1 GiB"),
    ],
)
def test_its_end_is_the_error_that_it_would_be_with_docker(
    tmp_path: Path, ended: Ended, kind: type[Exception], message: str
) -> None:
    engine = Engine(tmp_path, says(b"last\n", ended=ended))
    with pytest.raises(kind) as caught:
        engine.run(Asked("busy:1", memory=64 << 20), outputs={"a": "/out/a.txt"})
    assert message in str(caught.value)


def test_a_step_that_is_to_stop_asks_for_the_end_and_waits_for_it(tmp_path: Path) -> None:
    def does(folder: Path) -> Ended:
        with (folder / "log").open("ab") as log:
            # More than a result may be: the step gives up by itself.
            log.write(b"x" * 10_000_001 + b"\n")
        wait_for(folder / "stop")
        return Ended(note="was stopped")

    engine = Engine(tmp_path, does)
    with pytest.raises(UserCodeError, match="more than 10,000,000 characters"):
        engine.run(Asked("busy:1"), result="text")
    assert (tmp_path / "ended").exists()


def test_a_folder_is_no_input_and_nothing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match="is a folder"):
        run_beside(tmp_path, Asked("busy:1"), {"/in/all": tmp_path}, {}, "none", 1.0)
    assert not (tmp_path / "asked").exists()


def test_where_nobody_runs_containers_beside_a_runtime_of_this_machine_does() -> None:
    assert folder_of({}) is None
    assert folder_of({"PARTITA_CONTAINER_FOLDER": "/there"}) == Path("/there")
