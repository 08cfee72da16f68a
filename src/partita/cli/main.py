"""The entry of `partita`: which command is meant, and what an error of it looks like.

Exit codes: 0 done, 1 a run failed (or `check`, `doctor`, `db audit` found something), 2 the command or a definition is
wrong, 3 our world is broken (store, disk, processes), 70 a bug of ours, 130 Ctrl-C.

Rule: user mistakes never show a traceback; our own mistakes put theirs into a file and say where.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from partita.cli import terminal, verbs
from partita.errors import DefinitionError, PartitaError, UserCodeError, WorldError

if TYPE_CHECKING:
    from partita.cli.styled import Line

USAGE, FAILED, WORLD, BUG, INTERRUPTED = 2, 1, 3, 70, 130


def main(argv: list[str] | None = None) -> None:
    """Carry out the command line and end the process."""
    _never_fail_to_print()
    status = run(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = _reader_gone()
    sys.exit(status)


def run(argv: list[str]) -> int:
    """Carry out the command line; the exit code."""
    try:
        return _dispatch(argv)
    except KeyboardInterrupt:
        # One that hit Python code made of text (a dataclass being defined) is noted by the interpreter, which under `-m`
        # would end by SIGINT for it, whatever is returned here; the next such code takes the note back.
        exec("")
        terminal.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except PartitaError as error:
        _say_error(error)
        return _status_of(error)
    except Exception as error:
        return _say_bug(error, argv)


def _dispatch(argv: list[str]) -> int:
    folder, words = _leading_folder(argv)
    if not words or words[0] in ("--help", "-h", "help"):
        terminal.out().lines(verbs.overview())
        return 0
    if words[0] == "--version":
        from partita import __version__

        terminal.out().line(f"partita {__version__}")
        return 0
    found = verbs.find(words)
    if found is None:
        return _no_such_command(words)
    verb, rest = found
    return _call(verb, [*folder, *rest])


def _leading_folder(argv: list[str]) -> tuple[list[str], list[str]]:
    """`partita -C shop run` is `partita run -C shop`."""
    if argv[:1] in (["-C"], ["--project"]) and len(argv) > 1:
        return ["-C", argv[1]], argv[2:]
    if argv and argv[0].startswith("--project="):
        return argv[:1], argv[1:]
    return [], argv


def _no_such_command(words: list[str]) -> int:
    inside = verbs.page_of(words[0])
    asks_help = len(words) > 1 and words[1] in ("--help", "-h")
    if inside and (len(words) == 1 or asks_help):
        out = terminal.out()
        out.lines([[(f"partita {words[0]}", "bold"), (f"  {verbs.NOUNS[words[0]]}", "")], [], *inside])
        return 0 if asks_help else USAGE
    said = " ".join(words[:2]) if inside else words[0]
    near = verbs.nearest(said)
    hint = f"did you mean: partita {near}" if near else "`partita --help` lists the commands"
    _say_error(DefinitionError(f"there is no command {said!r}", hint=hint))
    return USAGE


def _call(verb: verbs.Verb, args: list[str]) -> int:
    import importlib

    from partita.cli.parsing import help_page, parse

    module, _, name = verb.where.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(f"partita.cli.{module}"), name)
    before_double_dash = args[: args.index("--")] if "--" in args else args
    if "-h" in before_double_dash or "--help" in before_double_dash:
        more = verbs.page_of(verb.words)
        further: list[Line] = [[], [("Further", "bold")], *more] if more else []
        terminal.out().lines([*help_page(function, verb.words), *further])
        return 0
    return function(**parse(function, verb.words, args))


def _status_of(error: PartitaError) -> int:
    if isinstance(error, WorldError):
        return WORLD
    return FAILED if isinstance(error, UserCodeError) else USAGE


def _say_error(error: PartitaError) -> None:
    where = f"{error.file}:{error.line}: " if isinstance(error, DefinitionError) and error.file else ""
    first, *more = error.message.splitlines() or [""]
    err = terminal.err()
    err.line(("■ ", "red"), where, first)
    for line in more:
        err.line(("  │ ", "dim"), line)
    if error.hint:
        terminal.hint(error.hint)


def _say_bug(error: Exception, argv: list[str]) -> int:
    """A mistake of ours: a short message, and the traceback where it can be sent from."""
    import platform
    import tempfile
    import traceback

    from partita import __version__

    story = "".join(traceback.format_exception(error))
    # Values may be secrets: only the command and the names of its options are kept.
    words = [word.partition("=")[0] for word in argv if word.startswith("-")]
    head = f"partita {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    head += f"command: {' '.join([*argv[:1], *words])}\n\n"
    with tempfile.NamedTemporaryFile("w", prefix="partita-bug-", suffix=".txt", delete=False) as file:
        file.write((head + story).encode("utf-8", "backslashreplace").decode())
    err = terminal.err()
    err.line(("■ ", "red"), f"a bug of Partita's, not of yours: {type(error).__name__}: {_text_of(error)}")
    err.line(f"  nothing that was recorded is lost; the details are in {file.name}")
    terminal.hint("please report it with that file (look through it first); `partita doctor` may help meanwhile")
    return BUG


def _text_of(error: Exception) -> str:
    try:
        return str(error).partition("\n")[0][:200]
    except Exception as another:  # an error whose text cannot be made is still an error
        return f"(its text cannot be made: {type(another).__name__})"


def _never_fail_to_print() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _reader_gone() -> int:
    """Whoever read our output has closed it (`| head`): that is no error, and nothing more can be said."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(devnull, stream.fileno())
    return 0


if __name__ == "__main__":
    main()
