"""`pt.container` over a stand-in for docker: what it is asked, what comes back, and what is left behind (nothing)."""

from __future__ import annotations

from pathlib import Path

import pytest

import partita as pt
from partita.define.container_run import ContainerFailed, ContainerOutOfMemory, _problem_of, found_runtime
from partita.define.context import enter, leave
from partita.errors import Cancelled, UserCodeError
from partita.worker.failures import describe

from .conftest import StandIn

NASTY = ["a b", "'; exit 3; '", "$(exit 3)", "`exit 3`", "-n", "*", "ü\n2", "--privileged", ""]


def test_the_last_line_that_it_wrote_is_the_result(docker: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert pt.container("busy:1", ["sh", "-c", "echo one; echo two >&2; echo three"]) == "three"
    said = capsys.readouterr()
    assert said.out == "one\nthree\n"
    assert said.err == "two\n"
    assert docker.left() == []


def test_its_output_may_be_json(docker: StandIn) -> None:
    assert pt.container("busy:1", ["echo", '{"rows": 3}'], result="json") == {"rows": 3}


@pytest.mark.parametrize("value", NASTY)
def test_no_value_is_read_as_shell_or_as_an_option(docker: StandIn, value: str) -> None:
    told = pt.container("busy:1", ["printf", "[%s]", value], env={"VALUE": value}, result="text")
    assert told == f"[{value}]"
    assert pt.container("busy:1", ["sh", "-c", 'printf "[%s]" "$VALUE"'], env={"VALUE": value}, result="text") == told


def test_values_of_variables_are_in_no_list_of_processes(docker: StandIn) -> None:
    pt.container("busy:1", ["true"], env={"TOKEN": "s3cret", "PATH": "/usr/bin:/bin"})
    (asked,) = docker.calls("run")
    assert "--env=TOKEN" in asked
    # One that the client itself reads is named with its value, or the client would take it for its own.
    assert "--env=PATH=/usr/bin:/bin" in asked
    assert not any("s3cret" in argument for argument in asked)
    assert "TOKEN" in docker.environment()


def test_files_go_in_and_come_out(docker: StandIn, tmp_path: Path) -> None:
    here = tmp_path / "here.csv"
    here.write_text("a,b\n1,2\n")
    result = pt.container(
        "busy:1",
        [
            "sh",
            "-c",
            "cat /in/rows.json > /out/copy.json; cat /in/here.csv > /out/table.csv; head -c 3 /in/raw.bin > /made/raw",
        ],
        inputs={"/in/rows.json": [{"id": 1}], "/in/here.csv": here, "/in/raw.bin": b"\0\1\2\3"},
        outputs={"copy": "/out/copy.json", "table": "/out/table.csv", "raw": "/made/raw"},
    )
    assert result == {"copy": [{"id": 1}], "table": "a,b\n1,2\n", "raw": b"\0\1\2"}


def test_inputs_cannot_be_changed_by_the_container(docker: StandIn) -> None:
    pt.container("busy:1", ["true"], inputs={"/in/a.txt": "a"}, outputs={})
    (asked,) = docker.calls("run")
    assert next(a for a in asked if a.startswith("--volume=")).endswith(":/in/a.txt:ro")


def test_an_output_that_is_not_there_is_named(docker: StandIn) -> None:
    with pytest.raises(UserCodeError, match=r"left no file /out/report\.json, which was to be output 'report'"):
        pt.container("busy:1", ["true"], outputs={"report": "/out/report.json"})


def test_an_output_that_is_a_link_is_not_followed(docker: StandIn) -> None:
    with pytest.raises(UserCodeError, match="left no file"):
        pt.container("busy:1", ["ln", "-s", "/etc/passwd", "/out/report.txt"], outputs={"report": "/out/report.txt"})


def test_an_input_that_is_not_there_is_named_before_anything_runs(docker: StandIn) -> None:
    with pytest.raises(UserCodeError, match=r"nowhere\.csv is not there"):
        pt.container("busy:1", ["true"], inputs={"/in/a.csv": Path("nowhere.csv")})
    assert docker.calls("run") == []


def test_everything_else_is_handed_on_as_it_is(docker: StandIn, tmp_path: Path) -> None:
    pt.container(
        "busy:1",
        ["ok"],
        entrypoint="echo",
        workdir="/tmp",
        user="1000:1000",
        network="none",
        pull="never",
        volumes={str(tmp_path): "/data:ro"},
    )
    (asked,) = docker.calls("run")
    for option in ("entrypoint=echo", "workdir=/tmp", "user=1000:1000", "network=none", "pull=never"):
        assert f"--{option}" in asked
    assert f"--volume={tmp_path}:/data:ro" in asked
    assert asked[asked.index("--") :] == ["--", "busy:1", "ok"]


class TestFailures:
    def test_an_exit_code_is_a_failure_with_the_last_lines(self, docker: StandIn) -> None:
        with pytest.raises(ContainerFailed) as caught:
            pt.container("busy:1", ["sh", "-c", "echo going; echo no such table >&2; exit 3"])
        failure = describe(caught.value)
        assert (failure.cause, failure.exit_code) == ("exit", 3)
        assert failure.message.startswith("the container failed: exit code 3; its last lines were:\n")
        assert "no such table" in failure.message
        assert docker.left() == []

    def test_a_container_that_was_killed_for_memory_says_so(self, docker: StandIn) -> None:
        greedy = "import time; held = bytearray(300 << 20); time.sleep(60)"
        token = enter(pt.Context(run_id="r", step="s", memory_bytes=100 << 20))
        try:
            with pytest.raises(ContainerOutOfMemory) as caught:
                pt.container("busy:1", ["python3", "-c", greedy])
        finally:
            leave(token)
        assert describe(caught.value).cause == "out_of_memory"
        (asked,) = docker.calls("run")
        assert f"--memory={100 << 20}" in asked
        assert f"--memory-swap={100 << 20}" in asked

    def test_an_image_that_cannot_be_had(self, docker: StandIn) -> None:
        with pytest.raises(ContainerFailed, match="docker could not start a container of nowhere:1") as caught:
            pt.container("nowhere:1", ["true"])
        assert "pull access denied" in str(caught.value)

    def test_a_command_that_is_not_there(self, docker: StandIn) -> None:
        with pytest.raises(ContainerFailed, match="the command is not in the image"):
            pt.container("busy:1", ["no-such-program"])

    def test_a_signal_has_its_name(self, docker: StandIn) -> None:
        with pytest.raises(ContainerFailed, match=r"exit code 137 \(SIGKILL\)"):
            pt.container("busy:1", ["sh", "-c", "kill -9 $$"])


class TestNothingIsLeftBehind:
    def test_a_step_that_is_to_stop_stops_its_container(self, docker: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        class Log:
            def write(self, line: str) -> None:
                if line == "begun\n":
                    raise Cancelled

            def flush(self) -> None: ...

        monkeypatch.setattr("sys.stdout", Log())
        with pytest.raises(Cancelled):
            pt.container("busy:1", ["sh", "-c", "echo begun; exec sleep 600"])
        assert len(docker.calls("stop")) == 1
        assert docker.left() == []

    def test_what_an_earlier_attempt_left_is_removed_before_the_next_one(self, docker: StandIn) -> None:
        left = docker.home / "partita-earlier"
        left.mkdir()
        labels = '{"partita.run": "r", "partita.step": "s", "partita.index": "-", "partita.attempt": "1"}'
        (left / "state.json").write_text(f'{{"pid": 999999999, "labels": {labels}, "running": false}}')
        other = docker.home / "partita-other"
        other.mkdir()
        (other / "state.json").write_text('{"pid": 999999999, "labels": {"partita.run": "r2"}, "running": true}')
        token = enter(pt.Context(run_id="r", step="s", attempt=2))
        try:
            pt.container("busy:1", ["true"])
        finally:
            leave(token)
        assert docker.left() == ["partita-other"]


class TestRuntimes:
    def test_a_client_whose_server_is_away_is_no_runtime(
        self, docker: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (docker.home / "away").touch()
        # Without what else there is on this machine.
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(UserCodeError) as caught:
            pt.container("busy:1", ["true"])
        told = str(caught.value)
        assert "there is no container runtime here: docker does not answer (Cannot connect to the Docker daemon" in told
        assert "hint: install podman" in told

    def test_the_one_that_is_named_is_used_and_no_other(self, docker: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        assert found_runtime() == "docker"
        with pytest.raises(UserCodeError, match="no container runtime here: nerd is not installed"):
            found_runtime("nerd")

    def test_without_any_it_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        _problem_of.cache_clear()
        with pytest.raises(UserCodeError, match="docker is not installed; podman is not installed") as caught:
            pt.container("busy:1", ["true"])
        assert caught.value.hint is not None
        assert "apt-get install podman" in caught.value.hint
        _problem_of.cache_clear()
