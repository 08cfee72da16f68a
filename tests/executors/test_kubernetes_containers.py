"""`pt.container` on Kubernetes, against the double of the API server: the user's image in a pod of its own. Never run on a cluster.

The double runs an "image" as a process of this machine, which knows nothing of Partita: what is asked for here is the way of files,
words, logs and ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partita.core.policies import Policies
from partita.define.container_beside import Asked
from partita.executors.bundle import pack
from partita.executors.clusters.cluster import Job, name_of
from partita.executors.clusters.container_parts import Parts
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.executor import ClusterExecutor
from partita.executors.clusters.kubernetes import make
from partita.executors.clusters.kubernetes_container_pod import container_pod_of
from partita.executors.clusters.kubernetes_containers import _behind
from partita.executors.clusters.kubernetes_pod import KubernetesSettings, pod_of
from partita.executors.conformance import Stage, make_project
from partita.executors.contract import OpenAttempt
from partita.settings import Home
from partita.worker.wire import Brief, Outcome

from .a_kubernetes import Object, World
from .a_kubernetes_api import Server, _validate, serving
from .jobs import a_job, moments

NAMESPACE = "pipelines"
PATIENCE_S = 60.0
PLAIN = Policies(grace_s=8.0)
MISSING = "registry.example/missing:1"


class Containers(Stage):
    """A stage whose steps are containers."""

    def begin_container(self, *command: Any, policies: Policies = PLAIN, **said: Any) -> int:
        """Begin `pt.container("busy:1", command, ...)`; the number of its ticket."""
        given = {
            "image": "busy:1", "command": list(command), "entrypoint": None, "env": {}, "inputs": {}, "outputs": {},
            "volumes": {}, "workdir": None, "user": None, "network": None, "pull": "missing", "result": "last_line",
            "runtime": "", "limits": {"grace_s": policies.grace_s},
        }  # fmt: skip
        return self.begin("run_container", policies, **{**given, **said})

    def run_container(self, *command: Any, policies: Policies = PLAIN, **said: Any) -> Outcome:
        return self.outcome(self.begin_container(*command, policies=policies, **said))

    def name(self, no: int) -> str:
        """The pod of a ticket; that of its container has `-c` behind it."""
        return name_of("run-1", "run_container", str(no), 1, 1)

    def wait_until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.poll(0.02)

    def _brief(self, task: str, call: str, policies: Policies) -> Brief:
        brief = super()._brief(task, call, policies)
        return msgspec.structs.replace(brief, kind="container", memory_bytes=policies.memory_bytes)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "cluster") as server:
        yield server


@pytest.fixture
def world(server: Server) -> World:
    return server.world


@contextlib.contextmanager
def staged(folder: Path, server: Server, **table: object) -> Iterator[Containers]:
    project, exchange = folder / "project", folder / "exchange"
    if not project.exists():
        make_project(project)
        with (project / "pipelines.py").open("a") as file:
            file.write("\n\n@pt.pipeline\ndef boxes() -> None:\n    pt.container('busy:1', ['true'])\n")
    exchange.mkdir(exist_ok=True)
    home = Home(folder / "home")
    settings = {
        "image": "partita:1",
        "namespace": NAMESPACE,
        "kubeconfig": str(server.kubeconfig(server.world.folder / "config")),
        "python": sys.executable,
        "allow_images": ["busy:*", "registry.example/*"],
        "env": {"TOKEN": "of the executor"},
    }
    executor = ClusterExecutor(
        "grid",
        make("grid", {**settings, **table}),
        home=home,
        exchange=f"file://{exchange}",
        code_of=lambda name, code: pack(project, into=folder),
    )
    try:
        yield Containers(executor, home, module="partita.define.container_run")
    finally:
        executor.close()


@pytest.fixture
def stage(tmp_path: Path, server: Server) -> Iterator[Containers]:
    with staged(tmp_path, server) as stage:
        yield stage


def pods(world: World) -> list[str]:
    return [pod["metadata"]["name"] for pod in world.all("Pod")]


def failure_of(outcome: Outcome, state: str = "failed") -> Any:
    assert outcome.state == state, outcome
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    return outcome.detail.failure


def container_pod(world: World, stage: Containers, no: int) -> Object:
    """The pod of a ticket's container, as soon as its program runs."""
    found: list[Object] = []

    def runs() -> bool:
        for pod in world.all("Pod"):
            statuses = [
                *pod["status"].get("initContainerStatuses", []),
                *pod["status"].get("containerStatuses", []),
            ]
            if pod["metadata"]["name"] == f"{stage.name(no)}-c":
                found[:] = [pod for one in statuses if one["name"] == "container" and "running" in one["state"]]
        return bool(found)

    stage.wait_until(runs, "the container to run")
    return found[0]


