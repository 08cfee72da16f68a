"""Bundles: the same files make the same bytes, and nothing that is no bundle is unpacked."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from partita.errors import DefinitionError, LoadError
from partita.executors import bundle


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    for path, text in {
        "pipelines.py": "x = 1\n",
        "lib/sums.py": "def add(a, b): return a + b\n",
        "sql/daily.sql": "select 1\n",
        "uv.lock": "version = 1\n",
        "pyproject.toml": '[tool.partita]\noutputs = ["out"]\ninclude = ["seeds/**", "rates.csv"]\n',
        "seeds/deep/airports.csv": "JFK\n",
        "rates.csv": "1\n",
        "big.parquet": "not packed\n",
        "out/report.py": "not packed\n",
        ".env": "PASSWORD=not-packed\n",
        ".partita/partita.toml": "not packed\n",
        "env/pyvenv.cfg": "",
        "env/lib.py": "not packed\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_a_bundle_has_code_locks_and_what_is_included_and_nothing_secret(project: Path) -> None:
    assert bundle.files_of(project) == [
        "lib/sums.py",
        "pipelines.py",
        "pyproject.toml",
        "rates.csv",
        "seeds/deep/airports.csv",
        "sql/daily.sql",
        "uv.lock",
    ]
    assert bundle.files_of(project, leave_out=frozenset({"seeds", "lib/sums.py"})) == [
        "pipelines.py",
        "pyproject.toml",
        "rates.csv",
        "sql/daily.sql",
        "uv.lock",
    ]


def test_the_same_files_make_the_same_bytes_wherever_and_whenever(project: Path, tmp_path: Path) -> None:
    first = bundle.pack(project, into=tmp_path / "a")
    other = tmp_path / "elsewhere"
    bundle.unpack(first.path, other, digest=first.digest)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "out").mkdir()
    second = bundle.pack(other, into=tmp_path / "b")
    assert second.digest == first.digest
    assert second.path.read_bytes() == first.path.read_bytes()
    assert bundle.digest_of(first.path.read_bytes()) == first.digest
    assert bundle.contents(first.path.read_bytes()) == bundle.listed(project)


def test_another_content_or_another_right_to_execute_is_another_bundle(project: Path, tmp_path: Path) -> None:
    digests = {bundle.pack(project, into=tmp_path).digest}
    (project / "pipelines.py").write_text("x = 2\n")
    digests.add(bundle.pack(project, into=tmp_path).digest)
    (project / "pipelines.py").chmod(0o755)
    last = bundle.pack(project, into=tmp_path)
    digests.add(last.digest)
    assert len(digests) == 3
    assert os.access(bundle.unpack(last.path, tmp_path / "un") / "pipelines.py", os.X_OK)


def test_a_project_that_is_too_large_is_told_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_FILES", 3)
    with pytest.raises(DefinitionError, match="too large") as caught:
        bundle.pack(project)
    assert "outputs" in (caught.value.hint or "")


def test_unpacking_twice_does_nothing_and_the_wrong_digest_leaves_nothing(project: Path, tmp_path: Path) -> None:
    packed = bundle.pack(project, into=tmp_path / "b")
    into = tmp_path / "versions" / "one"
    with pytest.raises(LoadError, match="its content is"):
        bundle.unpack(packed.path, into, digest="0" * 64)
    assert list(into.parent.iterdir()) == []
    bundle.unpack(packed.path, into, digest=packed.digest)
    (into / "pipelines.py").write_text("mine")
    bundle.unpack(packed.path, into, digest=packed.digest)
    assert (into / "pipelines.py").read_text() == "mine"


def test_a_bundle_that_was_cut_or_damaged_anywhere_is_refused(project: Path, tmp_path: Path) -> None:
    packed = bundle.pack(project, into=tmp_path / "b")
    whole = packed.path.read_bytes()
    for at in range(0, len(whole), 7):
        cut, damaged = whole[:at], bytearray(whole)
        damaged[at] ^= 0xFF
        with pytest.raises(LoadError):
            bundle.digest_of(cut)
        # What gzip does not check (its header's flags of the system it was made on) is not the content.
        try:
            digest = bundle.digest_of(bytes(damaged))
        except LoadError:
            continue
        assert digest == packed.digest


def _made(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(out.getvalue())


def _named(name: str, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, b"x"


@pytest.mark.parametrize(
    "members",
    [
        [_named("../outside.py")],
        [_named("/etc/cron.d/evil")],
        [_named("a/../../b.py")],
        [_named("a//b.py")],
        [_named("a\\b.py")],
        [_named("a\nb.py")],
        [_named("x" * 600)],
        [_named(".venv/bin/python")],
        [_named("lib/.hidden/x.py")],
        [_named("link.py", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        [_named("hard.py", type=tarfile.LNKTYPE, linkname="pipelines.py")],
        [_named("pipe", type=tarfile.FIFOTYPE)],
        [_named("dev", type=tarfile.CHRTYPE)],
        [_named("a.py"), _named("a.py")],
        [_named("a"), _named("a/b.py")],
    ],
    ids=lambda members: repr(members[-1][0].name[:20]),
)
def test_what_no_bundle_holds_is_refused_and_leaves_nothing(
    members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    data = _made(*members)
    (tmp_path / "bad.tar.gz").write_bytes(data)
    with pytest.raises(LoadError, match="no bundle that is taken"):
        bundle.digest_of(data)
    with pytest.raises(LoadError, match="no bundle that is taken"):
        bundle.unpack(tmp_path / "bad.tar.gz", tmp_path / "in" / "v")
    assert list((tmp_path / "in").iterdir()) == []
    assert not (tmp_path / "outside.py").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 1 << 20)
    member = tarfile.TarInfo("zeros.json")
    bomb = _made((member, b"\0" * (2 << 20)))
    assert len(bomb) < 10_000
    with pytest.raises(LoadError, match="more than 1,048,576 bytes"):
        bundle.digest_of(bomb)
    # Bytes after the end of the archive count as well.
    with pytest.raises(LoadError, match="more than"):
        bundle.digest_of(gzip.compress(gzip.decompress(_made(_named("a.py"))) + b"\0" * (64 << 20)))


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", gzip.compress(b"no tar"), bytes(range(256)) * 8],
    ids=["nothing", "zip", "no tar", "noise"],
)
def test_bytes_that_are_no_archive_are_refused(data: bytes) -> None:
    with pytest.raises(LoadError, match="no bundle"):
        bundle.digest_of(data)
