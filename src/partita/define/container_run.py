"""Performing a container step: files in, the runtime's client as a child, files out, and nothing left behind.

The client (docker, podman) writes what the container writes, so it is in the step's log. The container has a name of its
attempt and labels, so that whoever comes later finds it: a further attempt removes what earlier ones left, and a watcher that is
nobody's child removes it when this process dies without having done so (SIGKILL, the machine's memory killer).

Rule: lists of arguments only. What the container may do to this machine is what its arguments say: no socket, no privileges.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from partita.core.placement import size
from partita.define.container_beside import Asked, folder_of, run_beside
from partita.define.container_files import ContainerFailed, ContainerOutOfMemory, read, written
from partita.define.context import Context, context, is_in_step
from partita.define.program import Done, as_text, ending, execute, last_lines, result_of
from partita.errors import UserCodeError

RUNTIMES = ("docker", "podman")
# How long the runtime may take to answer a question.
_ANSWER_S = 30.0
_PROBE_S = 10.0
# The client's own exit codes: it could not start the container; its command could not be run; there is no such command.
_NOT_STARTED = 125
_KILLED = 137
_NO_COMMAND = {126: "cannot be run", 127: "is not in the image"}
# Waits for a word on its stdin. If none comes (the writer died), it removes the container, that may just be being made.
_WATCHER = 'read word; [ "$word" = done ] && exit 0; for i in 1 2 3; do "$@" >/dev/null 2>&1; sleep 1; done'
# Names that the client itself reads: a value for the container must not change who is asked, or what is run.
_OF_CLIENT = ("PATH", "HOME", "LD_", "DOCKER_", "CONTAINER", "PODMAN", "XDG_", "TMPDIR", "HTTP", "http", "NO_PROXY")


def run_container(
    image: str,
    command: list[Any],
    entrypoint: str | None,
    env: dict[str, Any],
    inputs: dict[str, Any],
    outputs: dict[str, str],
    volumes: dict[str, str],
    workdir: str | None,
    user: str | None,
    network: str | None,
    pull: str,
    result: str,
    runtime: str,
    limits: dict[str, float],
) -> Any:
    """Run a container to its end. Raises `UserCodeError` if it failed, `ContainerOutOfMemory` if it was killed for memory."""
    attempt = context() if is_in_step() else None
    memory = attempt.memory_bytes if attempt is not None else None
    if beside := folder_of():
        wanted = Asked(
            image=image,
            args=list(map(as_text, command)),
            entrypoint=entrypoint,
            env={name: as_text(value) for name, value in env.items()},
            inputs=list(inputs),
            outputs=list(outputs.values()),
            volumes=list(volumes),
            workdir=workdir,
            user=user,
            network=network,
            pull=pull,
            memory=memory,
        )
        return run_beside(beside, wanted, inputs, outputs, result, limits.get("grace_s", 10.0))
    client = found_runtime(os.environ.get("PARTITA_CONTAINER_RUNTIME") or runtime)
    with tempfile.TemporaryDirectory(prefix="partita-", ignore_cleanup_errors=True) as folder:
        options = [
            *_limit_options(client, memory, limits),
            *_file_options(Path(folder), inputs, outputs),
            *(f"--volume={_source(source)}:{target}" for source, target in volumes.items()),
            *(f"--{name}={value}" for name, value in _plain(workdir, user, network, pull, entrypoint) if value),
            *_label_options(attempt),
        ]
        variables, own = _variables(env)
        _remove_earlier(client, attempt)
        argv = [*options, *variables, "--", image, *map(as_text, command)]
        asked = result if not outputs else "none"
        done = _performed(client, attempt, argv, own, asked, limits.get("grace_s", 10.0), folder)
        if not outputs:
            return result_of(done.kept, result)
        return {name: read(_host_path(Path(folder), path), name, path) for name, path in outputs.items()}


# --- the runtime ------------------------------------------------------------------------------------------------------


def found_runtime(wanted: str = "") -> str:
    """The client of a container runtime that answers: the one that is wanted, else docker, else podman.

    Raises `UserCodeError` with what was tried and what to install.
    """
    tried: list[str] = []
    for name in (wanted,) if wanted else RUNTIMES:
        problem = _problem_of(name)
        if not problem:
            return name
        tried.append(f"{name} {problem}")
    raise UserCodeError(
        f"there is no container runtime here: {'; '.join(tried)}",
        hint="install podman (apt-get install podman) or start docker, "
        'or name one: [tool.partita] container_runtime = "podman"',
    )


@functools.cache
def _problem_of(client: str) -> str:
    """What is wrong with a runtime, "" if it answers; asked once in a process that performs many steps."""
    if shutil.which(client) is None:
        return "is not installed"
    # Of docker the server answers, which may be away; of podman the program itself.
    asked = [client, "version", "--format", "{{.Server.Version}}"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=_PROBE_S, check=False)
        if told.returncode != 0 and _is_podman(client):
            told = subprocess.run([client, "version"], capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer ({error})"
    if told.returncode == 0:
        return ""
    said = told.stderr.strip().splitlines()
    return f"does not answer ({said[-1] if said else f'exit code {told.returncode}'})"


def _performed(
    client: str,
    attempt: Context | None,
    argv: Sequence[str],
    env: Mapping[str, str],
    result: str,
    grace_s: float,
    folder: str,
) -> Done:
    name = _name_of(attempt)
    with _watched(client, name):
        try:
            done = execute(
                [client, "run", f"--name={name}", *argv],
                env=env,
                # Podman's monitor leaves a file where it was started when memory ran out.
                cwd=folder,
                result=result,
                stop=lambda process: _stop(client, name, process, grace_s),
            )
            if done.code != 0:
                raise _failure(client, name, argv, done)
        finally:
            _ask(client, *_removing(client), name)
    return done


@contextlib.contextmanager
def _watched(client: str, name: str) -> Iterator[None]:
    """A process that removes the container when this one dies without having said that it is done."""
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHER, "sh", client, *_removing(client), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # In a session of its own: who ends this step by force ends what is in its session.
        start_new_session=True,
    )
    assert watcher.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            watcher.stdin.write(b"done\n")
            watcher.stdin.close()
        watcher.wait()


def _stop(client: str, name: str, process: subprocess.Popen[str], grace_s: float) -> None:
    """The step is to stop: the container is asked to, and ended by force shortly before this process would be."""
    seconds = max(0, int(grace_s) - 2)
    _ask(client, "stop", f"--time={seconds}", name, patience_s=seconds + _ANSWER_S)
    process.terminate()
    try:
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        process.kill()


def _removing(client: str) -> list[str]:
    # Docker's kills at once; podman's would ask first, and wait for ten seconds.
    return ["rm", "-f", "--time=0"] if _is_podman(client) else ["rm", "-f"]


def _is_podman(client: str) -> bool:
    return "podman" in os.path.basename(client)


def _failure(client: str, name: str, argv: Sequence[str], done: Done) -> UserCodeError:
    told = last_lines(done.tail)
    image = argv[argv.index("--") + 1]
    limit = next((option.partition("=")[2] for option in argv if option.startswith("--memory=")), "")
    state = _ask(client, "inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", name).split()
    if state[:1] == ["true"]:
        at = f" of {size(int(limit))}" if limit else ""
        return ContainerOutOfMemory(f"out of memory: the container was killed at its limit{at}{told}")
    if done.code == _KILLED and limit:
        # Not every runtime sees what the kernel did, and hardly anybody else kills a container.
        why = f"killed by SIGKILL, as for lack of memory; its limit is {size(int(limit))}"
        return ContainerOutOfMemory(f"out of memory: the container was {why}{told}")
    if done.code == _NOT_STARTED:
        return ContainerFailed(f"{client} could not start a container of {image}{told}", done.code)
    if done.code in _NO_COMMAND:
        return ContainerFailed(f"the command {_NO_COMMAND[done.code]}: exit code {done.code}{told}", done.code)
    return ContainerFailed(f"the container failed: {ending(done.code)}{told}", done.code)


def _remove_earlier(client: str, attempt: Context | None) -> None:
    """What earlier attempts of this step instance left: a worker that was killed, a machine that lost its power."""
    if attempt is None:
        return
    labels = [f"--filter=label={label}" for label in _labels(attempt) if not label.startswith("partita.attempt=")]
    if left := _ask(client, "ps", "-aq", *labels).split():
        _ask(client, *_removing(client), *left)


def _ask(client: str, *arguments: str, patience_s: float = _ANSWER_S) -> str:
    """What the runtime answers; "" if it does not."""
    try:
        told = subprocess.run(
            [client, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout if told.returncode == 0 else ""


# --- arguments --------------------------------------------------------------------------------------------------------


def _plain(
    workdir: str | None, user: str | None, network: str | None, pull: str, entrypoint: str | None
) -> tuple[tuple[str, str | None], ...]:
    return (
        ("workdir", workdir),
        ("user", user),
        ("network", network),
        ("pull", pull),
        ("entrypoint", entrypoint),
    )


def _limit_options(client: str, memory: int | None, limits: Mapping[str, float]) -> list[str]:
    options = []
    if memory is not None:
        # Without swap: what is more than that is out of memory, and not slow.
        options += [f"--memory={memory}", f"--memory-swap={memory}"]
    if cpu := limits.get("cpu"):
        options.append(f"--cpus={cpu:g}")
    if limits.get("gpu"):
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        if _is_podman(client):
            options += [f"--device=nvidia.com/gpu={gpu}" for gpu in gpus.split(",")]
        else:
            options.append("--gpus=all" if gpus == "all" else f'--gpus="device={gpus}"')
    return options


def _variables(env: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The options that name the variables, and the client's environment that has their values: no process list shows these."""
    options, own = [], {}
    for name, value in env.items():
        if name in os.environ or name.startswith(_OF_CLIENT):
            options.append(f"--env={name}={as_text(value)}")
        else:
            own[name] = as_text(value)
            options.append(f"--env={name}")
    return options, own


