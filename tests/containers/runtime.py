"""A STAND-IN for docker: a program that obeys the part of docker's command line that Partita uses, and refuses everything else.

It is no container runtime. A "container" is a process of this machine: its root is a folder made for it, in which the paths of the
command and of the mounts are looked up (an argument that begins with the target of a mount is rewritten to the source). It keeps what docker keeps of a container (name, labels, state, exit code, whether it
was killed for memory) in a folder, so that `ps`, `inspect`, `stop`, `kill` and `rm` answer as docker's do.

Strict: an option that it does not know, one without its value, a name that is taken, a mount of what is not there, an image that
was not pulled with --pull=never: each ends as docker ends it (exit code 125, a message on stderr).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ["STAND_IN_HOME"])
# By which tests find what they have left behind (tests/executors/left.py).
MARK = "PARTITA_TEST_PROCESSES"
IMAGES = ("busy:1",)
# Options of `run`: which have a value.
_OPTIONS = {
    "--name", "--env", "--volume", "--label", "--memory", "--memory-swap", "--cpus", "--workdir", "--user", "--network",
    "--pull", "--entrypoint", "--gpus",
}  # fmt: skip


class Refused(Exception):
    """docker's exit code 125."""


def main(arguments: list[str]) -> int:
    with open(HOME / "calls.jsonl", "a", encoding="utf-8") as calls:
        calls.write(json.dumps({"arguments": arguments, "env": sorted(os.environ)}) + "\n")
    verbs = {"version": version, "run": run, "ps": ps, "inspect": inspect, "stop": stop, "kill": stop, "rm": rm}
    if not arguments or arguments[0] not in verbs:
        print(f"docker: '{' '.join(arguments)}' is not a docker command.", file=sys.stderr)
        return 1
    try:
        return verbs[arguments[0]](arguments[1:])
    except Refused as error:
        print(f"docker: Error response from daemon: {error}", file=sys.stderr)
        return 125


def version(arguments: list[str]) -> int:
    if (HOME / "away").exists():
        print("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", file=sys.stderr)
        return 1
    assert arguments == ["--format", "{{.Server.Version}}"], arguments
    print("27.0.0-stand-in")
    return 0


def run(arguments: list[str]) -> int:
    options, rest = _parsed(arguments)
    image, *command = rest
    name = options["--name"][0]
    state = HOME / name
    if image not in IMAGES and options.get("--pull") == ["never"]:
        raise Refused(f"No such image: {image}")
    if image not in IMAGES:
        raise Refused(f"pull access denied for {image}, repository does not exist")
    try:
        state.mkdir()
    except FileExistsError:
        raise Refused(f'Conflict. The container name "/{name}" is already in use') from None
    mounts = _mounts(options.get("--volume", []))
    if "--entrypoint" in options:
        command = [options["--entrypoint"][0], *command]
    command = [_inside(part, mounts) for part in command]
    process = _begun(command, options, mounts)
    labels = dict(label.partition("=")[::2] for label in options.get("--label", []))
    _write(state, {"pid": process.pid, "labels": labels, "running": True, "oom": False, "code": 0})
    return _watched(process, state, options)


def _watched(process: subprocess.Popen[bytes], state: Path, options: dict[str, list[str]]) -> int:
    """Until it ends; over its limit of memory it is killed, as the kernel does it."""
    limit = int(options["--memory"][0]) if "--memory" in options else None
    was_killed_for_memory = False
    while (code := process.poll()) is None:
        if limit is not None and _rss(process.pid) > limit:
            was_killed_for_memory = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(0.005)
    code = process.wait()
    code = 128 - code if code < 0 else code
    if state.exists():
        _write(state, {**_read(state), "running": False, "oom": was_killed_for_memory, "code": code})
    return code


