-- put_artifact --
-- An artifact's name, and its bytes when small.
INSERT INTO artifact (digest, codec, size_bytes, inline) VALUES (:digest, :codec, :size_bytes, :inline)
ON CONFLICT (digest, codec) DO NOTHING;

-- put_cache_entry --
-- What a step with this key returned; the newest computation wins.
INSERT INTO cache_entry (key, outputs, blocked, run_id, step, stored_at)
VALUES (:key, :outputs, :blocked, :run_id, :step, :stored_at)
ON CONFLICT (key) DO UPDATE SET outputs = excluded.outputs, blocked = excluded.blocked, run_id = excluded.run_id,
                                step = excluded.step, stored_at = excluded.stored_at;

-- put_closure --
-- The parts of a code closure, once per digest.
INSERT INTO closure (digest, parts) VALUES (:digest, :parts) ON CONFLICT (digest) DO NOTHING;

-- try_cache_entry --
-- What a step with this key returned, and logged if the run that made it is still there, or no row. :key is 64 hex digits.
SELECT cache_entry.outputs, blocked, cache_entry.run_id AS made_in, stored_at, metrics
  FROM cache_entry
  LEFT JOIN step_run ON step_run.run_id = cache_entry.run_id AND step_run.step = cache_entry.step
 WHERE cache_entry.key = :key;

-- get_artifact --
-- One artifact, or no row.
SELECT digest, codec, size_bytes, inline FROM artifact WHERE digest = :digest AND codec = :codec;

-- get_closure --
-- The parts of a closure, or no row.
SELECT parts FROM closure WHERE digest = :digest;

-- steps_before --
-- What a pipeline's run before number :before looked up, or the :back-th before that, in order from a position on, with
-- the results there are now.
SELECT step_run.step, step_run.position, step_run.run_id, step_run.state, step_run.key, step_run.closure_digest,
       step_run.arguments, step_run.inputs, step_run.metrics, cache_entry.outputs, cache_entry.blocked,
       cache_entry.run_id AS made_in, cache_entry.stored_at
  FROM step_run
  LEFT JOIN cache_entry ON cache_entry.key = step_run.key
 WHERE step_run.run_id = (SELECT run_id FROM run WHERE pipeline = :pipeline AND number < :before
                           ORDER BY number DESC LIMIT 1 OFFSET :back)
   AND step_run.position >= :position
 ORDER BY step_run.position LIMIT :limit;
