"""Where things lie and how large they may be: one frozen value, read in `main`, passed down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from partita.errors import DefinitionError

# In a project's own `.partita`: the path of the home that it shares with projects that are served together.
POINTER = "home"
# In a home: the address of its store, where `partita up --postgres` keeps it.
STORE = "store"
# In a home: the address where its values are kept, as `partita up` found it.
VALUES = "values"
_SQLITE = "sqlite://"
STORE_ADDRESSES = ("postgresql://", "postgres://", _SQLITE)
VALUE_ADDRESSES = ("file:///", "s3://", "gs://", "az://", "abfs://", "abfss://")


@dataclass(frozen=True)
class Home:
    """The folder with everything that Partita keeps for a project: `.partita` beside the user's files."""

    root: Path
    # The address of the store where it is not the file in here: postgresql://..., sqlite:///...
    store: str = ""
    # The address of the place for values where it is not a folder in here: file:///..., s3://..., gs://..., az://...
    values: str = ""

    @property
    def db(self) -> Path:
        """The file of a store in SQLite."""
        if self.store.startswith(_SQLITE):
            return Path(self.store.removeprefix(_SQLITE))
        return self.root / "partita.db"

    @property
    def blobs(self) -> Path:
        """Values too large to be inline, by digest."""
        return self.root / "blobs"

    @property
    def cache(self) -> Path:
        """The index of cached results, by key."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def spool(self) -> Path:
        """Outcomes that no scheduler was there to take."""
        return self.root / "spool"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def code(self) -> Path:
        """Files of versions of the projects' code, by content: what a run that began with one ends on."""
        return self.root / "code"

    @property
    def deployed(self) -> Path:
        """Projects that were brought to this server, and their bundles."""
        return self.root / "deployed"

    @property
    def key(self) -> Path:
        """The key that seals secrets (0600)."""
        return self.root / "secrets.key"

    @property
    def gate_key(self) -> Path:
        """The key that signs the tokens with which other systems answer gates (0600)."""
        return self.root / "gates.key"

    @property
    def token(self) -> Path:
        """The token with which programs of this machine's user ask the API (0600)."""
        return self.root / "token"

    @property
    def service(self) -> Path:
        """What `partita up` says about itself: processes, address (JSON)."""
        return self.root / "service.json"

    @property
    def socket(self) -> Path:
        """Where the engine that owns the store listens for commands (0600)."""
        return self.root / "engine.sock"

    def of_namespace(self, namespace: str) -> Home:
        """The home of a scheduler that is for one namespace: what is its own lies there, all else is where it is for all."""
        # A name may have slashes in it, and be made by whoever deploys: it is no path here.
        return replace(self, root=self.root / "schedulers" / namespace.replace("/", "%")) if namespace else self


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times in seconds, sizes in bytes."""

    project: Path
    home: Home
    workers: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))
    # How many coroutines an async worker carries at once.
    async_slots: int = 10_000
    load_timeout_s: float = 30.0
    inline_bytes: int = 4096
    # A worker is replaced after so many steps, or when it rests on more memory than this.
    worker_max_steps: int = 100_000
    worker_max_rss_bytes: int = 1 << 30
    log_head_bytes: int = 16 << 20
    log_tail_bytes: int = 48 << 20
    lease_s: float = 10.0
    namespace: str = "default"
    # Whether steps that run when the engine goes away end with it, instead of finishing for the next one.
    ends_with_engine: bool = False
    # Where the project's code is imported from, if that is a kept version of it and not the folder itself.
    source: Path | None = None

    @property
    def code_folder(self) -> Path:
        """The folder that modules are imported from."""
        return self.source or self.project

    @staticmethod
    def of(project: Path, **changes: object) -> Settings:
        """Settings of a project folder: from the environment (PARTITA_HOME, PARTITA_STORE, PARTITA_WORKERS, PARTITA_LOAD_TIMEOUT), then `changes`.

        Raises `DefinitionError` for a variable that is no number.
        """
        project = project.resolve()
        values: dict[str, object] = {"home": home_of(project)}
        if workers := os.environ.get("PARTITA_WORKERS"):
            values["workers"] = int(_number("PARTITA_WORKERS", workers))
        if timeout := os.environ.get("PARTITA_LOAD_TIMEOUT"):
            values["load_timeout_s"] = _number("PARTITA_LOAD_TIMEOUT", timeout)
        return Settings(project=project, **{**values, **changes})  # type: ignore[arg-type]


def home_of(project: Path) -> Home:
    """Where a project's store is: PARTITA_HOME, else where `partita up` keeps it with others', else its own `.partita`."""
    root = _root_of(project)
    return Home(root, store_of(project) or store_at(root), values_of(project) or values_at(root))


def home_at(root: Path) -> Home:
    """The home in a folder that is known, with its store."""
    return Home(root, store_at(root), values_at(root))


def store_at(root: Path) -> str:
    """The address of a home's store: PARTITA_STORE, else what `partita up --postgres` has left in it; "" = its SQLite file."""
    if named := os.environ.get("PARTITA_STORE"):
        return named
    try:
        return (root / STORE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _root_of(project: Path) -> Path:
    home = os.environ.get("PARTITA_HOME")
    if home:
        return Path(home).resolve()
    own = project / ".partita"
    try:
        shared = Path(os.fsdecode((own / POINTER).read_bytes()).strip())
    except OSError:
        return own
    return shared if shared.is_absolute() and shared.is_dir() else own


def store_of(project: Path) -> str:
    """PARTITA_STORE, else `store` under `[tool.partita]` of the project."""
    return os.environ.get("PARTITA_STORE") or _named_in(project, "store")


def values_at(root: Path) -> str:
    """The address of a home's values: PARTITA_VALUES, else what `partita up` has left in it; "" = its folder `blobs`."""
    if named := os.environ.get("PARTITA_VALUES"):
        return named
    try:
        return (root / VALUES).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def values_of(project: Path) -> str:
    """PARTITA_VALUES, else `values` under `[tool.partita]` of the project."""
    return os.environ.get("PARTITA_VALUES") or _named_in(project, "values")


def _named_in(project: Path, key: str) -> str:
    """A text under `[tool.partita]` of a project; "" if there is none."""
    try:
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
        if key not in text:
            return ""
        import tomllib

        named = tomllib.loads(text)["tool"]["partita"][key]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # whoever loads the project says what is wrong with the file
    return named if isinstance(named, str) else ""


def outputs_of(project: Path) -> frozenset[str]:
    """The folders that steps write into (`outputs` under `[tool.partita]`): what lies there is no part of the project's code."""
    import tomllib

    try:
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
        named = tomllib.loads(text)["tool"]["partita"]["outputs"] if "outputs" in text else []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return frozenset()  # whoever loads the project says what is wrong with the file
    names = named if isinstance(named, list) else []
    return frozenset(os.path.normpath(project / name) for name in names if isinstance(name, str))


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise DefinitionError(f"{name}={text} is no number above 0", hint=f"unset {name}, or give it one")
    return number