def ps(arguments: list[str]) -> int:
    assert arguments[0] == "-aq", arguments
    wanted = [a.removeprefix("--filter=label=").partition("=")[::2] for a in arguments[1:]]
    for state in sorted(HOME.glob("partita-*")):
        labels = _read(state)["labels"]
        if all(labels.get(key) == value for key, value in wanted):
            print(state.name)
    return 0


def inspect(arguments: list[str]) -> int:
    assert arguments[:2] == ["--format", "{{.State.OOMKilled}} {{.State.ExitCode}}"], arguments
    state = HOME / arguments[2]
    if not state.exists():
        print(f"Error: No such object: {arguments[2]}", file=sys.stderr)
        return 1
    known = _read(state)
    print(str(known["oom"]).lower(), known["code"])
    return 0


def stop(arguments: list[str]) -> int:
    assert arguments[0].startswith("--time="), arguments
    state = HOME / arguments[1]
    if not state.exists():
        return 1
    pid, until = _read(state)["pid"], time.monotonic() + int(arguments[0].removeprefix("--time="))
    _signal(pid, signal.SIGTERM)
    while _read(state)["running"] and time.monotonic() < until:
        time.sleep(0.005)
    if _read(state)["running"]:
        _signal(pid, signal.SIGKILL)
    return 0


def rm(arguments: list[str]) -> int:
    assert arguments[0] == "-f", arguments
    for name in arguments[1:]:
        state = HOME / name
        if state.exists():
            _signal(_read(state)["pid"], signal.SIGKILL)
            (state / "state.json").unlink(missing_ok=True)
            state.rmdir()
    return 0


def _parsed(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    for number, argument in enumerate(arguments):
        if argument == "--":
            return options, arguments[number + 1 :]
        option, _, value = argument.partition("=")
        if option not in _OPTIONS or not value:
            print(f"unknown flag: {argument}\nSee 'docker run --help'.", file=sys.stderr)
            raise SystemExit(125)
        options.setdefault(option, []).append(value)
    raise Refused("docker run requires at least 1 argument")


def _mounts(volumes: list[str]) -> dict[str, Path]:
    mounts = {}
    for volume in volumes:
        source, target, *mode = volume.split(":")
        if not Path(source).exists():
            raise Refused(f"invalid mount config: bind source path does not exist: {source}")
        if mode not in ([], ["ro"], ["rw"]) or not target.startswith("/"):
            raise Refused(f"invalid volume specification: {volume}")
        mounts[target] = Path(source)
    return mounts


def _inside(text: str, mounts: dict[str, Path]) -> str:
    targets = sorted(mounts, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, targets)), lambda m: str(mounts[m[0]]), text) if targets else text


def _begun(command: list[str], options: dict[str, list[str]], mounts: dict[str, Path]) -> subprocess.Popen[bytes]:
    environment = {"PATH": "/usr/bin:/bin", **{name: os.environ[name] for name in (MARK,) if name in os.environ}}
    for variable in options.get("--env", []):
        name, is_given, value = variable.partition("=")
        environment[name] = value if is_given else os.environ[name]
    folder = options.get("--workdir", ["/"])[0]
    try:
        return subprocess.Popen(command, env=environment, cwd=_inside(folder, mounts), start_new_session=True)
    except FileNotFoundError:
        print(f'exec: "{command[0]}": executable file not found in $PATH', file=sys.stderr)
        raise SystemExit(127) from None


def _rss(leader: int) -> int:
    total = 0
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if os.getpgid(pid) == leader:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


def _signal(pid: int, number: int) -> None:
    if pid <= 1:
        return  # it never began; 0 would be ourselves
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _write(state: Path, known: dict[str, object]) -> None:
    unfinished = HOME / f".{state.name}.{os.getpid()}"
    unfinished.write_text(json.dumps(known))
    os.replace(unfinished, state / "state.json")


def _read(state: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads((state / "state.json").read_text())
    except FileNotFoundError:
        return {"labels": {}, "running": False, "oom": False, "code": 0, "pid": 0}
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
