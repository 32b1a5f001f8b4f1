-- steps_in_brief --
-- What lists of all recorded steps of a run need to know, in order.
SELECT step, stage, state, reason FROM step_run WHERE run_id = :run_id ORDER BY position;

-- newest_outputs_of_step --
-- What the newest run of this step with a result returned, among the 50 newest runs of its pipeline.
SELECT step_run.run_id, step_run.outputs
  FROM (SELECT run_id, started_at FROM run
         WHERE pipeline = :pipeline ORDER BY started_at DESC, run_id DESC LIMIT 50) AS recent
  JOIN step_run ON step_run.run_id = recent.run_id
 WHERE step_run.step = :step AND step_run.outputs <> ''
 ORDER BY recent.started_at DESC, recent.run_id DESC LIMIT 1;

-- step_run_before --
-- The newest run of this step with a key before a run, among the 50 runs of its pipeline before that one.
SELECT step_run.*
  FROM (SELECT run_id, started_at FROM run
         WHERE pipeline = :pipeline AND (started_at, run_id) < (:started_at, :run_id)
         ORDER BY started_at DESC, run_id DESC LIMIT 50) AS recent
  JOIN step_run ON step_run.run_id = recent.run_id
 WHERE step_run.step = :step AND step_run.key <> ''
 ORDER BY recent.started_at DESC, recent.run_id DESC LIMIT 1;

-- steps_with_metrics --
-- The steps of a run that have logged something, or may have: those that run, and those that ended without saying so.
SELECT step, position, state, key, metrics FROM step_run
 WHERE run_id = :run_id AND (metrics <> '' OR state IN ('running', 'retrying', 'failed', 'cancelled', 'pending'))
 ORDER BY position;

-- metrics_of_run --
-- What the steps of a run have logged, in order.
SELECT metrics FROM step_run WHERE run_id = :run_id AND metrics <> '' ORDER BY position;

-- steps_of_stage --
-- The steps of a run that are of one stage, in order.
SELECT step, state, outputs FROM step_run WHERE run_id = :run_id AND stage = :stage ORDER BY position;