def _name_of(attempt: Context | None) -> str:
    """The name of the attempt's container; the same attempt never has two."""
    if attempt is None:
        return f"partita-{os.getpid()}-{os.urandom(4).hex()}"
    return f"partita-{hashlib.sha256(attempt.execution_uid.encode()).hexdigest()[:24]}"


def _labels(attempt: Context) -> list[str]:
    return [
        f"partita.run={attempt.run_id}",
        f"partita.step={attempt.step}",
        f"partita.index={attempt.index or '-'}",
        f"partita.attempt={attempt.attempt}",
    ]


def _label_options(attempt: Context | None) -> list[str]:
    return ["--label=partita=1", *(f"--label={label}" for label in (_labels(attempt) if attempt is not None else ()))]


# --- files ------------------------------------------------------------------------------------------------------------


def _file_options(folder: Path, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> list[str]:
    """Write the inputs, make the folders of the outputs; the options that bring both into the container."""
    options = []
    for target in dict.fromkeys(posixpath.dirname(path) for path in outputs.values()):
        source = _host_folder(folder, target)
        source.mkdir()
        # Whoever the program runs as in there may write; nobody but us comes this far out here.
        source.chmod(0o777)
        options.append(f"--volume={source}:{target}")
    for number, (target, value) in enumerate(inputs.items()):
        source = written(folder / f"in{number}", value, target)
        options.append(f"--volume={source}:{target}:ro")
    return options


def _source(volume: str) -> str:
    """A folder beside the project is one of this machine; a bare name is a volume of the runtime."""
    return os.path.abspath(volume) if volume.startswith(".") else volume


def _host_folder(folder: Path, target: str) -> Path:
    return folder / f"out-{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def _host_path(folder: Path, path: str) -> Path:
    return _host_folder(folder, posixpath.dirname(path)) / posixpath.basename(path)
