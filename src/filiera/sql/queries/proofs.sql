-- add_proof --
-- A run was repeated in a clean place, with equal outputs.
INSERT INTO proof (run_id, at, "by", body) VALUES (:run_id, :at, :by, :body)
ON CONFLICT (run_id, at) DO NOTHING;

-- proofs_of_run --
-- When a run was proven, by whom and where, newest first.
SELECT run_id, at, "by", body FROM proof WHERE run_id = :run_id ORDER BY at DESC;
