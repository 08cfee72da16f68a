"""Loading a project: a folder of the user's code, imported once, as a manifest and the calls that workers need.

Rule: nothing that is wrong in the user's code raises here; it becomes a problem of the manifest, and the rest is loaded.
Called in processes that exist for user code only (loader, workers, `run()`), never in the engine.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from partita.core import manifest as manifests
from partita.core.graph import Graph
from partita.core.manifest import Manifest, ParamSpec, PipelineSpec, Problem, RateSpec, ResourceSpec
from partita.define.calls import Call, Calls
from partita.define.code import canonical_text
from partita.define.compile import Problems, raised, trace_pipeline, traceback_of
from partita.define.durations import seconds, size
from partita.define.executors import Routing, read_routing, route
from partita.define.injecting import provide
from partita.define.names import clean, name_problem
from partita.define.pipeline import PipelineDef
from partita.define.recording import Declared, Follows, recording
from partita.define.schedule import bound_schedules
from partita.define.secret import collect_mentions, mentions, problem_of_name, problem_of_source
from partita.define.where import Place, project_root, runtime_of_project, short
from partita.errors import DefinitionError, LoadError
from partita.settings import STORE_ADDRESSES, VALUE_ADDRESSES, outputs_of

_UNITS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project."""

    manifest: Manifest
    calls: dict[str, Call]
    pipelines: dict[str, PipelineDef]


def load(folder: Path) -> Project:
    """Import the project of a folder and compile all that it defines. Raises `LoadError` if there is no project."""
    began = time.perf_counter()
    folder = folder.resolve()
    config = read_config(folder)
    token = project_root.set(str(folder))
    runtime_of_project.set(config.container_runtime)
    try:
        collect_mentions()
        with recording() as found:
            problems, failed = _import_all(folder, config)
        problems.extend(p for error in found.problems for p in problems_of(error))
        _add_imported(found.declared, folder)
        project = _compiled(folder, config, found.declared, problems, began)
        manifest = structs.replace(project.manifest, failed_modules=failed)
        return replace(project, manifest=structs.replace(manifest, code=code_of(folder, manifest)))
    finally:
        project_root.reset(token)