class TestWays:
    def test_files_words_and_variables_go_in_and_files_and_the_log_come_out(self, stage: Containers) -> None:
        does = (
            'echo "counting for $1"; echo "$GREETING [$TOKEN]" >&2; grep -o id /in/rows.json | wc -l >/out/count.txt;'
            " cp /in/raw.bin /out/raw.bin; cat /in/text.txt >/out/deep/report.json"
        )
        no = stage.begin_container(
            "sh", "-c", does, "sh", "$(HOME) $$ $GREETING",
            env={"GREETING": "$(PATH) costs $5", "COUNT": 3},
            inputs={
                "/in/rows.json": [{"id": 1}, {"id": 2}],
                "/in/raw.bin": b"\x00\xff$(HOME)",
                "/in/text.txt": '{"whole": true}',
            },
            outputs={"count": "/out/count.txt", "raw": "/out/raw.bin", "report": "/out/deep/report.json"},
        )  # fmt: skip
        outcome = stage.outcome(no)
        assert stage.value(outcome) == {"count": "2\n", "raw": b"\x00\xff$(HOME)", "report": {"whole": True}}
        assert stage.log(no) == ["counting for $(HOME) $$ $GREETING", "$(PATH) costs $5 []"]

    def test_the_result_is_what_it_wrote(self, stage: Containers) -> None:
        says = {
            "last_line": "echo 1; echo 2",
            "json": """printf '{"a": 1}'""",
            "text": "echo 1; echo 2",
            "none": "echo 3",
        }
        begun = [stage.begin_container("sh", "-c", does, result=result) for result, does in says.items()]
        assert [stage.value(stage.outcome(no)) for no in begun] == ["2", {"a": 1}, "1\n2\n", None]

    def test_without_files_it_is_one_container_in_the_users_image_with_the_steps_resources(
        self, stage: Containers, world: World
    ) -> None:
        policies = Policies(cpu=0.5, memory_bytes=64 << 20, gpu=1, grace_s=8.0)
        world.nodes[0].extended["nvidia.com/gpu"] = 1
        no = stage.begin_container("sleep", "60", policies=policies)
        pod = container_pod(world, stage, no)
        (container,) = pod["spec"]["containers"]
        assert "initContainers" not in pod["spec"]
        assert (container["name"], container["image"], container["args"]) == ("container", "busy:1", ["sleep", "60"])
        assert container["resources"]["requests"] == {
            "cpu": "500m", "memory": str(64 << 20), "nvidia.com/gpu": "1"
        }  # fmt: skip
        own = world.get("Pod", NAMESPACE, stage.name(no))["spec"]["containers"][0]
        assert (own["image"], set(own["resources"]["requests"])) == ("partita:1", {"cpu", "memory"})
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"

    def test_its_log_is_read_while_it_runs(self, stage: Containers, tmp_path: Path) -> None:
        no = stage.begin_container("sh", "-c", f"echo one; until test -e {tmp_path}/go; do sleep 0.05; done; echo two")
        log = stage.home.root
        stage.wait_until(lambda: any(b"one" in file.read_bytes() for file in log.rglob("*.log*")), "the first line")
        (tmp_path / "go").touch()
        assert stage.value(stage.outcome(no)) == "two"
        assert stage.log(no) == ["one", "two"]

    @pytest.mark.slow
    def test_nothing_is_left_of_it(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("true", outputs={"a": "/out/a"})
        assert stage.outcome(no).state == "failed"
        assert sorted(pods(world)) == [stage.name(no), f"{stage.name(no)}-c"]
        stage.executor.close()
        assert pods(world) == []


class TestFailures:
    def test_an_exit_code_is_a_failure_with_its_last_lines(self, stage: Containers) -> None:
        failure = failure_of(stage.run_container("sh", "-c", "echo on its way; exit 3"))
        assert (failure.cause, failure.exit_code) == ("exit", 3)
        assert failure.message == "the container failed: exit code 3; its last lines were:\non its way"

    @pytest.mark.slow
    def test_after_a_failure_no_output_is_taken(self, stage: Containers) -> None:
        outcome = stage.run_container("sh", "-c", "echo 1 >/out/a.txt; exit 4", outputs={"a": "/out/a.txt"})
        assert failure_of(outcome).exit_code == 4

    def test_a_missing_output_is_said(self, stage: Containers) -> None:
        outcome = stage.run_container("sh", "-c", "ln -s /etc/passwd /out/a.txt", outputs={"a": "/out/a.txt"})
        assert failure_of(outcome).message == "the container left no file /out/a.txt, which was to be output 'a'"

    def test_too_much_memory_is_said_with_the_limit(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("sleep", "60", policies=Policies(memory_bytes=64 << 20, grace_s=8.0))
        container_pod(world, stage, no)
        world.kill_for_memory(NAMESPACE, f"{stage.name(no)}-c")
        failure = failure_of(stage.outcome(no))
        assert failure.cause == "out_of_memory"
        assert "killed at its limit of 64 MiB" in failure.message

    @pytest.mark.slow
    def test_a_command_that_is_not_in_the_image_is_said(self, stage: Containers) -> None:
        failure = failure_of(stage.run_container("no-such-program"))
        assert "could not be started" in failure.message
        assert "no-such-program" in failure.message

    def test_an_image_that_cannot_be_pulled_is_said(self, tmp_path: Path, server: Server) -> None:
        with staged(tmp_path, server, image_pull="500ms") as stage:
            failure = failure_of(stage.run_container("true", image=MISSING))
        assert "could not be started: its image cannot be pulled: Back-off pulling image" in failure.message

    @pytest.mark.slow
    def test_a_container_that_no_node_has_room_for_is_said(self, tmp_path: Path, server: Server) -> None:
        with staged(tmp_path, server, unschedulable="500ms") as stage:
            failure = failure_of(stage.run_container("true", policies=Policies(cpu=1000)))
        assert "no node has room for it: Unschedulable" in failure.message

    def test_what_it_cannot_have_is_refused_and_nothing_is_made(self, stage: Containers, world: World) -> None:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"image": "evil:1"}, "'evil:1' is not in `allow_images`"),
            ({"network": "host"}, "a NetworkPolicy says what a pod may reach"),
            ({"volumes": {"/data": "/data:ro"}}, "'/data' is of another machine"),
            ({"user": "root"}, "Kubernetes takes numbers"),
        ]
        begun = [stage.begin_container("true", **said) for said, _ in wrong]
        for no, (_, says) in zip(begun, wrong, strict=True):
            assert says in failure_of(stage.outcome(no)).message
            assert f"{stage.name(no)}-c" not in world.starts


