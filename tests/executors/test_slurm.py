"""Slurm as a cluster, against a real slurmctld and two slurmd on loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters.cluster import Finished, Gone, Runs, Waits, name_of
from partita.executors.clusters.slurm import SlurmCluster, make
from partita.executors.clusters.slurm_batch import SlurmSettings, names_in, script_of
from partita.executors.clusters.slurm_states import news_of, read_accounting, read_queue

from .a_slurm import Slurm, missing
from .jobs import Stand, a_job, end_of, moments, told_until
from .needed import needs
from .whole import NewCluster, Whole

needs_slurm = needs(not missing(), "slurmctld, slurmd, slurm-client and munge (apt-get install)")
MIB = 1 << 20


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(slurm.configuration)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.close()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def gone(pid: str) -> bool:
    """Whether a process ends within a moment."""
    return any(not Path(f"/proc/{pid}").exists() for _ in moments(5.0))


def connected(stand: Stand, **table: object) -> SlurmCluster:
    settings: dict[str, object] = {"python": str(stand.python), "poll": "100ms", "memory_overhead": "1MiB", **table}
    cluster = make("hpc", settings)
    cluster.connect()
    return cluster


@pytest.fixture
def cluster(slurm: Slurm, stand: Stand) -> Iterator[SlurmCluster]:
    cluster = connected(stand)
    yield cluster
    cluster.close()


@needs_slurm
class TestJobs:
    def test_a_job_runs_and_its_end_is_told_once(self, cluster: SlurmCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange), "exit 0")
        cluster.submit([job])
        assert isinstance(end_of(cluster, job), Finished)
        assert cluster.poll(0.5) == []
        assert stand.started(job) == 1

    def test_it_is_told_where_a_job_runs_and_why_one_waits(
        self, slurm: Slurm, cluster: SlurmCluster, stand: Stand
    ) -> None:
        running = stand.let(a_job(stand.exchange, 1, policies=Policies(cpu=2)), "read x <&- ; sleep 60")
        other = stand.let(a_job(stand.exchange, 2, policies=Policies(cpu=2)), "sleep 60")
        waiting = a_job(stand.exchange, 3, step="next", policies=Policies(cpu=2))
        cluster.submit([running, other])
        told_until(cluster, lambda news: sum(isinstance(one, Runs) for one in news) == 2)
        cluster.submit([waiting])
        told = told_until(cluster, lambda news: any(isinstance(one, Waits) and "free" in one.why for one in news))
        assert not any(isinstance(one, Waits) and one.fatal for one in told)
        for job in (running, other, waiting):
            cluster.stop(job.name, 0.0)
        ends = {job.name: end for job in (waiting,) if (end := end_of(cluster, job))}
        assert isinstance(ends[waiting.name], Gone)
        assert ends[waiting.name].begun == "no"

    def test_alike_steps_are_one_array_and_each_of_them_runs_once(
        self, slurm: Slurm, cluster: SlurmCluster, stand: Stand
    ) -> None:
        jobs = [a_job(stand.exchange, no) for no in range(6)]
        other = a_job(stand.exchange, 99, step="other")
        cluster.submit([*jobs, other])
        told = told_until(cluster, lambda news: sum(isinstance(one, Finished) for one in news) == 7)
        assert {one.name for one in told if isinstance(one, Finished)} == {job.name for job in (*jobs, other)}
        assert [stand.started(job) for job in (*jobs, other)] == [1] * 7
        names = slurm.ask("squeue", "--states=all", "--noheader", "-o", "%F %j").split("\n")
        arrays = {line for line in names if "pt-array-" in line}
        assert len({line for line in arrays if line.split()[0] == max(arrays).split()[0]}) == 1

    def test_a_job_that_is_handed_over_twice_runs_once(self, cluster: SlurmCluster, stand: Stand) -> None:
        jobs = [stand.let(a_job(stand.exchange, no), "sleep 1") for no in (1, 2)]
        cluster.submit(jobs)
        # A scheduler that knows nothing of the first one's submission.
        later = connected(stand)
        later.submit(jobs)
        told_until(later, lambda news: sum(isinstance(one, Finished) for one in news) == 2)
        assert [stand.started(job) for job in jobs] == [1, 1]

    def test_a_later_scheduler_finds_what_runs_and_what_has_ended(self, cluster: SlurmCluster, stand: Stand) -> None:
        ended = a_job(stand.exchange, 1)
        array = [stand.let(a_job(stand.exchange, no, step="map"), "sleep 60") for no in (2, 3)]
        cluster.submit([ended])
        end_of(cluster, ended)
        cluster.submit(array)
        told_until(cluster, lambda news: sum(isinstance(one, Runs) for one in news) == 2)
        later = connected(stand)
        news = later.find([ended.name, *(job.name for job in array), "pt-never"])
        assert [type(one) for one in news] == [Finished, Runs, Runs, Gone]
        later.stop(array[0].name, 0.0)
        assert isinstance(end_of(later, array[0]), Gone)
        later.stop(array[1].name, 0.0)
        assert isinstance(end_of(later, array[1]), Gone)
        later.forget([job.name for job in (ended, *array)])
        assert list((stand.exchange / "slurm").iterdir()) == []


@needs_slurm
class TestDeaths:
    def test_a_cancel_is_polite_first(self, cluster: SlurmCluster, stand: Stand, tmp_path: Path) -> None:
        ready, polite = tmp_path / "ready", tmp_path / "polite"
        job = stand.let(
            a_job(stand.exchange), f"trap 'touch {polite}; exit 0' TERM; touch {ready}; while :; do sleep 0.1; done"
        )
        cluster.submit([job])
        told_until(cluster, lambda news: ready.exists())
        cluster.stop(job.name, 10.0)
        assert isinstance(end_of(cluster, job), Finished)
        assert polite.exists()

    def test_what_does_not_listen_is_killed_with_its_children(
        self, cluster: SlurmCluster, stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("partita.executors.clusters.slurm._MARGIN_S", 0.2)
        child = tmp_path / "child"
        job = stand.let(
            a_job(stand.exchange),
            f"trap '' TERM; setsid sleep 300 & echo $! >{child}.part; mv {child}.part {child}; while :; do sleep 0.1; done",
        )
        cluster.submit([job])
        told_until(cluster, lambda news: child.exists())
        cluster.stop(job.name, 0.0)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert gone(child.read_text().strip())

    def test_too_much_memory_is_out_of_memory(self, cluster: SlurmCluster, stand: Stand) -> None:
        eats = f"exec {sys.executable} -c 'x = bytearray(200 << 20); import time; time.sleep(60)'"
        job = stand.let(a_job(stand.exchange, policies=Policies(memory_bytes=40 * MIB)), eats)
        cluster.submit([job])
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert end.death.over_memory > 40 * MIB
        assert end.death.memory_limit == 40 * MIB

    def test_an_end_without_outcome_says_the_last_lines(self, cluster: SlurmCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange), "echo 'No module named partita' >&2; exit 1")
        cluster.submit([job])
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "exit code 1" in end.death.note
        assert "No module named partita" in end.death.last_lines
        cluster.forget([job.name])
        assert list((stand.exchange / "slurm").iterdir()) == []

    def test_a_python_that_is_not_there_is_said_and_nothing_has_begun(self, slurm: Slurm, stand: Stand) -> None:
        cluster = connected(stand, python="/nowhere/python")
        job = a_job(stand.exchange)
        cluster.submit([job])
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert end.begun == "no"
        assert "set `python`" in end.death.note

    def test_a_scancel_by_somebody_else_is_said(self, slurm: Slurm, cluster: SlurmCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange), "sleep 60")
        cluster.submit([job])
        told_until(cluster, lambda news: any(isinstance(one, Runs) for one in news))
        slurm.ask("scancel", "--name", job.name)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "scancel" in end.death.note

    def test_a_node_that_dies_is_said(self, slurm: Slurm, cluster: SlurmCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange, nodelist="n2"), "sleep 90")
        cluster.submit([job])
        told_until(cluster, lambda news: any(isinstance(one, Runs) for one in news))
        slurm.ask("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "node lost: n2" in end.death.note


@needs_slurm
class TestRefusals:
    def test_what_no_node_has_can_never_start(self, cluster: SlurmCluster, stand: Stand) -> None:
        job = a_job(stand.exchange, policies=Policies(memory_bytes=500 << 30))
        cluster.submit([job])
        told = told_until(cluster, lambda news: bool(news))
        assert [(one.name, one.fatal) for one in told if isinstance(one, Waits)] == [(job.name, True)]
        assert "sbatch" in told[0].why  # type: ignore[union-attr]

    def test_custom_resources_are_generic_resources_or_licences(self, slurm: Slurm, stand: Stand) -> None:
        cluster = connected(stand, resources={"scratch": "gres/scratch", "matlab": "license/matlab"})
        policies = Policies(resources=(("scratch", 2.0), ("matlab", 1.0)))
        assert cluster.check(policies, {}) == ""
        assert "'gpu_hours'" in cluster.check(Policies(resources=(("gpu_hours", 1.0),)), {})
        job = a_job(stand.exchange, policies=policies)
        cluster.submit([job])
        assert isinstance(end_of(cluster, job), Finished)

    def test_an_unreachable_controller_is_said_and_nothing_is_given_up(
        self, slurm: Slurm, cluster: SlurmCluster, stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        job = stand.let(a_job(stand.exchange), "sleep 1")
        cluster.submit([job])
        away = tmp_path / "slurm.conf"
        away.write_text(
            slurm.configuration.read_text().replace("SlurmctldPort=", "MessageTimeout=2\nSlurmctldPort=1\n#")
        )
        with monkeypatch.context() as patch:
            patch.setenv("SLURM_CONF", str(away))
            with pytest.raises(ExecutorError, match="Slurm"):
                told_until(cluster, lambda news: any(isinstance(one, Finished) for one in news))
        assert isinstance(end_of(cluster, job), Finished)

    def test_it_says_what_it_is(self, cluster: SlurmCluster) -> None:
        lines = cluster.describe()
        assert lines[0].startswith("Slurm 2")
        assert any("main up 2 nodes" in line for line in lines)


@needs_slurm
class TestWhole(Whole):
    @pytest.fixture
    def new_cluster(self, slurm: Slurm) -> NewCluster:
        return lambda: make("grid", {"python": sys.executable, "poll": "100ms"})


class TestOptions:
    def test_options_that_are_not_allowed_are_refused(self) -> None:
        cluster = make("hpc", {"allow": ["time", "nice"], "allow_arguments": ["--exclusive"]})
        assert cluster.check(Policies(), {"time": "2h", "nice": 10, "arguments": ["--exclusive"]}) == ""
        assert "'partition' is not allowed" in cluster.check(Policies(), {"partition": "big"})
        assert "'--uid=0' is not allowed" in cluster.check(Policies(), {"arguments": ["--uid=0"]})
        assert "did you mean 'time'" in cluster.check(Policies(), {"tme": "2h"})
        assert "no duration" in cluster.check(Policies(), {"time": "soon"})

    def test_a_value_cannot_hide_another_line_or_argument(self) -> None:
        cluster = make("hpc", {})
        for bad in ("a\nb", "a b", "a;b", "$(id)", "`id`", "a'b"):
            assert "is no value" in cluster.check(Policies(), {"partition": bad}), bad

    def test_settings_are_read_strictly(self) -> None:
        for table, said in [
            ({"partitoin": "x"}, "did you mean 'partition'"),
            ({"partition": 3}, "partition: Expected `str`"),
            ({"arguments": ["--array=1-9"]}, "is what Partita sets itself"),
            ({"arguments": ["-x"]}, "no long argument"),
            ({"allow": ["uid"]}, "there is no option 'uid'"),
            ({"resources": {"a": "b"}}, "gres/NAME"),
            ({"memory_overhead": "much"}, "no size"),
        ]:
            with pytest.raises(DefinitionError, match=said):
                make("hpc", table)

    def test_names_are_read_back_from_the_script(self) -> None:
        names = [name_of("run", "step", str(no), 1, 1) for no in range(1000)]
        script = script_of(SlurmSettings(setup="module load python\nset -- pt-x; true"), "s3://bucket/a b", names)
        assert names_in(script) == names
        assert "'s3://bucket/a b'" in script


class TestReading:
    def test_newer_versions_say_states_as_lists_and_numbers_as_objects(self) -> None:
        number = {"set": True, "infinite": False, "number": 7}
        none = {"set": False, "infinite": False, "number": 0}
        job = {
            "job_id": number,
            "name": "pt-a",
            "job_state": ["RUNNING", "COMPLETING"],
            "state_reason": "None",
            "nodes": "n1",
            "array_job_id": none,
            "array_task_id": none,
            "exit_code": {
                "status": ["SIGNALED"],
                "return_code": none,
                "signal": {"id": {"set": True, "infinite": False, "number": 9}, "name": "KILL"},
            },
        }
        seen = read_queue(msgspec.json.encode({"jobs": [job]}).decode())[0]
        assert (seen.id, seen.state, seen.signal, seen.ended) == ("7", "COMPLETING", 9, False)

    def test_an_answer_that_is_no_json_is_said(self) -> None:
        with pytest.raises(ExecutorError, match="cannot be read"):
            read_queue("squeue: unrecognized option '--json'")

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("7|pt-a|OUT_OF_MEMORY|0:125|n1", "over_memory"),
            ("7|pt-a|TIMEOUT|0:0|n1", "time limit"),
            ("7|pt-a|NODE_FAIL|1:0|n1", "node lost: n1"),
            ("7|pt-a|PREEMPTED|0:0|n1", "preempted"),
            ("7|pt-a|CANCELLED by 1000|0:0|n1", "scancel"),
            ("7|pt-a|FAILED|3:0|n1", "exit code 3"),
        ],
    )
    def test_every_end_in_the_accounting_has_a_clear_cause(self, line: str, says: str) -> None:
        seen = read_accounting(f"7.batch|batch|FAILED|1:0|n1\n{line}\n")["7"]
        news = news_of("pt-a", seen, 100)
        assert isinstance(news, Gone)
        assert says in repr(news.death)
        assert "over_memory=0" not in repr(news.death) or news.death.note
