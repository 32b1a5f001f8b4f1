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
-- What a step with this key returned, or no row. :key is 64 hex digits.
SELECT outputs, blocked, run_id, step FROM cache_entry WHERE key = :key;

-- get_artifact --
-- One artifact, or no row.
SELECT digest, codec, size_bytes, inline FROM artifact WHERE digest = :digest AND codec = :codec;

-- get_closure --
-- The parts of a closure, or no row.
SELECT parts FROM closure WHERE digest = :digest;
