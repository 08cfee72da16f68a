-- The store of Partita, as it is today. A new database is made from this file; an older one is brought here by
-- migrations/, and a test holds the two equal.
--
-- Rows are what decisions are made from. The journal has the events they were made from, written in the same
-- transaction; folded, it gives the rows again (`partita db audit`). Times are seconds since the epoch, UTC.
-- Blobs are msgpack of the types in `core/events.py` and `core/values.py`, NULL where there is nothing to say;
-- what a user's value means is known to workers only.
-- States are checked by OR, the frequent ones first: SQLite builds a table for each longer IN, 4 µs of a step's 12.
-- WITHOUT ROWID where the key is how rows are found and the rows are small: one tree instead of two.

-- Which steps of migrations/ this database has behind it. A program refuses a number that it does not know.
CREATE TABLE migrations (
    no         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at REAL NOT NULL
) STRICT;

-- Who owns what, and in which epoch. The row of 'engine' guards every commit: a commit names its epoch, and one that
-- is over is refused. The epoch grows with every change of holder; holder '' means that it was given back.
CREATE TABLE leases (
    resource TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    until    REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Compiled graphs by content hash. A run ends on the graph that it began with.
CREATE TABLE graphs (
    version TEXT PRIMARY KEY,
    data    BLOB NOT NULL
) STRICT;

-- What each project defines, as the loader last saw it.
CREATE TABLE manifests (
    project TEXT PRIMARY KEY,
    data    BLOB NOT NULL
) STRICT;

-- One execution of a pipeline, flow or asset selection. `no` is what people type and what the other tables name a run
-- by; it counts creations in this database and is never used again.
CREATE TABLE runs (
    no               INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    namespace        TEXT NOT NULL,
    project          TEXT NOT NULL,
    pipeline         TEXT NOT NULL,
    graph            TEXT NOT NULL,
    code             TEXT NOT NULL,
    -- Why there is this run: "cli:<uuid>", "sched:<name>:<tick>". Asking twice makes one run.
    origin           TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state = 'succeeded' OR state = 'running' OR state = 'queued'
                                          OR state = 'failed' OR state = 'cancelled'),
    created_at       REAL NOT NULL,
    started_at       REAL,
    finished_at      REAL,
    by               TEXT NOT NULL,
    params           BLOB,
    partition        TEXT NOT NULL,
    priority         INTEGER NOT NULL,
    rerun_of         TEXT NOT NULL,
    selection        BLOB,
    fail_fast        INTEGER NOT NULL CHECK (fail_fast IN (0, 1)),
    timeout_s        REAL,
    -- Open attempts at once, within this run and over all runs of the namespace.
    step_limit       INTEGER,
    namespace_limit  INTEGER,
    tags             BLOB,
    paused           INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    reason           TEXT NOT NULL DEFAULT '',
    UNIQUE (namespace, origin)
) STRICT;

-- Lists are newest first; each index ends with `no`, which every index carries anyway.
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX runs_by_pipeline ON runs (pipeline, state);
-- Most runs have no partition and cost nothing here.
CREATE INDEX runs_by_partition ON runs (partition, pipeline) WHERE partition <> '';

-- The events of one run in one commit. Append only; nothing is decided from it.
CREATE TABLE journal (
    run    INTEGER NOT NULL REFERENCES runs (no),
    seq    INTEGER NOT NULL,
    at     REAL NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- Step instances that have ended or are to be tried again. All others exist in the graph only.
CREATE TABLE steps (
    run         INTEGER NOT NULL REFERENCES runs (no),
    step        TEXT NOT NULL,
    -- The position in each map that the step stands in: '' without, '17' in one, '3.17' in two.
    idx         TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state = 'succeeded' OR state = 'ready' OR state = 'failed' OR state = 'skipped'
                                     OR state = 'upstream_failed' OR state = 'cancelled' OR state = 'needs_attention'
                                     OR state = 'waiting' OR state = 'running'),
    -- The attempt that decided, or the coming one of a step that is 'ready'; 0 = none was made.
    attempt     INTEGER NOT NULL,
    not_before  REAL NOT NULL,
    finished_at REAL,
    reason      TEXT NOT NULL,
    because     BLOB,
    value       BLOB,
    choice      BLOB,
    again       INTEGER CHECK (again IN (0, 1)),
    reused_from TEXT NOT NULL,
    PRIMARY KEY (run, step, idx)
) STRICT, WITHOUT ROWID;

-- Each try of a step instance: inserted by its start, which is committed before user code runs, closed by its end.
CREATE TABLE attempts (
    run         INTEGER NOT NULL REFERENCES runs (no),
    step        TEXT NOT NULL,
    idx         TEXT NOT NULL,
    no          INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state = 'started' OR state = 'succeeded' OR state = 'failed' OR state = 'dispatched'
                                     OR state = 'timed_out' OR state = 'lost' OR state = 'cancelled'
                                     OR state = 'refused'),
    -- The engine's epoch at its start; an outcome that names another one is not accepted.
    epoch       INTEGER NOT NULL,
    worker      TEXT NOT NULL,
    external    TEXT NOT NULL,
    started_at  REAL NOT NULL,
    finished_at REAL,
    -- User code by the worker's own clock; 0 = unknown.
    began_at    REAL NOT NULL DEFAULT 0,
    ended_at    REAL NOT NULL DEFAULT 0,
    cached_from TEXT NOT NULL DEFAULT '',
    -- Failure, usage and metadata.
    detail      BLOB,
    PRIMARY KEY (run, step, idx, no)
) STRICT, WITHOUT ROWID;

-- At most one open attempt of a step instance, whatever the program believes. Holds open attempts only, so it stays
-- small and says quickly what is in flight.
CREATE UNIQUE INDEX one_open ON attempts (run, step, idx) WHERE state IN ('dispatched', 'started');

-- Every time an asset (partition) was made by an accepted attempt. `no` is the order of commit.
CREATE TABLE materializations (
    no           INTEGER PRIMARY KEY,
    asset        TEXT NOT NULL,
    partition    TEXT NOT NULL,
    run          INTEGER NOT NULL REFERENCES runs (no),
    step         TEXT NOT NULL,
    idx          TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    at           REAL NOT NULL,
    data_version TEXT NOT NULL,
    code_version TEXT NOT NULL,
    metadata     BLOB,
    value        BLOB,
    began_at     REAL NOT NULL,
    ended_at     REAL NOT NULL,
    UNIQUE (run, step, idx, attempt, asset, partition)
) STRICT;

CREATE INDEX materializations_by_asset ON materializations (asset);
CREATE INDEX materializations_by_partition ON materializations (asset, partition);

-- The newest materialization of each asset (partition): what staleness is decided from, so retention keeps it.
CREATE TABLE latest (
    asset           TEXT NOT NULL,
    partition       TEXT NOT NULL,
    materialization INTEGER NOT NULL REFERENCES materializations (no),
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

-- Every evaluation of a quality test. `no` is the order of commit.
CREATE TABLE checks (
    no        INTEGER PRIMARY KEY,
    run       INTEGER NOT NULL REFERENCES runs (no),
    step      TEXT NOT NULL,
    idx       TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    at        REAL NOT NULL,
    asset     TEXT NOT NULL,
    name      TEXT NOT NULL,
    partition TEXT NOT NULL,
    passed    INTEGER NOT NULL CHECK (passed IN (0, 1)),
    severity  TEXT NOT NULL CHECK (severity IN ('warn', 'error')),
    message   TEXT NOT NULL,
    metadata  BLOB
) STRICT;

CREATE INDEX checks_by_run ON checks (run);
CREATE INDEX checks_by_asset ON checks (asset);
