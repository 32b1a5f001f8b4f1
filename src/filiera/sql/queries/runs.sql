-- create_run --
-- A new run under the pipeline's next number; returns its number and id.
INSERT INTO run (run_id, pipeline, number, kind, state, parameters, started_at, finished_at, driver, heartbeat_at,
                 record, failure, steps_total, steps_done, steps_hit, project, profile, outcome)
SELECT :pipeline || '-' || (COALESCE(MAX(number), 0) + 1), :pipeline, COALESCE(MAX(number), 0) + 1, :kind, 'running',
       :parameters, :started_at, NULL, :driver, :started_at, :record, '', :steps_total, 0, 0, :project, :profile, '{}'
  FROM run WHERE pipeline = :pipeline
RETURNING run_id, number;

-- note_pipeline --
-- The pipeline of a new run, so that its runs are found by a part of its name.
INSERT INTO pipeline (name) VALUES (:pipeline) ON CONFLICT (name) DO NOTHING;

-- add_first_event --
-- The event that a run starts with, in the transaction in which this driver creates it.
INSERT INTO event (run_id, seq, at, kind, body)
SELECT run_id, 1, :at, :kind, :body
  FROM run WHERE pipeline = :pipeline AND driver = :driver ORDER BY number DESC LIMIT 1;

-- update_run --
-- The run as the fold of its events shows it now.
UPDATE run SET state = :state, finished_at = :finished_at, failure = :failure, steps_total = :steps_total,
               steps_done = :steps_done, steps_hit = :steps_hit, heartbeat_at = :heartbeat_at, outcome = :outcome
 WHERE run_id = :run_id;

-- adopt_run --
-- Another driver goes on with a run, unless a living one took it first: the driver seen must still be the one named.
UPDATE run SET state = 'running', driver = :driver, heartbeat_at = :at, finished_at = NULL, failure = '',
               steps_total = :steps_total
 WHERE run_id = :run_id AND driver = :seen_driver
RETURNING run_id;

-- put_step_run --
-- A step of a run as the fold of its events shows it now.
INSERT INTO step_run (run_id, step, position, stage, state, attempt, key, closure_digest, arguments, inputs, outputs,
                      started_at, duration_s, failure, reason, log, metrics)
VALUES (:run_id, :step, :position, :stage, :state, :attempt, :key, :closure_digest, :arguments, :inputs, :outputs,
        :started_at, :duration_s, :failure, :reason, :log, :metrics)
ON CONFLICT (run_id, step) DO UPDATE SET
       position = excluded.position, stage = excluded.stage, state = excluded.state, attempt = excluded.attempt,
       key = excluded.key, closure_digest = excluded.closure_digest, arguments = excluded.arguments,
       inputs = excluded.inputs, outputs = excluded.outputs, started_at = excluded.started_at,
       duration_s = excluded.duration_s, failure = excluded.failure, reason = excluded.reason, log = excluded.log,
       metrics = excluded.metrics;

-- drop_step_run --
-- Forget a step that a resumed run no longer has.
DELETE FROM step_run WHERE run_id = :run_id AND step = :step;

-- add_event --
-- One event, numbered within its run.
INSERT INTO event (run_id, seq, at, kind, body) VALUES (:run_id, :seq, :at, :kind, :body);

-- previous_step_run --
-- The newest run of this step with a key, among the last 50 runs of its pipeline before number :before.
SELECT step_run.run_id, key, closure_digest, arguments, inputs, step_run.state
  FROM (SELECT run_id, number FROM run WHERE pipeline = :pipeline AND number < :before
         ORDER BY number DESC LIMIT 50) AS recent
  JOIN step_run ON step_run.run_id = recent.run_id
 WHERE step_run.step = :step AND step_run.key <> ''
 ORDER BY recent.number DESC LIMIT 1;

-- get_run --
-- One run, or no row.
SELECT * FROM run WHERE run_id = :run_id;

-- get_step_run --
-- One recorded step of a run, or no row.
SELECT * FROM step_run WHERE run_id = :run_id AND step = :step;

-- first_steps_of_run --
-- The recorded steps of a run from a position on, in order, at most so many.
SELECT * FROM step_run WHERE run_id = :run_id AND position >= :since ORDER BY position LIMIT :limit;

-- failed_steps_of_run --
-- The recorded steps of a run that have a failure, in order, at most so many.
SELECT * FROM step_run WHERE run_id = :run_id AND failure <> '' ORDER BY position LIMIT :limit;

-- steps_of_run --
-- All recorded steps of a run, in order.
SELECT * FROM step_run WHERE run_id = :run_id ORDER BY position;

-- events_of_run --
-- The events of a run from a number on, in order.
SELECT seq, at, kind, body FROM event WHERE run_id = :run_id AND seq >= :since ORDER BY seq;

-- last_event_of_run --
-- The number of the run's newest event; 0 when it has none.
SELECT COALESCE(MAX(seq), 0) AS seq FROM event WHERE run_id = :run_id;

-- find_runs --
-- The newest runs before a place in the list. One query per filter: an optional condition would keep SQLite off the index.
SELECT * FROM run WHERE (started_at, run_id) < (:before_at, :before_id)
 ORDER BY started_at DESC, run_id DESC LIMIT :limit;

