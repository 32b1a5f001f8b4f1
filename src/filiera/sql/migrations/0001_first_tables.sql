CREATE TABLE schema_version (
    version BIGINT NOT NULL PRIMARY KEY,
    applied_at DOUBLE PRECISION NOT NULL
);

-- One execution of a pipeline, as its events say it stands.
CREATE TABLE run (
    run_id TEXT NOT NULL PRIMARY KEY,        -- "train-3"
    pipeline TEXT NOT NULL,
    number BIGINT NOT NULL,                  -- counts up per pipeline
    kind TEXT NOT NULL,                      -- data, model or serving
    state TEXT NOT NULL,
    parameters TEXT NOT NULL DEFAULT '{}',   -- JSON
    started_at DOUBLE PRECISION NOT NULL,
    finished_at DOUBLE PRECISION,
    driver TEXT NOT NULL DEFAULT '{}',       -- JSON: host, pid and start time of the process that drives it
    heartbeat_at DOUBLE PRECISION,
    record TEXT NOT NULL DEFAULT '{}',       -- JSON: commit, python, platform, ...
    failure TEXT NOT NULL DEFAULT '',        -- why it did not succeed
    steps_total BIGINT NOT NULL DEFAULT 0,
    steps_done BIGINT NOT NULL DEFAULT 0,
    steps_hit BIGINT NOT NULL DEFAULT 0,
    project TEXT NOT NULL DEFAULT '',
    profile TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT '{}',      -- JSON
    UNIQUE (pipeline, number)
);

CREATE INDEX run_by_start ON run (started_at DESC, run_id DESC);
CREATE INDEX run_by_pipeline ON run (pipeline, started_at DESC, run_id DESC);
CREATE INDEX run_by_state ON run (state, started_at DESC, run_id DESC);
CREATE INDEX run_by_pipeline_state ON run (pipeline, state, started_at DESC, run_id DESC);

CREATE TABLE pipeline (
    name TEXT NOT NULL PRIMARY KEY
);

-- One execution of a step inside a run.
CREATE TABLE step_run (
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    position BIGINT NOT NULL,                -- order in the plan, from 0
    stage TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    key TEXT NOT NULL DEFAULT '',            -- cache key
    closure_digest TEXT NOT NULL DEFAULT '',
    arguments TEXT NOT NULL DEFAULT '{}',    -- JSON: parameters by name
    inputs TEXT NOT NULL DEFAULT '{}',       -- JSON: what its key saw
    outputs TEXT NOT NULL DEFAULT '',        -- "digest codec size;..."
    started_at DOUBLE PRECISION,
    duration_s DOUBLE PRECISION,
    failure TEXT NOT NULL DEFAULT '',        -- JSON, or ''
    reason TEXT NOT NULL DEFAULT '',         -- why it ran, was a hit or was blocked
    log TEXT NOT NULL DEFAULT '',            -- JSON: where its output lies, or ''
    metrics TEXT NOT NULL DEFAULT '',        -- JSON: what it has logged, or ''
    PRIMARY KEY (run_id, step)
);

CREATE INDEX step_run_by_position ON step_run (run_id, position);
CREATE INDEX step_run_failed ON step_run (run_id, position) WHERE failure <> '';
CREATE INDEX step_run_logged ON step_run (run_id, position) WHERE metrics <> '';

-- What happened in a run, in order. Everything else about a run follows from these.
CREATE TABLE event (
    run_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL DEFAULT '{}',         -- JSON
    PRIMARY KEY (run_id, seq)
);

-- Values made so far. Small ones are kept here whole, the others in the blob store.
CREATE TABLE artifact (
    digest TEXT NOT NULL,
    codec TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    inline BYTEA,
    PRIMARY KEY (digest, codec)
);

-- The outputs made for a cache key.
CREATE TABLE cache_entry (
    key TEXT NOT NULL PRIMARY KEY,
    outputs TEXT NOT NULL,                   -- "digest codec size;..."
    blocked TEXT NOT NULL DEFAULT '',        -- the verdict's summary, when it blocks
    run_id TEXT NOT NULL,                    -- the run and step that made them
    step TEXT NOT NULL,
    stored_at DOUBLE PRECISION NOT NULL
);

-- The parts of a code closure, so that two can be compared part by part.
CREATE TABLE closure (
    digest TEXT NOT NULL PRIMARY KEY,
    parts TEXT NOT NULL                      -- JSON
);

-- Numbered versions of a dataset or model.
CREATE TABLE product_version (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    artifact TEXT NOT NULL,                  -- JSON: digest, codec, size_bytes
    content TEXT NOT NULL,                   -- digest of all that makes it another version than the one before
    run_id TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    body TEXT NOT NULL DEFAULT '{}',         -- JSON
    PRIMARY KEY (kind, name, number)
);

CREATE INDEX product_version_by_time ON product_version (created_at DESC, kind DESC, name DESC, number DESC);
CREATE INDEX product_version_by_content ON product_version (kind, name, content);

-- The version that an alias such as "champion" means now, and every move it made.
CREATE TABLE alias (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    number BIGINT NOT NULL,
    moved_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (kind, name, alias)
);

CREATE TABLE alias_move (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    number BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    "by" TEXT NOT NULL DEFAULT ''
);

CREATE INDEX alias_move_by_product ON alias_move (kind, name, at);

-- Who did what, when. Rows are only added; the digest of each covers the row and the digest before it, so that a row
-- removed or edited later shows.
CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,      -- counts up by one
    at DOUBLE PRECISION NOT NULL,            -- by the clock, which may be set back: the order is that of the numbers
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,                   -- "flow-classifier@3", "train-3", ...
    detail TEXT NOT NULL DEFAULT '{}',       -- JSON
    digest TEXT NOT NULL                     -- SHA-256, 64 hex digits: both databases have it
);

