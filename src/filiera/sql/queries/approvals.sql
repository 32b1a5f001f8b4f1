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
