"""`pt.container`: a step that runs a program of a container image.

Rule: only what was written is read here; `container_run` performs it. A value never becomes part of a text that a shell reads:
it is an argument, a variable or a file of its own.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from partita.define.binding import bind
from partita.define.calls import Call
from partita.define.code import code_hash
from partita.define.container_run import run_container
from partita.define.handles import Handle
from partita.define.names import name_problem
from partita.define.options import Options, Settings, settings_of
from partita.define.program import RESULTS, Result
from partita.define.tracer import Draft, Tracer, current_tracer
from partita.define.where import caller, runtime_of_project, wrong

Pull = Literal["missing", "always", "never"]
_PULLS = ("missing", "always", "never")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def container(
    image: str,
    command: Sequence[Any] = (),
    *,
    entrypoint: str | None = None,
    env: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str] | None = None,
    volumes: Mapping[str, str] | None = None,
    workdir: str | None = None,
    user: str | None = None,
    network: str | None = None,
    pull: Pull = "missing",
    result: Result = "last_line",
    name: str | None = None,
    options: Options | None = None,
) -> Any:
    """A step that runs a container: `pt.container("alpine:3", ["wc", "-l", "/in/rows.txt"], inputs={"/in/rows.txt": text})`.

    Each part of `command` is one argument. `inputs` are files in the container (a text, bytes, a `Path` of this machine, or
    JSON of anything else), `outputs` files that it leaves: `{"report": "/out/report.json"}`. The result is the last line that
    it wrote (or its output parsed as JSON, or the text); with `outputs` it is a dict of what stands in them.
    The options `cpu`, `memory` and `gpu` are its limits, and an exit code other than 0 is a failure.
    """
    _check_text("image", image)
    if isinstance(command, str | Handle) or not isinstance(command, Sequence):
        raise wrong(
            f"pt.container: the command must be a list of arguments, not {command!r}",
            hint='write ["wc", "-l", path], or ["sh", "-c", "..."] for a shell of the image',
        )
    if pull not in _PULLS:
        raise wrong(f"pt.container: there is no pull {pull!r}", hint=f"there is {', '.join(map(repr, _PULLS))}")
    if result not in RESULTS:
        raise wrong(f"there is no result {result!r}", hint=f"there is {', '.join(map(repr, RESULTS))}")
    arguments = {
        "image": image,
        "command": list(command),
        "entrypoint": entrypoint,
        "env": _variables(env),
        "inputs": _files(inputs, "an input"),
        "outputs": _named_files(outputs),
        "volumes": _volumes(volumes),
        "workdir": workdir,
        "user": user,
        "network": network,
        "pull": pull,
        "result": result,
    }
    stem = re.sub(r"[^\w-]", "_", image.rpartition("/")[2].partition("@")[0].partition(":")[0]) or "container"
    shown = " ".join([image, *(part if isinstance(part, str) else "..." for part in command)])
    return _step(name or stem, arguments, options, shown)


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise wrong(f"pt.container: {value!r} is no {what}", hint='write a name such as "python:3.12-slim"')


def _variables(env: Mapping[str, Any] | None) -> dict[str, Any]:
    for variable in env or {}:
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise wrong(f"pt.container: {variable!r} is no name of an environment variable")
    return dict(env or {})


def _files(files: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    for path in files or {}:
        problem = not isinstance(path, str) or not path.startswith("/") or path != posixpath.normpath(path)
        if problem or any(c in path for c in ',:"\0') or posixpath.dirname(path) == "/":
            raise wrong(
                f"pt.container: {path!r} cannot be the place of {what}",
                hint='write the path of a file in a folder of the container, such as "/in/rows.json"',
            )
    return dict(files or {})


def _named_files(outputs: Mapping[str, str] | None) -> dict[str, str]:
    if outputs is not None and not isinstance(outputs, Mapping):
        raise wrong(f"pt.container: outputs must be names and paths, not {outputs!r}")
    for output in outputs or {}:
        if problem := name_problem(output):
            raise wrong(f"pt.container: an output: {problem}")
    _files(dict.fromkeys((outputs or {}).values()), "an output")
    return dict(outputs or {})


def _volumes(volumes: Mapping[str, str] | None) -> dict[str, str]:
    for source, target in (volumes or {}).items():
        path, _, mode = str(target).partition(":")
        if not path.startswith("/") or mode not in ("", "ro", "rw") or "," in f"{source}{target}":
            raise wrong(
                f"pt.container: {source!r}: {target!r} is no volume",
                hint='write {"/data/here": "/data/in/it:ro"}, or {"name": "/data"} for a volume of the runtime',
            )
    return {str(source): str(target) for source, target in (volumes or {}).items()}


# --- when the graph is built ------------------------------------------------------------------------------------------


def _step(name: str, arguments: dict[str, Any], options: Options | None, shown: str) -> Any:
    tracer = current_tracer()
    if tracer is None:
        return run_container(**arguments, runtime="", limits={})
    if problem := name_problem(name):
        raise wrong(f"pt.container: {problem}")
    return tracer.keeping(lambda: _add(tracer, name, arguments, options, shown))


def _add(tracer: Tracer, name: str, arguments: dict[str, Any], options: Options | None, shown: str) -> Any:
    place = caller()
    raw: dict[str, Any] = {**tracer.defaults, **(options or {})}
    settings = settings_of(raw, of=f"step `{name}`", place=place)
    arguments = {**arguments, "runtime": runtime_of_project.get(), "limits": _limits(settings)}
    key = tracer.unique(settings.name or name)
    return tracer.add(
        Draft(
            key=key,
            call=Call(f"partita.define.container_run:{run_container.__name__}", run_container),
            settings=settings,
            axes=tracer.scope,
            args=tuple((n, bind(tracer, value, f"`{n}` of `{name}`")) for n, value in arguments.items()),
            guards=tracer.guards,
            group=tracer.group,
            place=place,
            written_at=str(place),
            kind="container",
            code_version=settings.version or code_hash(shown.encode("utf-8", "backslashreplace")),
            description=settings.description if settings.description is not None else shown,
        )
    )


def _limits(settings: Settings) -> dict[str, float]:
    """What of its policies the container is told; how much memory it has, the attempt knows (it may have grown)."""
    policies = settings.policies
    return {"cpu": policies.cpu, "gpu": policies.gpu, "grace_s": policies.grace_s}