CREATE INDEX audit_by_subject ON audit (subject, number);
CREATE INDEX audit_by_action ON audit (action, number);
CREATE INDEX audit_by_actor ON audit (actor, number);

-- Who signed which version. What was signed is made anew from the records when it is verified.
CREATE TABLE signature (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    key TEXT NOT NULL,                       -- "ed25519:" and the public key in base64
    project TEXT NOT NULL,
    "by" TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    signature TEXT NOT NULL,                 -- base64
    PRIMARY KEY (kind, name, number, key)
);

CREATE TABLE approval (
    pipeline TEXT NOT NULL,
    step TEXT NOT NULL,
    subject TEXT NOT NULL,
    run_id TEXT NOT NULL,
    is_approved BIGINT NOT NULL,
    "by" TEXT NOT NULL DEFAULT '',
    at DOUBLE PRECISION NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (pipeline, step, subject)
);

-- What clean-up is about to let go of, until it has looked once more whether something needs it.
CREATE TABLE leaving_artifact (
    digest TEXT NOT NULL,
    codec TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    inline BYTEA,
    PRIMARY KEY (digest, codec)
);

CREATE TABLE leaving_closure (
    digest TEXT NOT NULL PRIMARY KEY,
    parts TEXT NOT NULL
);

CREATE TABLE leaving_result (
    key TEXT NOT NULL PRIMARY KEY,
    outputs TEXT NOT NULL,
    blocked TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    stored_at DOUBLE PRECISION NOT NULL
);

-- A run that was repeated in a clean place, with outputs that were equal to the last byte.
CREATE TABLE proof (
    run_id TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    "by" TEXT NOT NULL,                      -- "user@host"
    body TEXT NOT NULL DEFAULT '{}',         -- JSON: python, platform, ... of the place
    PRIMARY KEY (run_id, at)
);

CREATE TABLE message (
    id TEXT NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    body BYTEA NOT NULL,
    method TEXT NOT NULL DEFAULT '',
    origin TEXT NOT NULL,
    put_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    cut_offs BIGINT NOT NULL DEFAULT 0,
    lease TEXT NOT NULL DEFAULT '',
    is_dead BIGINT NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''
);
CREATE INDEX message_by_due ON message (queue, is_dead, due_at, put_at, id);
CREATE INDEX message_cut_off ON message (queue, is_dead, due_at, put_at, id) WHERE cut_offs > 0;

CREATE TABLE trigger_mark (
    service TEXT NOT NULL,
    subject TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (service, subject)
);

-- A version on its way to the callers of an alias: in stages, until it has replaced the version before or was rolled back.
CREATE TABLE deployment (
    number BIGINT NOT NULL PRIMARY KEY,      -- counts up by one
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version BIGINT NOT NULL,                 -- the candidate
    before BIGINT NOT NULL,                  -- the version that answers meanwhile
    plan TEXT NOT NULL,                      -- JSON
    stage BIGINT NOT NULL,                   -- from 0
    stage_at DOUBLE PRECISION NOT NULL,      -- since when
    state TEXT NOT NULL,                     -- running, done, rolled-back, stopped
    steps BIGINT NOT NULL,                   -- how many notes there are
    at DOUBLE PRECISION NOT NULL
);

CREATE INDEX deployment_by_name ON deployment (name, alias, number);

-- What happened to a deployment, in order: who, when, why.
CREATE TABLE deployment_note (
    deployment BIGINT NOT NULL,
    step BIGINT NOT NULL,                    -- from 1; two services that would take one step both cannot
    at DOUBLE PRECISION NOT NULL,
    "by" TEXT NOT NULL,
    what TEXT NOT NULL,                      -- "shadow", "5 %", "done", "rolled-back", ...
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (deployment, step)
);

-- What a service has counted in one stage, of the candidate and of the version before.
CREATE TABLE deployment_tally (
    deployment BIGINT NOT NULL,
    stage BIGINT NOT NULL,
    service TEXT NOT NULL,
    tried TEXT NOT NULL,                     -- JSON
    usual TEXT NOT NULL,                     -- JSON
    PRIMARY KEY (deployment, stage, service)
);

-- What monitoring said of a version's predictions, whenever it looked.
CREATE TABLE monitor_verdict (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    verdict TEXT NOT NULL,                   -- quiet, drift, not enough data
    summary TEXT NOT NULL,                   -- one line for people
    rows BIGINT NOT NULL,                    -- predictions looked at
    first_at DOUBLE PRECISION,               -- of them
    last_at DOUBLE PRECISION,
    "by" TEXT NOT NULL
);

CREATE INDEX monitor_verdict_by_version ON monitor_verdict (name, version, at);

-- Services that follow an alias: what each serves now.
CREATE TABLE service (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    place TEXT NOT NULL,                     -- "host:pid"
    version BIGINT NOT NULL,
    candidate BIGINT,
    trouble TEXT NOT NULL DEFAULT '',        -- why it does not serve what it should
    seen_at DOUBLE PRECISION NOT NULL
);

-- Predictions moved out of the log's segments: a Parquet blob of one version and day.
CREATE TABLE prediction_part (
    log TEXT NOT NULL,                       -- name of the model, or functions/NAME
    number BIGINT NOT NULL,                  -- from 1
    version TEXT NOT NULL,
    day TEXT NOT NULL,                       -- UTC, such as 2026-01-31
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    first_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    spelling TEXT NOT NULL,                  -- JSON: what the types of its columns do not say
    PRIMARY KEY (log, number)
);

-- Segments whose predictions are in parts: not to be read any more, and to be removed.
CREATE TABLE moved_segment (
    log TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (log, name)
);