class TestEnds:
    POLITE = "trap 'echo bye; sleep 0.2; exit 0' TERM; echo begun; while :; do sleep 0.05; done"

    def test_a_cancel_lets_the_container_clean_up(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("sh", "-c", self.POLITE)
        container_pod(world, stage, no)
        stage.wait_until(lambda: b"begun" in world.log(f"{stage.name(no)}-c").read_bytes(), "the container to begin")
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        assert pods(world) == []
        assert b"bye" in world.log(f"{stage.name(no)}-c").read_bytes()

    @pytest.mark.slow
    def test_a_timeout_lets_the_container_clean_up(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("sh", "-c", self.POLITE, policies=Policies(timeout_s=8.0, grace_s=8.0))
        assert stage.outcome(no).state == "timed_out"
        assert f"{stage.name(no)}-c" not in pods(world)
        assert b"bye" in world.log(f"{stage.name(no)}-c").read_bytes()

    @pytest.mark.slow
    def test_a_step_that_is_cancelled_before_its_container_is_made_makes_none(
        self, stage: Containers, world: World
    ) -> None:
        no = stage.begin_container("true", policies=Policies(grace_s=0.0))
        stage.wait_until(lambda: stage.name(no) in pods(world), "its pod")
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        assert f"{stage.name(no)}-c" not in world.starts

    def test_an_eviction_of_the_container_is_a_loss_and_nothing_of_it_goes_on(
        self, stage: Containers, world: World
    ) -> None:
        no = stage.begin_container("sleep", "60")
        container_pod(world, stage, no)
        world.evict(NAMESPACE, f"{stage.name(no)}-c")
        failure = failure_of(stage.outcome(no), "lost")
        assert "evicted on node-1: The node was low on resource: memory." in failure.message
        stage.wait_until(lambda: stage.name(no) not in pods(world), "its own pod to be gone")

    @pytest.mark.slow
    def test_a_container_that_somebody_deletes_is_a_loss(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("sleep", "60")
        container_pod(world, stage, no)
        world.delete(NAMESPACE, f"{stage.name(no)}-c", 0)
        assert "deleted by somebody else" in failure_of(stage.outcome(no), "lost").message

    @pytest.mark.slow
    def test_when_the_steps_own_pod_is_lost_its_container_ends_before_that_is_told(
        self, stage: Containers, world: World
    ) -> None:
        no = stage.begin_container("sleep", "60")
        container_pod(world, stage, no)
        world.evict(NAMESPACE, stage.name(no))
        assert stage.outcome(no).state == "lost"
        assert f"{stage.name(no)}-c" not in pods(world)


class TestSchedulers:
    def test_a_later_one_takes_up_what_runs_with_its_whole_log_and_it_ran_once(
        self, tmp_path: Path, server: Server
    ) -> None:
        does = f"echo one; until test -e {tmp_path}/go; do sleep 0.05; done; echo 7 >/out/n.json; echo two"
        with staged(tmp_path, server) as first:
            no = first.begin_container("sh", "-c", does, outputs={"n": "/out/n.json"})
            container_pod(server.world, first, no)
            parts = Parts(Exchange.at(f"file://{tmp_path}/exchange"), first.name(no))
            first.wait_until(lambda: parts.piece(1) is not None, "the first of its log")
        with staged(tmp_path, server) as second:
            open_attempt = OpenAttempt(
                "run-1", "run_container", str(no), 1, 1, "@grid", time.time(), PLAIN, 70, run_no=1
            )
            second.executor.adopt([open_attempt])
            (tmp_path / "go").touch()
            assert second.value(second.outcome(70)) == {"n": 7}
            second._tasks[no] = "run_container"
            assert second.log(no) == ["one", "two"]
        assert server.world.starts[f"{first.name(no)}-c"] == 1

    @pytest.mark.slow
    def test_a_later_one_ends_a_container_whose_own_pod_was_lost_meanwhile(
        self, tmp_path: Path, server: Server
    ) -> None:
        with staged(tmp_path, server) as first:
            no = first.begin_container("sleep", "60")
            container_pod(server.world, first, no)
        server.world.evict(NAMESPACE, first.name(no))
        with staged(tmp_path, server) as second:
            open_attempt = OpenAttempt(
                "run-1", "run_container", str(no), 1, 1, "@grid", time.time(), PLAIN, 70, run_no=1
            )
            second.executor.adopt([open_attempt])
            assert second.outcome(70).state == "lost"
            assert f"{second.name(no)}-c" not in pods(server.world)

    @pytest.mark.slow
    def test_what_cannot_be_read_costs_its_own_step_alone(
        self, stage: Containers, server: Server, tmp_path: Path
    ) -> None:
        exchange = Exchange.at(f"file://{tmp_path}/exchange")
        exchange.put_part(stage.name(1), "asked", b"this is nothing")
        bad, good = stage.begin_container("true"), stage.begin_container("echo", "good")
        assert stage.value(stage.outcome(good)) == "good"
        assert "cannot be watched" in failure_of(stage.outcome(bad)).message

    @pytest.mark.slow
    def test_one_that_died_while_it_made_the_container_never_makes_it_run_twice(
        self, stage: Containers, world: World, tmp_path: Path
    ) -> None:
        assert Parts(Exchange.at(f"file://{tmp_path}/exchange"), stage.name(1)).may_make()
        no = stage.begin_container("true")
        assert stage.outcome(no).state == "lost"
        assert f"{stage.name(no)}-c" not in world.starts

    @pytest.mark.slow
    def test_a_container_whose_making_was_not_answered_is_found(self, stage: Containers, server: Server) -> None:
        no = stage.begin_container("echo", "made")
        stage.wait_until(lambda: stage.name(no) in pods(server.world), "its own pod")
        server.fail_next("POST", ".*/pods", 0)
        assert stage.value(stage.outcome(no)) == "made"
        assert server.world.starts[f"{stage.name(no)}-c"] == 1

    @pytest.mark.slow
    def test_an_api_that_is_away_for_a_while_costs_nothing(self, stage: Containers, server: Server) -> None:
        no = stage.begin_container("sh", "-c", "echo 1; sleep 1; echo 2")
        container_pod(server.world, stage, no)
        server.fail_next("GET", ".*/pods.*", 503, times=6)
        assert stage.value(stage.outcome(no)) == "2"
        assert stage.log(no) == ["1", "2"]

    def test_what_belongs_to_a_removed_pod_is_removed_by_kubernetes(self, stage: Containers, world: World) -> None:
        no = stage.begin_container("sleep", "60", policies=Policies(grace_s=1.0))
        pod = container_pod(world, stage, no)
        own = world.get("Pod", NAMESPACE, stage.name(no))
        assert pod["metadata"]["ownerReferences"][0]["uid"] == own["metadata"]["uid"]
        world.delete(NAMESPACE, stage.name(no), 0)
        for _ in moments(PATIENCE_S):
            if pods(world) == []:
                break
        assert pods(world) == []


PIPELINES = """
import partita as pt


@pt.task
def rows():
    return [{"id": 1}, {"id": 2}]


@pt.pipeline
def nightly(word: str = "counting"):
    made = pt.container(
        "busy:1",
        ["sh", "-c", 'echo "$1"; grep -o id /in/rows.json | wc -l >/out/count.txt', "sh", word],
        inputs={"/in/rows.json": rows()},
        outputs={"count": "/out/count.txt"},
        name="count",
        options={"executor": "k8s", "memory": "1GiB", "executor_options": {"labels": {"team": "etl"}}},
    )
    pt.shell("echo counted {n}", n=made["count"])
"""


def test_in_a_run_results_go_into_a_container_and_out_of_it(tmp_path: Path, server: Server) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(PIPELINES)
    (folder / "pyproject.toml").write_text(
        '[tool.partita]\nname = "shop"\n[tool.partita.executors.k8s]\nkind = "kubernetes"\nimage = "partita:1"\n'
        f'exchange = "file://{tmp_path}/exchange"\npython = "{sys.executable}"\nnamespace = "{NAMESPACE}"\n'
        f'kubeconfig = "{server.kubeconfig(tmp_path / "config")}"\nallow_images = ["busy:*"]\n'
    )
    partita = Path(sys.executable).parent / "partita"

    def run(*words: str) -> str:
        done = subprocess.run([partita, *words], cwd=folder, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("run", "nightly", "-p", "word=it is on")
    assert "it is on" in run("logs", "1", "count")
    assert "counted 2" in run("logs", "1", "shell")
    (made,) = [name for name in server.world.starts if name.endswith("-c")]
    assert server.world.starts[made] == 1


class TestManifest:
    SETTINGS = KubernetesSettings(
        image="partita:1", namespace=NAMESPACE, service_account="partita", allow_images=("busy:*",),
        secrets={"KEY": "store/key"}, env_from=("secret/store",), allow_secrets=("warehouse",),
        template={"spec": {"containers": [{"name": "x", "securityContext": {"runAsNonRoot": True}}],
                           "initContainers": [{"name": "net", "image": "net:1"}]}},
    )  # fmt: skip

    def job(self, tmp_path: Path, **options: Any) -> Job:
        job = a_job(tmp_path, **options)
        return msgspec.structs.replace(job, brief=msgspec.structs.replace(job.brief, kind="container"))

    def pod(self, tmp_path: Path, asked: Asked, **options: Any) -> Object:
        pod = container_pod_of(self.SETTINGS, "k8s", self.job(tmp_path, **options), asked, "uid-1")
        _validate(pod)
        return pod

    def test_the_executors_secrets_and_account_are_not_the_users_containers(self, tmp_path: Path) -> None:
        alone = self.pod(tmp_path, Asked("busy:1"), secrets={"DSN": "warehouse/dsn"})
        (container,) = alone["spec"]["containers"]
        assert [one["name"] for one in container["env"]] == ["DSN"]
        assert "envFrom" not in container
        assert alone["spec"]["automountServiceAccountToken"] is False
        whole = self.pod(tmp_path, Asked("busy:1", inputs=["/in/a"], outputs=["/out/b"]))["spec"]
        assert [one["name"] for one in whole["initContainers"]] == ["net", "bring-in", "container"]
        assert [one["name"] for one in whole["containers"]] == ["take-out"]
        assert "env" not in whole["initContainers"][2]
        assert [one["env"][0]["name"] for one in (whole["initContainers"][1], *whole["containers"])] == ["KEY", "KEY"]

    def test_what_the_template_says_of_safety_holds_for_the_users_container(self, tmp_path: Path) -> None:
        pod = self.pod(tmp_path, Asked("busy:1", user="1000:1001", entrypoint="run", workdir="/w", pull="always"))
        (container,) = pod["spec"]["containers"]
        security = container["securityContext"]
        assert (security["runAsNonRoot"], security["allowPrivilegeEscalation"]) == (True, False)
        assert (security["runAsUser"], security["runAsGroup"]) == (1000, 1001)
        assert (container["command"], container["workingDir"]) == (["run"], "/w")
        assert container["imagePullPolicy"] == "Always"

    def test_options_in_the_exchange_are_not_believed(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="'other' is not in `allow_secrets`"):
            self.pod(tmp_path, Asked("busy:1"), secrets={"DSN": "other/dsn"})

    def test_an_image_in_its_options_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"`image` is what pt\.container says itself"):
            pod_of(self.SETTINGS, "k8s", self.job(tmp_path, image="busy:1"), 0)


def test_lines_are_told_once_however_often_they_are_read() -> None:
    lines = ["2026-01-01T00:00:01.5Z a", "2026-01-01T01:00:02+01:00 b", "the rest of b"]
    data, until = _behind(lines, 0)
    assert data == b"a\nb\nthe rest of b\n"
    assert _behind(lines, until) == (b"", until)
    assert _behind([*lines, "2026-01-01T00:00:02.000000001Z c"], until) == (b"c\n", until + 1)
