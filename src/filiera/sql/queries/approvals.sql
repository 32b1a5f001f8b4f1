-- put_approval --
-- A person's answer to the question of a step about these bytes; the newest counts.
INSERT INTO approval (pipeline, step, subject, run_id, is_approved, "by", at, why)
VALUES (:pipeline, :step, :subject, :run_id, :is_approved, :by, :at, :why)
ON CONFLICT (pipeline, step, subject) DO UPDATE SET
       run_id = excluded.run_id, is_approved = excluded.is_approved, "by" = excluded."by", at = excluded.at,
       why = excluded.why;

-- get_approval --
-- The answer to a step's question about these bytes, or no row.
SELECT run_id, is_approved, "by", at, why FROM approval
 WHERE pipeline = :pipeline AND step = :step AND subject = :subject;

-- questions_of_run --
-- What the steps of a run have asked, in order; a resumed run may have asked again.
SELECT body FROM event WHERE run_id = :run_id AND kind = 'StepWaiting' ORDER BY seq;

-- steps_in_state --
-- The recorded steps of a run in one state, in order.
SELECT step, outputs, reason FROM step_run WHERE run_id = :run_id AND state = :state ORDER BY position;
