"""History by month: where a month's rows lie in PostgreSQL, and how they go all at once.

Journal, steps, attempts and ticks are partitioned. Ticks know their instant, and the journal's numbers begin anew, higher, with
each month. Steps and attempts lie where their run's number says: a month takes as many blocks of numbers as it needs, and
what is left of the last one is not used. A run that retention takes away is gone from the lists at once; its steps, attempts and
journal go when next to nothing of their block is needed any more: what still is (the newest runs of a pipeline) is copied to a
small table that takes the place of the large one, which is dropped.

Rule: nothing is decided from what lies here. A row whose run is gone does not exist for anybody.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from partita.errors import StoreError
from partita.store.database import Database

# Journal numbers of a month: more than anybody writes in one, and all of them exact in a double.
_JOURNAL_BITS: Final = 40
_FIRST_BLOCK: Final = 256
# A block is copied and dropped when so little of it is left.
_LEFT: Final = 0.2
# For so long back months are made for what is copied from another PostgreSQL; what is older lies together.
_KEPT_S: Final = 3 * 366 * 86400.0
_NAME = re.compile(r"(journal|steps|attempts|ticks)_p(\d{6})_(\d+)_(\d+)")
# Several processes may open a store at once; "partita" as a number.
_LOCK: Final = 0x70617274697461


class Part(NamedTuple):
    """A partition: of which table, of which month (202611), and which values of its column it has."""

    name: str
    table: str
    month: int
    low: int
    high: int


class Dropped(NamedTuple):
    """How many rows' places were given back, for people: the table, its month, the bytes."""

    table: str
    month: int
    bytes: int


class Sizes(NamedTuple):
    """The bytes of the database; of them those of runs that are gone, which wait for their month; and those of a run."""

    size: int
    waiting: int
    of_a_run: float


