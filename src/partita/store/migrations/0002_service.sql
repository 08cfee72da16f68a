-- The service: schedules, sensors, gates, automation, backfills, limits, notifications, access, versions. The journal
-- becomes one stream in the order of commit; assets may be reported by other tools.
ALTER TABLE leases ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN keys BLOB;
ALTER TABLE runs ADD COLUMN partitions BLOB;
ALTER TABLE runs ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1));
CREATE INDEX runs_by_project ON runs (project, state);
CREATE INDEX runs_by_namespace ON runs (namespace, state);
CREATE INDEX runs_by_person ON runs (by, state);
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX runs_by_end ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_by_graph ON runs (graph);
CREATE INDEX runs_again ON runs (rerun_of) WHERE rerun_of <> '';
CREATE INDEX runs_leaving ON runs (no) WHERE leaving = 1;

CREATE TABLE run_tags (
    tag TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (no),
    PRIMARY KEY (tag, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_tags_by_run ON run_tags (run);

CREATE TABLE journal_new (
    no     INTEGER PRIMARY KEY AUTOINCREMENT,
    run    INTEGER REFERENCES runs (no),
    seq    INTEGER,
    at     REAL NOT NULL,
    events BLOB NOT NULL
) STRICT;
INSERT INTO journal_new (run, seq, at, events) SELECT run, seq, at, events FROM journal ORDER BY at, run, seq;
DROP TABLE journal;
ALTER TABLE journal_new RENAME TO journal;
CREATE UNIQUE INDEX journal_of_run ON journal (run, seq) WHERE run IS NOT NULL;

CREATE TABLE materializations_new (
    no           INTEGER PRIMARY KEY,
    asset        TEXT NOT NULL,
    partition    TEXT NOT NULL,
    -- NULL: another tool reported it (`step` says who).
    run          INTEGER,
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
INSERT INTO materializations_new (no, asset, partition, run, step, idx, attempt, at, data_version, code_version, metadata, value, began_at, ended_at) SELECT no, asset, partition, run, step, idx, attempt, at, data_version, code_version, metadata, value, began_at, ended_at FROM materializations ORDER BY no;
CREATE TABLE latest_new (
    asset           TEXT NOT NULL,
    partition       TEXT NOT NULL,
    materialization INTEGER NOT NULL,
    -- The first materialization in a row with this data version, and when: one that changed nothing makes nobody stale.
    changed         INTEGER NOT NULL,
    changed_at      REAL NOT NULL,
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;
INSERT INTO latest_new
SELECT l.asset, l.partition, l.materialization, l.materialization, m.at
FROM latest AS l JOIN materializations AS m ON m.no = l.materialization;
DROP TABLE latest;
DROP TABLE materializations;
ALTER TABLE materializations_new RENAME TO materializations;
ALTER TABLE latest_new RENAME TO latest;
CREATE UNIQUE INDEX reports_by_key ON materializations (asset, partition, step, idx) WHERE run IS NULL AND idx <> '';
CREATE INDEX materializations_by_asset ON materializations (asset);
CREATE INDEX materializations_by_partition ON materializations (asset, partition);

CREATE TABLE checks_new (
    no        INTEGER PRIMARY KEY,
    -- NULL: another tool reported it (`step` says who).
    run       INTEGER,
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
INSERT INTO checks_new (no, run, step, idx, attempt, at, asset, name, partition, passed, severity, message, metadata) SELECT no, run, step, idx, attempt, at, asset, name, partition, passed, severity, message, metadata FROM checks ORDER BY no;
DROP TABLE checks;
ALTER TABLE checks_new RENAME TO checks;
CREATE INDEX checks_by_run ON checks (run);
CREATE INDEX checks_by_asset ON checks (asset);

-- How each check of an asset (partition) ended last: what gates are decided from, so retention keeps it.
CREATE TABLE verdicts (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    name      TEXT NOT NULL,
    passed    INTEGER NOT NULL CHECK (passed IN (0, 1)),
    severity  TEXT NOT NULL CHECK (severity IN ('warn', 'error')),
    at        REAL NOT NULL,
    message   TEXT NOT NULL,
    PRIMARY KEY (asset, partition, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX verdicts_failed ON verdicts (asset) WHERE passed = 0;
INSERT INTO verdicts (asset, partition, name, passed, severity, at, message)
SELECT asset, partition, name, passed, severity, at, message FROM checks WHERE true ORDER BY no
ON CONFLICT (asset, partition, name) DO UPDATE
SET passed = excluded.passed, severity = excluded.severity, at = excluded.at, message = excluded.message;
CREATE INDEX checks_by_name ON checks (asset, partition, name);

-- ==== beside the runs ===============================================================================================

-- Schedules as declared, with what the next decision needs; retention never touches them. Blobs: msgpack of
-- `core/manifest.py`.
CREATE TABLE schedules (
    namespace      TEXT NOT NULL,
    name           TEXT NOT NULL,
    project        TEXT NOT NULL,
    pipeline       TEXT NOT NULL,
    version        INTEGER NOT NULL,
    spec           BLOB NOT NULL,
    effective_from REAL NOT NULL,
    active         INTEGER NOT NULL CHECK (active IN (0, 1)),
    paused         INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    automatic      INTEGER NOT NULL DEFAULT 0 CHECK (automatic IN (0, 1)),
    reason         TEXT NOT NULL DEFAULT '',
    next_at        REAL,
    -- The newest instant that was decided, and when.
    last_at        REAL,
    last_decision  TEXT NOT NULL DEFAULT '',
    decided_at     REAL,
    failures       INTEGER NOT NULL DEFAULT 0,
    -- By which edition of the tz data next_at was found.
    tzdata         TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- One row for each due instant of a schedule, with its one decision; a range of skipped ones is one row up to `until`.
CREATE TABLE ticks (
    namespace  TEXT NOT NULL,
    schedule   TEXT NOT NULL,
    instant    REAL NOT NULL,
    decision   TEXT NOT NULL CHECK (decision IN ('run', 'skipped')),
    reason     TEXT NOT NULL,
    run        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    tzdata     TEXT NOT NULL,
    decided_at REAL NOT NULL,
    until      REAL,
    count      INTEGER NOT NULL,
    -- When its run was to start (0: at the instant), and where its data interval begins: the tick before.
    start_at   REAL NOT NULL DEFAULT 0,
    since      REAL,
    PRIMARY KEY (namespace, schedule, instant)
) STRICT, WITHOUT ROWID;

CREATE INDEX ticks_by_time ON ticks (decided_at);

-- Sensors as declared, with their cursors.
CREATE TABLE sensors (
    namespace    TEXT NOT NULL,
    name         TEXT NOT NULL,
    project      TEXT NOT NULL,
    spec         BLOB NOT NULL,
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    paused       INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    reason       TEXT NOT NULL DEFAULT '',
    cursor       BLOB,
    evaluated_at REAL,
    failures     INTEGER NOT NULL DEFAULT 0,
    -- Looks since the declaration, and those that saw nothing.
    looks        INTEGER NOT NULL DEFAULT 0,
    quiet        INTEGER NOT NULL DEFAULT 0,
    -- The number of the journal up to which it has heard.
    heard        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- Looks of sensors that asked for something, failed, or said why not.
CREATE TABLE evaluations (
    no        INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    sensor    TEXT NOT NULL,
    at        REAL NOT NULL,
    took_s    REAL NOT NULL,
    skipped   TEXT NOT NULL,
    error     TEXT NOT NULL,
    requests  BLOB,
    output    TEXT NOT NULL
) STRICT;

CREATE INDEX evaluations_by_sensor ON evaluations (namespace, sensor);

-- Keys under which a sensor has asked for runs: each gives one run, for as long as the key is kept (longer than runs are).
CREATE TABLE run_keys (
    namespace TEXT NOT NULL,
    sensor    TEXT NOT NULL,
    key       TEXT NOT NULL,
    run       TEXT NOT NULL,
    at        REAL NOT NULL,
    PRIMARY KEY (namespace, sensor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_keys_by_time ON run_keys (at);

-- Deliveries of webhooks by their ids; `body` until a look has taken it.
CREATE TABLE deliveries (
    no        INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    sensor    TEXT NOT NULL,
    delivery  TEXT NOT NULL,
    at        REAL NOT NULL,
    body      BLOB,
    headers   BLOB,
    taken     INTEGER NOT NULL DEFAULT 0 CHECK (taken IN (0, 1)),
    UNIQUE (namespace, sensor, delivery)
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (namespace, sensor) WHERE taken = 0;

-- Steps that wait without a slot: for people, other systems, a time, the world. `spec` as in the graph.
CREATE TABLE gates (
    run         INTEGER NOT NULL REFERENCES runs (no),
    step        TEXT NOT NULL,
    idx         TEXT NOT NULL,
    -- "approval", "external", "timer", "condition"; '' while it was only reported to.
    of          TEXT NOT NULL DEFAULT '',
    -- NULL: it was reported to before it opened.
    opened_at   REAL,
    due_at      REAL,
    -- The last heartbeat of the other system, and what it said.
    heard_at    REAL,
    message     TEXT NOT NULL DEFAULT '',
    report      BLOB,
    answered_at REAL,
    how         TEXT NOT NULL DEFAULT '',
    accepted    INTEGER CHECK (accepted IN (0, 1)),
    choice      TEXT NOT NULL DEFAULT '',
    by          BLOB,
    comment     TEXT NOT NULL DEFAULT '',
    metadata    BLOB,
    -- What there is to decide on, as the steps before have made it.
    material    BLOB,
    -- SHA-256 of the token with which another system answers.
    token       BLOB,
    reminded    INTEGER NOT NULL DEFAULT 0,
    remind_at   REAL,
    PRIMARY KEY (run, step, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX gates_open ON gates (of, opened_at, run, step, idx) WHERE answered_at IS NULL;
CREATE UNIQUE INDEX gates_by_token ON gates (token) WHERE token IS NOT NULL;

-- One row for each person who answered a gate.
CREATE TABLE votes (
    run     INTEGER NOT NULL REFERENCES runs (no),
    step    TEXT NOT NULL,
    idx     TEXT NOT NULL,
    by      TEXT NOT NULL,
    at      REAL NOT NULL,
    choice  TEXT NOT NULL,
    roles   BLOB,
    comment TEXT NOT NULL,
    answer  BLOB,
    PRIMARY KEY (run, step, idx, by)
) STRICT, WITHOUT ROWID;

-- What the automation condition of an asset remembers.
CREATE TABLE automation (
    asset   TEXT PRIMARY KEY,
    at      REAL NOT NULL,
    memory  BLOB
) STRICT, WITHOUT ROWID;

-- Decisions of automation that asked for something, with their explanation.
CREATE TABLE automated (
    no         INTEGER PRIMARY KEY,
    asset      TEXT NOT NULL,
    at         REAL NOT NULL,
    partitions BLOB,
    run        TEXT NOT NULL,
    reason     TEXT NOT NULL,
    tree       BLOB NOT NULL
) STRICT;

CREATE INDEX automated_by_asset ON automated (asset);

-- How fresh assets with a freshness policy are.
CREATE TABLE freshness (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('fresh', 'warn', 'fail', 'unknown')),
    since     REAL NOT NULL,
    reason    TEXT NOT NULL,
    due_at    REAL,
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

-- Keys of dynamic partition definitions.
CREATE TABLE partitions (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    key       TEXT NOT NULL,
    at        REAL NOT NULL,
    by        TEXT NOT NULL,
    PRIMARY KEY (namespace, name, key)
) STRICT, WITHOUT ROWID;

-- Backfills: `spec` is what was asked for, `work` what was planned (msgpack of `core/backfill.py`), the parts say how far it is.
CREATE TABLE backfills (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    namespace   TEXT NOT NULL,
    project     TEXT NOT NULL,
    target      TEXT NOT NULL,
    spec        BLOB NOT NULL,
    work        BLOB NOT NULL,
    -- Parts in all, and partitions of them.
    total       INTEGER NOT NULL,
    partitions  INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
    paused      INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    created_at  REAL NOT NULL,
    by          TEXT NOT NULL,
    finished_at REAL,
    reason      TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX backfills_by_state ON backfills (state);
CREATE INDEX backfills_by_namespace ON backfills (namespace);

-- Parts of backfills that have done something: one run of a stage, over one or several partitions. The others exist in
-- the plan only.
CREATE TABLE parts (
    backfill    INTEGER NOT NULL REFERENCES backfills (no),
    stage       INTEGER NOT NULL,
    part        INTEGER NOT NULL,
    partition   TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
    tries       INTEGER NOT NULL DEFAULT 0,
    run         TEXT NOT NULL DEFAULT '',
    reason      TEXT NOT NULL DEFAULT '',
    finished_at REAL,
    PRIMARY KEY (backfill, stage, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX parts_by_state ON parts (backfill, state);
CREATE INDEX parts_by_run ON parts (run) WHERE run <> '';

-- Limits that people have set over what is declared: `of` is "pool", "pipeline", "task", "tag", "namespace".
CREATE TABLE limits (
    namespace TEXT NOT NULL,
    of        TEXT NOT NULL,
    name      TEXT NOT NULL,
    slots     INTEGER NOT NULL,
    at        REAL NOT NULL,
    by        TEXT NOT NULL,
    reason    TEXT NOT NULL,
    PRIMARY KEY (namespace, of, name)
) STRICT, WITHOUT ROWID;

-- What is to be told to whom; sent at least once, with its key.
CREATE TABLE outbox (
    no         INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    namespace  TEXT NOT NULL,
    rule       TEXT NOT NULL,
    channel    TEXT NOT NULL,
    topic      TEXT NOT NULL,
    payload    BLOB NOT NULL,
    at         REAL NOT NULL,
    not_before REAL NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    -- NULL: sent or given up.
    next_at    REAL,
    sent_at    REAL,
    error      TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX outbox_due ON outbox (next_at) WHERE next_at IS NOT NULL;

-- Causes for alarm that are not over.
CREATE TABLE alerts (
    namespace TEXT NOT NULL,
    rule      TEXT NOT NULL,
    subject   TEXT NOT NULL,
    since     REAL NOT NULL,
    message   TEXT NOT NULL,
    run       TEXT NOT NULL,
    PRIMARY KEY (namespace, rule, subject)
) STRICT, WITHOUT ROWID;

-- How far readers of the journal have dealt with it: those that must miss nothing over a restart.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    no   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Users; `roles` is msgpack of (namespace or "*", role).
CREATE TABLE users (
    name       TEXT PRIMARY KEY,
    password   TEXT NOT NULL,
    roles      BLOB NOT NULL,
    active     INTEGER NOT NULL CHECK (active IN (0, 1)),
    email      TEXT NOT NULL,
    -- Counted up when all sessions are to end.
    generation INTEGER NOT NULL,
    at         REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens and sessions, by the SHA-256 of what their owner holds.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    scopes     BLOB NOT NULL,
    "of"       TEXT NOT NULL CHECK ("of" IN ('token', 'session', 'link')),
    generation INTEGER NOT NULL,
    issued_at  REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_owner ON tokens (owner, "of", id);
CREATE INDEX tokens_by_kind ON tokens ("of", id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tokens_by_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- Secrets, sealed.
CREATE TABLE secrets (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    sealed    BLOB NOT NULL,
    key_id    TEXT NOT NULL,
    at        REAL NOT NULL,
    by        TEXT NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- Requests that change something, carried out or denied. `hash` = SHA-256 over the entry and the hash before it.
CREATE TABLE audit (
    no        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        REAL NOT NULL,
    principal TEXT NOT NULL,
    action    TEXT NOT NULL,
    object    TEXT NOT NULL,
    result    TEXT NOT NULL,
    namespace TEXT NOT NULL,
    detail    BLOB,
    address   TEXT NOT NULL,
    hash      BLOB NOT NULL
) STRICT;

CREATE INDEX audit_by_principal ON audit (principal, no);

CREATE TABLE audit_ends (
    which TEXT PRIMARY KEY CHECK (which IN ('first', 'last')),
    no    INTEGER NOT NULL,
    hash  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Answers to requests with an idempotency key, for a day.
CREATE TABLE answers (
    principal TEXT NOT NULL,
    key       TEXT NOT NULL,
    digest    BLOB NOT NULL,
    status    INTEGER NOT NULL,
    body      BLOB NOT NULL,
    at        REAL NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_age ON answers (at);

-- Projects that are or were served, and how their last load ended.
CREATE TABLE projects (
    project   TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    folder    TEXT NOT NULL,
    code      TEXT NOT NULL,
    loaded_at REAL NOT NULL,
    took_s    REAL NOT NULL,
    problems  BLOB,
    error     TEXT NOT NULL,
    active    INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Every version of a project's code that was served; `manifest` is what it defines.
CREATE TABLE versions (
    project  TEXT NOT NULL,
    code     TEXT NOT NULL,
    at       REAL NOT NULL,
    manifest BLOB NOT NULL,
    PRIMARY KEY (project, code)
) STRICT;

CREATE INDEX versions_by_time ON versions (project, at);

-- Bundles of projects that were brought to this server, and what became of each. What is served of a project is the newest
-- that was taken. `lock` and `warnings` are about its packages, `problems` are what is wrong with its definitions.
CREATE TABLE deployments (
    project   TEXT NOT NULL,
    no        INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    digest    TEXT NOT NULL,
    size      INTEGER NOT NULL,
    rollback  INTEGER NOT NULL CHECK (rollback IN (0, 1)),
    reason    TEXT NOT NULL,
    by        TEXT NOT NULL,
    at        REAL NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('trying', 'taken', 'refused')),
    ended_at  REAL,
    code      TEXT NOT NULL DEFAULT '',
    lock      TEXT NOT NULL DEFAULT '',
    warnings  TEXT NOT NULL DEFAULT '',
    error     TEXT NOT NULL DEFAULT '',
    problems  BLOB,
    PRIMARY KEY (project, no)
) STRICT;

CREATE INDEX deployments_taken ON deployments (project, no) WHERE state = 'taken';
CREATE INDEX deployments_open ON deployments (project, no) WHERE state = 'trying';

-- Parts of the service that are unwell.
CREATE TABLE health (
    part    TEXT PRIMARY KEY,
    since   REAL NOT NULL,
    problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What retention has removed, for `doctor`.
CREATE TABLE removals (
    no         INTEGER PRIMARY KEY,
    at         REAL NOT NULL,
    what       TEXT NOT NULL,
    count      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    older_than REAL NOT NULL,
    reason     TEXT NOT NULL
) STRICT;

-- What is asked of a scheduler on another machine, and its answer: rows that live for as long as somebody waits for one.
-- `body` and `reply` are msgpack of `engine/control.py`.
CREATE TABLE questions (
    no       INTEGER PRIMARY KEY,
    -- The lease of whoever is asked, as in `leases`.
    resource TEXT NOT NULL,
    tag      TEXT NOT NULL,
    body     BLOB NOT NULL,
    asked_at REAL NOT NULL,
    -- When a scheduler took it: from then on it is done, or was.
    taken_at REAL,
    reply    BLOB
) STRICT;

CREATE INDEX questions_open ON questions (resource, no) WHERE taken_at IS NULL;
CREATE INDEX questions_by_time ON questions (asked_at);
