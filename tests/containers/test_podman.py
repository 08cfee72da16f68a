"""The same with a real podman, where one can run containers; its image is made of this machine's own static busybox."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import partita as pt
from executors.needed import give_up
from partita.define.container_run import ContainerFailed, ContainerOutOfMemory, _problem_of
from partita.define.context import enter, leave
from partita.errors import Cancelled

# Of this process: two of them take nothing from each other.
NAME = f"localhost/partita-test-{os.getpid()}"
IMAGE = f"{NAME}:1"
PROGRAMS = ("sh", "cat", "echo", "wc", "sleep", "head", "tail", "true", "id", "env")
# Machines on which nobody may raise limits, or whose control groups crun cannot use.
NARROW = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\n'


def podman(*arguments: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["podman", *arguments], input=data, capture_output=True, timeout=60, check=False)


def image() -> bytes:
    """A root file system with one program under many names."""
    busybox = shutil.which("busybox")
    # Of a static program `ldd` has nothing to say.
    if busybox is None or subprocess.run(["ldd", busybox], capture_output=True).returncode == 0:
        give_up("there is no static busybox to make an image of; say: apt-get install busybox-static")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("bin", "tmp", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for name in PROGRAMS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return packed.getvalue()


@pytest.fixture(scope="module")
def with_podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if shutil.which("podman") is None:
        give_up("podman is not installed; say: apt-get install podman runc")
    _remove_left()
    before = {name: os.environ.get(name) for name in ("CONTAINERS_CONF", "PARTITA_CONTAINER_RUNTIME")}
    os.environ["PARTITA_CONTAINER_RUNTIME"] = "podman"
    try:
        # A machine whose kernel lets nobody run containers is no fault of ours, in CI neither.
        if podman("import", "-", IMAGE, data=image()).returncode != 0:
            pytest.skip("podman cannot make an image here")
        if podman("run", "--rm", "--network=none", IMAGE, "true").returncode != 0:
            narrow = tmp_path_factory.mktemp("podman") / "containers.conf"
            narrow.write_text(NARROW)
            os.environ["CONTAINERS_CONF"] = str(narrow)
        tried = podman("run", "--rm", "--network=none", IMAGE, "true")
        if tried.returncode != 0:
            pytest.skip(f"podman runs no container here: {tried.stderr.decode()[-200:]}")
        _problem_of.cache_clear()
        yield
    finally:
        podman("rmi", "-f", IMAGE)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _problem_of.cache_clear()


def _remove_left() -> None:
    """The images, and what runs in them, of processes that were killed before they could do it."""
    for image in podman(
        "images", "--format={{.Repository}}", "--filter=reference=localhost/partita-test-*"
    ).stdout.split():
        if not Path(f"/proc/{image.decode().rpartition('-')[2]}").exists():
            podman("rmi", "-f", f"{image.decode()}:1")


def left() -> list[str]:
    return podman("ps", "-aq", "--filter=label=partita=1", f"--filter=ancestor={IMAGE}").stdout.decode().split()


pytestmark = pytest.mark.usefixtures("with_podman")


def test_its_last_line_is_the_result_and_values_travel_as_they_are() -> None:
    told = pt.container(IMAGE, ["sh", "-c", 'echo "[$1][$VALUE]"', "sh", "a 'b' $c"], env={"VALUE": "ü\n2"},
                        network="none", result="text")  # fmt: skip
    assert told == "[a 'b' $c][ü\n2]\n"
    assert left() == []


def test_files_go_in_and_come_out_also_where_the_program_is_nobody() -> None:
    result = pt.container(
        IMAGE,
        ["sh", "-c", "id -u > /out/who.txt; cat /in/rows.json > /out/rows.json; echo no > /in/rows.json || true"],
        inputs={"/in/rows.json": {"rows": [1, 2]}},
        outputs={"who": "/out/who.txt", "rows": "/out/rows.json"},
        user="1234:1234",
        network="none",
    )
    assert result == {"who": "1234\n", "rows": {"rows": [1, 2]}}


def test_an_exit_code_is_a_failure() -> None:
    with pytest.raises(ContainerFailed, match="exit code 3") as caught:
        pt.container(IMAGE, ["sh", "-c", "echo on its way; exit 3"], network="none")
    assert caught.value.exit_code == 3
    assert left() == []


def test_an_image_that_is_not_there_is_said_to_be() -> None:
    with pytest.raises(ContainerFailed, match="podman could not start a container of localhost/nowhere:1"):
        pt.container("localhost/nowhere:1", ["true"], pull="never")


def test_a_program_that_takes_too_much_memory_is_out_of_memory() -> None:
    token = enter(pt.Context(run_id="podman", step="eat", memory_bytes=32 << 20))
    try:
        # `tail` keeps a line without an end; it is the container's own program, so its death is the container's.
        with pytest.raises(ContainerOutOfMemory):
            pt.container(IMAGE, ["tail", "-n", "1", "/dev/zero"], network="none")
    finally:
        leave(token)
    assert left() == []


def test_a_step_that_is_to_stop_stops_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    class Log:
        def write(self, line: str) -> None:
            if line == "begun\n":
                raise Cancelled

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stdout", Log())
    script = "trap 'exit 0' TERM; echo begun; sleep 600 & wait"
    with pytest.raises(Cancelled):
        pt.container(IMAGE, ["sh", "-c", script], network="none")
    assert left() == []


def test_what_an_earlier_attempt_left_is_removed(tmp_path: Path) -> None:
    labels = [f"--label={label}" for label in ("partita=1", f"partita.run={NAME}", "partita.step=s", "partita.index=-")]
    assert podman("run", "-d", "--network=none", *labels, IMAGE, "sleep", "600").returncode == 0
    assert len(left()) == 1
    token = enter(pt.Context(run_id=NAME, step="s", attempt=2))
    try:
        pt.container(IMAGE, ["true"], network="none")
    finally:
        leave(token)
    assert left() == []