@dataclass(frozen=True, slots=True)
class Config:
    """`[tool.partita]` of the folder's pyproject.toml."""

    name: str
    modules: tuple[str, ...]
    pools: tuple[tuple[str, int], ...] = ()
    tag_limits: tuple[tuple[str, int], ...] = ()
    rates: tuple[RateSpec, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    namespace_limit: int | None = None
    namespace: str = "default"
    # Name, source ("" = the store, else the environment).
    secrets: tuple[tuple[str, str], ...] = ()
    resources: tuple[tuple[str, dict[str, Any]], ...] = ()
    # Folders that steps write into: not watched, and no part of a version.
    outputs: tuple[str, ...] = ()
    # The address of the store (`settings.store_of` reads it: before anything is loaded).
    store: str = ""
    # Files beside code that travel with it (`executors.bundle` reads it), and where large values are kept
    # (`settings.values_of` reads it).
    include: tuple[str, ...] = ()
    values: str = ""
    # What the machine has for steps, where it is not to be what it says itself.
    capacity: tuple[tuple[str, float], ...] = ()
    # The client with which containers are run; "" = what is found.
    container_runtime: str = ""
    # Existing engines, and which steps go there.
    routing: Routing = field(default_factory=Routing)


def read_config(folder: Path) -> Config:
    """The project's settings. Raises `LoadError` if the folder holds no project."""
    file = folder / "pyproject.toml"
    table: dict[str, Any] = {}
    name = folder.name or "project"
    if file.exists():
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise LoadError(f"{file.name} of {folder} cannot be read: {error}") from None
        table = content.get("tool", {}).get("partita", {})
    modules = table.get("modules", ["pipelines"])
    if "modules" not in table and not _has_module(folder, "pipelines"):
        raise LoadError(
            f"{folder} is no project: it has no pipelines.py",
            hint="write one, run `partita init`, or name modules under [tool.partita] in pyproject.toml",
        )
    try:
        return Config(
            name=_checked_name(table.get("name", _slug(name))),
            modules=tuple(_texts(modules, "modules")),
            pools=_slots(table.get("pools", {}), "pools"),
            tag_limits=_slots(table.get("tags", {}), "tags"),
            rates=_rates(table.get("rates", {})),
            shares=_shares(table.get("shares", {})),
            namespace_limit=_limit(table.get("limit")),
            namespace=_checked_name(table.get("namespace", "default")),
            secrets=_secrets(table.get("secrets", [])),
            resources=_tables(table.get("resources", {}), "resources"),
            outputs=tuple(_texts(table.get("outputs", []), "outputs")),
            store=_address(table.get("store", "")),
            include=tuple(_texts(table.get("include", []), "include")),
            values=_values(table.get("values", "")),
            capacity=_capacity(table.get("capacity", {})),
            container_runtime=_runtime(table.get("container_runtime", "")),
            routing=read_routing(table),
        )
    except ValueError as error:
        raise LoadError(f"[tool.partita] of {folder / 'pyproject.toml'}: {error}") from None


def _has_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-." else "-" for c in name).lstrip("-.") or "project"


def _checked_name(name: object) -> str:
    if problem := name_problem(name):
        raise ValueError(problem)
    return str(name)


def _texts(value: object, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(f"`{key}` must be a list of names, not {value!r}")
    return value


def _address(value: object) -> str:
    if not isinstance(value, str) or (value and not value.startswith(STORE_ADDRESSES)):
        raise ValueError(f"`store` must be an address (postgresql://..., sqlite://...), not {value!r}")
    return value


def _values(value: object) -> str:
    if not isinstance(value, str) or (value and not value.startswith(VALUE_ADDRESSES)):
        raise ValueError(f"`values` must be an address (file:///..., s3://..., gs://..., az://...), not {value!r}")
    return value


def _slots(value: object, key: str) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"`{key}` must be a table of names and slots, not {value!r}")
    for name, slots in value.items():
        if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
            raise ValueError(f"{key.rstrip('s')} `{name}` must have 1 slot or more, not {slots!r}")
    return tuple(value.items())


def _capacity(value: object) -> tuple[tuple[str, float], ...]:
    """`{ cpu = 8, memory = "32GiB", gpu = 2, license = 3 }`."""
    if not isinstance(value, dict):
        raise ValueError(f"`capacity` must be a table of names and amounts, not {value!r}")
    return tuple((name, _amount(name, amount)) for name, amount in value.items())


def _runtime(value: object) -> str:
    if not isinstance(value, str) or value.startswith("-"):
        raise ValueError(f"`container_runtime` must be a program (docker, podman), not {value!r}")
    return value


def _amount(name: str, amount: object) -> float:
    if name == "memory":
        return float(size(amount))
    if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0:
        raise ValueError(f"capacity `{name}` must be a number of 0 or more, not {amount!r}")
    return float(amount)


def _rates(value: object) -> tuple[RateSpec, ...]:
    """`{ api = "10/min" }`: so many starts within so long."""
    if not isinstance(value, dict):
        raise ValueError(f"`rates` must be a table of names and rates, not {value!r}")
    return tuple(_rate(name, text) for name, text in value.items())


def _rate(name: str, text: object) -> RateSpec:
    count, _, unit = str(text).partition("/")
    per_s = _UNITS.get(unit.strip())
    if per_s is None and unit.strip():
        try:
            per_s = seconds(unit.strip())
        except ValueError:
            per_s = None
    if not count.strip().isdigit() or int(count) < 1 or not per_s:
        raise ValueError(f'rate `{name}` is {text!r}: write "10/min", "100/h" or "5/10s"')
    return RateSpec(name, int(count), per_s)


def _shares(value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"`shares` must be a table of namespaces and weights, not {value!r}")
    for name, share in value.items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not share > 0:
            raise ValueError(f"the share of namespace `{name}` must be a number above 0, not {share!r}")
    return tuple((name, float(share)) for name, share in value.items())


def _limit(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"`limit` (steps at once) must be 1 or more, not {value!r}")
    return value


def _secrets(value: object) -> tuple[tuple[str, str], ...]:
    """`secrets = ["NAME"]`, or a table of names and where each is kept."""
    found = value if isinstance(value, dict) else dict.fromkeys(_texts(value, "secrets"), "")
    for name, source in found.items():
        problem = problem_of_name(name) or (source != "" and problem_of_source(source))
        if problem:
            raise ValueError(f"secret {name}: {problem}")
    return tuple(found.items())


def _tables(value: object, key: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise ValueError(f"`{key}` must be a table of tables, not {value!r}")
    return tuple(value.items())


# --- importing ----------------------------------------------------------------------------------------------------


def _import_all(folder: Path, config: Config) -> tuple[list[Problem], tuple[str, ...]]:
    """What was wrong, and the modules that could not be imported to their end."""
    _forget_modules(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    problems: list[Problem] = []
    failed: list[str] = []
    for module in config.modules:
        try:
            importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except DefinitionError as error:
            failed.append(module)
            problems.extend(problems_of(error))
        except BaseException as error:  # SystemExit too: a module that exits must not take the loader with it
            failed.append(module)
            problems.append(_import_problem(module, error, folder))
    return problems, tuple(failed)


# Folders of projects that were loaded in this process: a test loads many, a worker one.
_roots: set[str] = set()


def _forget_modules(folder: Path) -> None:
    """Modules of this folder and of projects loaded before are imported anew: their names may be the same."""
    _roots.add(str(folder))
    prefixes = tuple(root + os.sep for root in _roots)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(prefixes) or name == "__main__":
            continue
        if not any(_in_environment(file, prefix) for prefix in prefixes if file.startswith(prefix)):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if path not in _roots]


def _in_environment(file: str, prefix: str) -> bool:
    return "site-packages" in file[len(prefix) :].split(os.sep)


def _import_problem(module: str, error: BaseException, folder: Path) -> Problem:
    if isinstance(error, SyntaxError) and error.filename:
        return _problem(f"module `{module}` cannot be imported: {error.msg}", None, short(error.filename), error.lineno)
    found = raised(error, f"importing module `{module}`", Place(str(folder / f"{module.replace('.', '/')}.py"), 0))
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = (
            f"there is no module `{error.name}` in {folder}"
            if error.name == module
            else f"install `{error.name}` in the project's environment"
        )
    return _problem(found.message, hint, found.file, found.line, traceback_of(found))


def problems_of(error: DefinitionError) -> list[Problem]:
    """What is wrong, as plain data."""
    found = error.all if isinstance(error, Problems) else (error,)
    found = tuple(e for e in found if not isinstance(e, Follows))
    return [_problem(e.message, e.hint, e.file, e.line, traceback_of(e)) for e in found]


def _problem(message: str, hint: str | None, file: str | None, line: int | None, traceback: str = "") -> Problem:
    # Texts of the user's exceptions may hold what cannot be encoded.
    return Problem(clean(message), clean(hint or ""), clean(file or ""), line or 0, clean(traceback))


def _add_imported(declared: list[Declared], folder: Path) -> None:
    """Definitions that the project's modules took from elsewhere (an installed package) belong to it, too."""
    known = {id(definition) for definition in declared}
    prefix = str(folder) + os.sep
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(prefix) or _in_environment(file, prefix):
            continue
        for value in list(vars(module).values()):
            if isinstance(value, Declared) and id(value) not in known:
                known.add(id(value))
                declared.append(value)


# --- compiling ----------------------------------------------------------------------------------------------------


def _compiled(folder: Path, config: Config, declared: list[Declared], problems: list[Problem], began: float) -> Project:
    from partita.define.alert import alert_specs
    from partita.define.asset_graph import Universe
    from partita.define.asset_selection import selection_graph
    from partita.define.sensor import sensor_specs

    calls = Calls()
    universe = Universe.of(declared, calls)
    problems.extend(p for error in universe.problems for p in problems_of(error))
    specs: list[PipelineSpec] = []
    pipelines: dict[str, PipelineDef] = {}
    for defn in (d for d in declared if isinstance(d, PipelineDef) and d.broken is None):
        if (earlier := pipelines.get(defn.name)) is not None:
            problems.append(_twice("pipeline", defn.name, earlier.place, defn.place))
            continue
        pipelines[defn.name] = defn
        try:
            if defn.function is None:
                graph, found = selection_graph(defn, universe)
            else:
                graph, found = trace_pipeline(defn, calls)
            if not found:
                graph, found = route(graph, config.routing, pipeline=defn)
            problems.extend(p for error in found for p in problems_of(error))
            if not found:
                specs.append(pipeline_spec(defn, graph, defn.params, calls))
        except DefinitionError as error:
            problems.extend(problems_of(error))
    assets_graph, found = route(universe.graph, config.routing)
    problems.extend(p for error in found for p in problems_of(error))
    resources: list[ResourceSpec] = []
    try:
        resources = provide(declared, dict(config.resources), calls)
    except DefinitionError as error:
        problems.extend(problems_of(error))
    sensors, found_wrong = sensor_specs(declared, calls, {*pipelines, *(a.name for a in universe.specs)})
    problems.extend(p for error in found_wrong for p in problems_of(error))
    alerts, channels, found_wrong = alert_specs(declared)
    problems.extend(p for error in found_wrong for p in problems_of(error))
    manifest = Manifest(
        project=config.name,
        pipelines=tuple(specs),
        assets=universe.specs,
        assets_graph=assets_graph if universe.specs else None,
        problems=tuple(dict.fromkeys(problems)),
        python=".".join(map(str, sys.version_info[:3])),
        load_s=round(time.perf_counter() - began, 6),
        pools=config.pools,
        tag_limits=config.tag_limits,
        rates=config.rates,
        shares=config.shares,
        namespace_limit=config.namespace_limit,
        namespace=config.namespace,
        secrets=_mentioned(config, resources),
        secret_sources=tuple((name, source) for name, source in config.secrets if source),
        resources=tuple(resources),
        sensors=sensors,
        alerts=alerts,
        channels=channels,
        threads=threading.active_count(),
        capacity=config.capacity,
        container_runtime=config.container_runtime,
        executors=config.routing.executors,
    )
    return Project(manifest, calls.by_name, pipelines)


def pipeline_spec(
    defn: PipelineDef, graph: Any, params: tuple[ParamSpec, ...], calls: Calls | None = None
) -> PipelineSpec:
    """A pipeline as plain data."""
    return PipelineSpec(
        name=defn.name,
        graph=graph,
        params=params,
        schedules=bound_schedules(defn, calls),
        partitions=defn.partitions,
        description=defn.description,
        owner=defn.owner,
        tags=defn.tags,
        fail_fast=defn.fail_fast,
        timeout_s=defn.timeout_s,
        max_runs=defn.max_runs,
        concurrency=defn.concurrency,
        deadlines=defn.deadlines,
        priority=defn.priority,
        max_steps=defn.max_steps,
        written_at=str(defn.place),
    )


def _mentioned(config: Config, resources: list[ResourceSpec]) -> tuple[str, ...]:
    """The names of all secrets that the project declares or its modules name."""
    of_resources = [name for spec in resources for name in spec.secrets]
    return tuple(dict.fromkeys([*(name for name, _ in config.secrets), *of_resources, *mentions()]))


def _twice(kind: str, name: str, first: Place, second: Place) -> Problem:
    return Problem(
        f"{kind} `{name}` is defined twice: at {first} and at {second}",
        "give one of them another name",
        short(second.file),
        second.line,
    )


_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist", "build"})


def code_of(folder: Path, manifest: Manifest) -> str:
    """The version of a project: the content hash of its code and of what it defines.

    Comments, formatting and lines do not count. Definitions do, for they may be made of other files than code.
    """
    digest = hashlib.sha256()
    for file in sorted(_code_files(folder)):
        digest.update(os.path.relpath(file, folder).encode("utf-8", "surrogateescape") + b"\0")
        try:
            digest.update(hashlib.sha256(canonical_text(file)).digest())
        except OSError:
            digest.update(b"unreadable")
    digest.update(manifests.encode(_without_places(manifest)))
    return digest.hexdigest()[:16]


def _without_places(manifest: Manifest) -> Manifest:
    """What is defined, and not where, how fast, or what went wrong."""
    placeless = {
        name: tuple(_placeless(item) for item in value)
        for name in manifest.__struct_fields__
        if isinstance(value := getattr(manifest, name), tuple)
    }
    graph = _graph_without_places(manifest.assets_graph) if manifest.assets_graph is not None else None
    bare: Manifest = structs.replace(manifest, **placeless)
    return structs.replace(bare, assets_graph=graph, problems=(), failed_modules=(), code="", load_s=0.0, threads=1)


def _placeless(item: Any) -> Any:
    changes: dict[str, Any] = {}
    if getattr(item, "written_at", ""):
        changes["written_at"] = ""
    if isinstance(graph := getattr(item, "graph", None), Graph):
        changes["graph"] = _graph_without_places(graph)
    return structs.replace(item, **changes) if changes else item


def _graph_without_places(graph: Graph) -> Graph:
    return structs.replace(graph, steps=tuple(_placeless(step) for step in graph.steps))


def _code_files(folder: Path) -> Iterator[str]:
    outputs = outputs_of(folder)
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if not f.startswith(".")
            and f not in _SKIPPED_FOLDERS
            and os.path.join(parent, f) not in outputs
            and not os.path.exists(os.path.join(parent, f, "pyvenv.cfg"))
        ]
        for file in files:
            if file.endswith(".py") or (file == "pyproject.toml" and parent == str(folder)):
                yield os.path.join(parent, file)
