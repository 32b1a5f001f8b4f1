-- signatures_of --
-- Who signed a version, oldest first.
SELECT key, project, "by", at, signature FROM signature
 WHERE kind = :kind AND name = :name AND number = :number ORDER BY at, key;

-- put_signature --
-- A signature of a version; one per key, the newest.
INSERT INTO signature (kind, name, number, key, project, "by", at, signature)
VALUES (:kind, :name, :number, :key, :project, :by, :at, :signature)
ON CONFLICT (kind, name, number, key) DO UPDATE SET
       project = excluded.project, "by" = excluded."by", at = excluded.at, signature = excluded.signature;
