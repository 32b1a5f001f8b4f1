-- forget_cache_entries_with --
-- Forget every result with an output that is a damaged artifact; returns which run and step made it.
DELETE FROM cache_entry WHERE outputs LIKE :pattern RETURNING run_id, step;

-- artifacts_with_digest --
-- The artifacts that have these bytes, under any codec.
SELECT digest, codec, size_bytes, inline FROM artifact WHERE digest = :digest;

-- drop_artifact --
-- Forget an artifact, and its bytes when they are in the records.
DELETE FROM artifact WHERE digest = :digest AND codec = :codec;
