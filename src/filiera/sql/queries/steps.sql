-- steps_in_brief --
-- What lists of all recorded steps of a run need to know, in order.
SELECT step, stage, state, reason FROM step_run WHERE run_id = :run_id ORDER BY position;

-- step_run_before --
-- The newest run of this step with a key before a run, among the 50 runs of its pipeline before that one.
SELECT step_run.*
  FROM (SELECT run_id, started_at FROM run
         WHERE pipeline = :pipeline AND (started_at, run_id) < (:started_at, :run_id)
         ORDER BY started_at DESC, run_id DESC LIMIT 50) AS recent
  JOIN step_run ON step_run.run_id = recent.run_id
 WHERE step_run.step = :step AND step_run.key <> ''
 ORDER BY recent.started_at DESC, recent.run_id DESC LIMIT 1;