class Months:
    """The partitions of one store, for its owner."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._blocks: list[tuple[int, int]] | None = None
        self._prepare_from = 0
        self._prepare_at = 0.0

    def prepare(self) -> None:
        """Make the partitions of this month and the next."""
        now = self._clock()
        with self._db.transaction():
            self._db.fetch("SELECT 1 FROM pg_advisory_xact_lock(?)", (_LOCK,))
            for table in ("journal", "steps", "attempts", "ticks"):
                self._db.fetch(f"CREATE TABLE IF NOT EXISTS {table}_rest PARTITION OF {table} DEFAULT")
            self._db.fetch("CREATE UNIQUE INDEX IF NOT EXISTS journal_rest_once ON journal_rest (run, seq)")
            parts = partitions(self._db)
            for month in (month_of(now), following(month_of(now))):
                self._make(parts, "ticks", month, int(start_of(month)), int(start_of(following(month))))
                low = _count(month) << _JOURNAL_BITS
                self._make(parts, "journal", month, low, low + (1 << _JOURNAL_BITS))
            self._advance_journal(parts, month_of(now))
            self._prepare_from = self._make_blocks(parts, month_of(now))
        self._prepare_at = time.time() + min(3600.0, max(0.0, start_of(following(month_of(now))) - now))

    def make_room(self, journal: int, runs: int, since: float | None) -> None:
        """Make partitions for what comes from elsewhere: journal and runs up to these numbers, ticks since then."""
        now = self._clock()
        with self._db.transaction():
            parts = partitions(self._db)
            blocks = [part for part in parts if part.table == "steps"]
            low = max((block.high for block in blocks), default=1)
            if runs >= low:
                self._make_block(parts, month_of(now), low, runs + 1 - low)
            for month in _until(month_of(since or now), month_of(now)):
                self._make(parts, "ticks", month, int(start_of(month)), int(start_of(following(month))))
            first = min(part.low for part in parts if part.table == "journal")
            # From a file its numbers count from 1; from another PostgreSQL they are of its months.
            if journal < first:
                self._make(parts, "journal", month_of(now), 1, journal + 1)
            else:
                for month in _until(month_of(now - _KEPT_S), month_of(now)):
                    low = _count(month) << _JOURNAL_BITS
                    self._make(parts, "journal", month, low, low + (1 << _JOURNAL_BITS))
        self.prepare()

    def committed(self, newest: int) -> None:
        """A commit has made runs up to this number, or none (0). Prepares what comes, if it is time."""
        if newest < self._prepare_from and time.time() < self._prepare_at:
            return
        self._prepare_at = time.time() + 60.0
        # Whatever has no place of its own lies in the rest; it is tried again in a minute.
        with suppress(StoreError):
            self.prepare()

    def holds(self, run: int) -> bool:
        """Whether the rows of a run go with their block, and are not removed one by one."""
        if self._blocks is None:
            self._blocks = [(part.low, part.high) for part in partitions(self._db) if part.table == "steps"]
        return any(low <= run < high for low, high in self._blocks)

    def drop(
        self, fence: Callable[[], None], *, ticks_before: float | None, facts_before: float | None
    ) -> Iterator[Dropped]:
        """Drop what retention has left next to nothing of, a partition at a time. `fence` begins each transaction.

        Facts and ticks: whole months that are older than that.
        """
        now = month_of(self._clock())
        for part in partitions(self._db):
            if part.month >= now:
                continue
            found = self._needed(part, ticks_before, facts_before)
            if found is not None:
                yield self._replace(part, *found, fence)

    def _needed(self, part: Part, ticks_before: float | None, facts_before: float | None) -> tuple[str, int] | None:
        """Which rows of a partition are needed still (SQL), and of how many runs; None if it stays as it is."""
        if part.table == "ticks":
            is_old = ticks_before is not None and part.high <= ticks_before
            return ("", 0) if is_old and self._newest_decision(part) < (ticks_before or 0.0) else None
        if part.table == "journal":
            is_old = facts_before is not None and start_of(following(part.month)) <= facts_before
            return self._needed_journal(part) if is_old else None
        return self._needed_block(part)

    # --- making ---------------------------------------------------------------------------------------------------------

    def _make(self, parts: list[Part], table: str, month: int, low: int, high: int) -> None:
        part = Part(f"{table}_p{month}_{low}_{high}", table, month, low, high)
        if part in parts:
            return
        self._build(part.name, table)
        self._attach(part.name, part)
        parts.append(part)
        self._blocks = None

    def _build(self, name: str, table: str) -> None:
        """A table like another one, beside it: attaching it takes no lock that readers would wait for."""
        self._db.fetch(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)")
        if table == "journal":
            self._db.fetch(f"CREATE UNIQUE INDEX {name}_once ON {name} (run, seq) WHERE run IS NOT NULL")

    def _attach(self, name: str, part: Part) -> None:
        self._db.fetch(
            f"ALTER TABLE {part.table} ATTACH PARTITION {name} FOR VALUES FROM ({part.low}) TO ({part.high})"
        )

    def _advance_journal(self, parts: list[Part], month: int) -> None:
        """With a month begin its numbers, and what the last one has is known."""
        first = _count(month) << _JOURNAL_BITS
        (newest,) = self._db.fetch("SELECT last_value FROM journal_no_seq")[0]
        if newest < first:
            self._db.fetch("SELECT setval('journal_no_seq', ?, false)", (first + 1,))
            (runs,) = self._db.fetch("SELECT count(*) FROM runs WHERE created_at < ?", (start_of(month),))[0]
            for part in parts:
                if part.table == "journal" and part.month < month and self._left_before(part, -1) < 0:
                    self._write_down(part.name, runs)

    def _make_blocks(self, parts: list[Part], month: int) -> int:
        """See that there is room for the runs to come; from which number on there must be more."""
        blocks = sorted((part for part in parts if part.table == "steps"), key=lambda part: part.high)
        last = self._last_run()
        newest = blocks[-1] if blocks else None
        if newest is None:
            newest = self._make_block(parts, month, 1, max(_FIRST_BLOCK, last))
        elif newest.month < month and last < newest.low:
            newest = self._rename(parts, newest, month)
            self._db.fetch("SELECT setval('runs_no_seq', ?, false)", (newest.low,))
        elif newest.month < month:
            # What is left of the block before is not used.
            begin = max(newest.high, last + 1)
            self._note(newest, last + 1 - newest.low)
            self._db.fetch("SELECT setval('runs_no_seq', ?, false)", (begin,))
            newest = self._make_block(parts, month, begin, _size(blocks, newest.month))
        elif last >= (newest.low + newest.high) // 2:
            newest = self._make_block(parts, month, max(newest.high, last + 1), 2 * (newest.high - newest.low))
        return (newest.low + newest.high) // 2

    def _rename(self, parts: list[Part], block: Part, month: int) -> Part:
        """A block that nobody has used is one of the new month."""
        for part in [part for part in parts if (part.low, part.high) == (block.low, block.high)]:
            if part.table in ("steps", "attempts"):
                name = part.name.replace(f"_p{part.month}_", f"_p{month}_")
                self._db.fetch(f"ALTER TABLE {part.name} RENAME TO {name}")
        self._blocks = None
        return block._replace(name=block.name.replace(f"_p{block.month}_", f"_p{month}_"), month=month)

    def _make_block(self, parts: list[Part], month: int, low: int, size: int) -> Part:
        for table in ("attempts", "steps"):
            self._make(parts, table, month, low, low + size)
        return parts[-1]

    def _last_run(self) -> int:
        last, is_used = self._db.fetch("SELECT last_value, is_called FROM runs_no_seq")[0]
        return int(last) if is_used else int(last) - 1

    # --- dropping -------------------------------------------------------------------------------------------------------

    def _newest_decision(self, part: Part) -> float:
        return float(self._db.fetch(f"SELECT coalesce(max(decided_at), 0) FROM {part.name}")[0][0])

    def _needed_block(self, part: Part) -> tuple[str, int] | None:
        (left,) = self._db.fetch("SELECT count(*) FROM runs WHERE no >= ? AND no < ?", (part.low, part.high))[0]
        if left > _LEFT * self._left_before(part, min(part.high, self._last_run() + 1) - part.low):
            return None
        return f"JOIN runs AS r ON r.no = t.run WHERE r.no >= {part.low} AND r.no < {part.high}", left

    def _needed_journal(self, part: Part) -> tuple[str, int] | None:
        """Its facts are old: what may be needed of it is of runs that began before its end and are still there."""
        end = start_of(following(part.month))
        (left,) = self._db.fetch("SELECT count(*) FROM runs WHERE created_at < ?", (end,))[0]
        if left > _LEFT * self._left_before(part, left):
            return None
        return f"JOIN runs AS r ON r.no = t.run WHERE r.created_at < {end!r}", left

    def _left_before(self, part: Part, ever: int) -> int:
        """How many runs were left when it was looked at last; before that, how many there ever were."""
        (comment,) = self._db.fetch(f"SELECT obj_description('{part.name}'::regclass, 'pg_class')")[0]
        found = re.match(r"(\d+) runs left", comment or "")
        return int(found[1]) if found else ever

    def _note(self, block: Part, runs: int) -> None:
        for table in ("steps", "attempts"):
            self._write_down(block.name.replace("steps", table, 1), runs)

    def _write_down(self, name: str, runs: int) -> None:
        self._db.fetch(f"COMMENT ON TABLE {name} IS '{runs} runs left'")

    def _replace(self, part: Part, needed: str, left: int, fence: Callable[[], None]) -> Dropped:
        """Put what is needed of a partition in its place, and drop it."""
        (size,) = self._db.fetch(f"SELECT pg_total_relation_size('{part.name}')")[0]
        making = f"{part.name}_making"
        with self._db.transaction():
            fence()
            self._blocks = None
            self._db.fetch("SET LOCAL statement_timeout = 0")
            if left:
                self._build(making, part.table)
                self._db.fetch(f"INSERT INTO {making} SELECT t.* FROM {part.name} AS t {needed}")
            self._db.fetch(f"ALTER TABLE {part.table} DETACH PARTITION {part.name}")
            self._db.fetch(f"DROP TABLE {part.name}")
            if left:
                self._db.fetch(f"ALTER TABLE {making} RENAME TO {part.name}")
                self._attach(part.name, part)
                self._write_down(part.name, left)
        return Dropped(part.table, part.month, int(size))


def partitions(db: Database) -> list[Part]:
    """All partitions but the rests, the oldest first."""
    rows = db.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " JOIN pg_class AS p ON p.oid = i.inhparent WHERE p.relkind = 'p' AND c.relnamespace = current_schema()::regnamespace"
    )
    found = [_NAME.fullmatch(name) for (name,) in rows]
    return sorted(
        (Part(m[0], m[1], int(m[2]), int(m[3]), int(m[4])) for m in found if m),
        key=lambda part: (part.month, part.name),
    )


def sizes(db: Database) -> Sizes:
    """What the history takes. Counts the runs of each block, which costs an index."""
    (size,) = db.fetch("SELECT pg_database_size(current_database())")[0]
    (reached,) = db.fetch("SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM runs_no_seq")[0]
    parts = partitions(db)
    ever = left = 0
    for part in parts:
        if part.table == "steps":
            ever += max(0, min(part.high, reached) - part.low)
            left += db.fetch("SELECT count(*) FROM runs WHERE no >= ? AND no < ?", (part.low, part.high))[0][0]
    history = sum(
        db.fetch(f"SELECT pg_total_relation_size('{part.name}')")[0][0] for part in parts if part.table != "ticks"
    )
    of_a_run = history / max(1, ever)
    return Sizes(int(size), int(of_a_run * max(0, ever - left)), of_a_run)


# --- months -----------------------------------------------------------------------------------------------------------


def month_of(at: float) -> int:
    """The month of an instant (UTC) as a number.

    >>> month_of(1795392000.0)
    202611
    """
    day = dt.datetime.fromtimestamp(at, dt.UTC)
    return day.year * 100 + day.month


def following(month: int) -> int:
    """The month after.

    >>> following(202612)
    202701
    """
    return month + 1 if month % 100 < 12 else month + 89


def start_of(month: int) -> float:
    """Its first instant."""
    return dt.datetime(month // 100, month % 100, 1, tzinfo=dt.UTC).timestamp()


def _until(first: int, last: int) -> list[int]:
    """Months from one to another, the newest 60 of them."""
    found = []
    while first <= last:
        found.append(first)
        first = following(first)
    return found[-60:]


def _count(month: int) -> int:
    """Months since the year 1970, from one on."""
    return (month // 100 - 1970) * 12 + month % 100


def _size(blocks: list[Part], month: int) -> int:
    """How many runs the next month is made for at first: half of what the last one took."""
    took = sum(block.high - block.low for block in blocks if block.month == month)
    return max(_FIRST_BLOCK, took // 2)