-- find_runs_of_pipeline --
-- The newest runs of one pipeline before a place in the list.
SELECT * FROM run WHERE pipeline = :pipeline AND (started_at, run_id) < (:before_at, :before_id)
 ORDER BY started_at DESC, run_id DESC LIMIT :limit;

-- find_runs_in_state --
-- The newest runs in one state before a place in the list.
SELECT * FROM run WHERE state = :state AND (started_at, run_id) < (:before_at, :before_id)
 ORDER BY started_at DESC, run_id DESC LIMIT :limit;

-- find_runs_of_pipeline_in_state --
-- The newest runs of one pipeline in one state before a place in the list.
SELECT * FROM run WHERE pipeline = :pipeline AND state = :state AND (started_at, run_id) < (:before_at, :before_id)
 ORDER BY started_at DESC, run_id DESC LIMIT :limit;

-- search_newest_runs --
-- The newest runs before a place in the list, of pipelines whose names are like a pattern, as far as they are among the
-- :within newest: quick where many are like it. Nothing is missed when :limit come back.
SELECT run.*
  FROM (SELECT run_id, pipeline FROM run WHERE (started_at, run_id) < (:before_at, :before_id)
         ORDER BY started_at DESC, run_id DESC LIMIT :within) AS newest
  JOIN run ON run.run_id = newest.run_id
 WHERE LOWER(newest.pipeline) LIKE :pattern ESCAPE '!'
 ORDER BY run.started_at DESC, run.run_id DESC LIMIT :limit;

-- search_newest_runs_in_state --
-- The same in one state.
SELECT run.*
  FROM (SELECT run_id, pipeline FROM run WHERE state = :state AND (started_at, run_id) < (:before_at, :before_id)
         ORDER BY started_at DESC, run_id DESC LIMIT :within) AS newest
  JOIN run ON run.run_id = newest.run_id
 WHERE LOWER(newest.pipeline) LIKE :pattern ESCAPE '!'
 ORDER BY run.started_at DESC, run.run_id DESC LIMIT :limit;

-- search_pipelines --
-- The newest run before a place in the list of each pipeline whose name is like a pattern, of the :limit newest of these:
-- quick where few are like it. Of runs that began together the one with the greater name comes first, as ids do.
SELECT run.*
  FROM (SELECT name, COALESCE((
               SELECT own.started_at FROM run AS own
                WHERE own.pipeline = pipeline.name
                  AND (own.started_at, own.run_id) < (:before_at, :before_id)
                ORDER BY own.started_at DESC, own.run_id DESC LIMIT 1), -1) AS newest_at
          FROM pipeline WHERE LOWER(name) LIKE :pattern ESCAPE '!'
         ORDER BY newest_at DESC, name DESC LIMIT :limit) AS found
  JOIN run ON run.run_id = (
       SELECT own.run_id FROM run AS own
        WHERE own.pipeline = found.name
          AND (own.started_at, own.run_id) < (:before_at, :before_id)
        ORDER BY own.started_at DESC, own.run_id DESC LIMIT 1)
 ORDER BY run.started_at DESC, run.run_id DESC;

-- search_pipelines_in_state --
-- The same in one state.
SELECT run.*
  FROM (SELECT name, COALESCE((
               SELECT own.started_at FROM run AS own
                WHERE own.pipeline = pipeline.name AND own.state = :state
                  AND (own.started_at, own.run_id) < (:before_at, :before_id)
                ORDER BY own.started_at DESC, own.run_id DESC LIMIT 1), -1) AS newest_at
          FROM pipeline WHERE LOWER(name) LIKE :pattern ESCAPE '!'
         ORDER BY newest_at DESC, name DESC LIMIT :limit) AS found
  JOIN run ON run.run_id = (
       SELECT own.run_id FROM run AS own
        WHERE own.pipeline = found.name AND own.state = :state
          AND (own.started_at, own.run_id) < (:before_at, :before_id)
        ORDER BY own.started_at DESC, own.run_id DESC LIMIT 1)
 ORDER BY run.started_at DESC, run.run_id DESC;

-- search_numbered_runs --
-- The runs before a place in the list that have a number, of pipelines whose names are like a pattern.
SELECT run.*
  FROM pipeline
  JOIN run ON run.run_id = (
       SELECT one.run_id FROM run AS one WHERE one.pipeline = pipeline.name AND one.number = :number)
 WHERE LOWER(pipeline.name) LIKE :pattern ESCAPE '!' AND (:state = '' OR run.state = :state)
   AND (run.started_at, run.run_id) < (:before_at, :before_id)
 ORDER BY run.started_at DESC, run.run_id DESC LIMIT :limit;

-- latest_run --
-- The newest run, or no row.
SELECT * FROM run ORDER BY started_at DESC, run_id DESC LIMIT 1;

-- latest_run_of_pipeline --
-- The newest run of one pipeline, or no row.
SELECT * FROM run WHERE pipeline = :pipeline ORDER BY started_at DESC, run_id DESC LIMIT 1;

-- running_runs --
-- Runs that say they are running; their drivers may be dead.
SELECT run_id, driver, heartbeat_at FROM run WHERE state = 'running';
