-- add_product_version --
-- The product's next version, unless the newest one, or one of this run, has the same content; returns its number, or no
-- row.
INSERT INTO product_version (kind, name, number, artifact, content, run_id, created_at, body)
SELECT :kind, :name, newest.number + 1, :artifact, :content, :run_id, :created_at, :body
  FROM (SELECT COALESCE(MAX(number), 0) AS number FROM product_version WHERE kind = :kind AND name = :name) AS newest
 WHERE NOT EXISTS (
       SELECT 1 FROM product_version AS same
        WHERE same.kind = :kind AND same.name = :name AND (same.number = newest.number OR same.run_id = :run_id)
          AND same.content = :content)
RETURNING number;

-- put_product_version --
-- A version under the number that it has elsewhere, unless it is here.
INSERT INTO product_version (kind, name, number, artifact, content, run_id, created_at, body)
VALUES (:kind, :name, :number, :artifact, :content, :run_id, :created_at, :body)
ON CONFLICT (kind, name, number) DO NOTHING;

-- published_version --
-- The number of the version that holds what a run made: its own, or else the newest with the same content.
SELECT number FROM product_version
 WHERE kind = :kind AND name = :name AND content = :content
 ORDER BY CASE WHEN run_id = :run_id THEN 0 ELSE 1 END, number DESC LIMIT 1;

-- newest_product_version --
-- The newest version of a product, or no row; with the bytes of its artifact when small, as in the next three.
SELECT product_version.*, artifact.digest AS is_kept, artifact.inline
  FROM product_version
  LEFT JOIN artifact ON artifact.digest = SUBSTR(product_version.artifact, 1, 64)
        AND product_version.artifact = artifact.digest || ' ' || artifact.codec || ' ' || artifact.size_bytes
 WHERE product_version.kind = :kind AND product_version.name = :name
 ORDER BY product_version.number DESC LIMIT 1;

-- get_product_version --
-- One version of a product, or no row.
SELECT product_version.*, artifact.digest AS is_kept, artifact.inline
  FROM product_version
  LEFT JOIN artifact ON artifact.digest = SUBSTR(product_version.artifact, 1, 64)
        AND product_version.artifact = artifact.digest || ' ' || artifact.codec || ' ' || artifact.size_bytes
 WHERE product_version.kind = :kind AND product_version.name = :name AND product_version.number = :number;

-- find_product_versions --
-- The newest versions of all products before a place in the list.
SELECT product_version.*, artifact.digest AS is_kept, artifact.inline
  FROM product_version
  LEFT JOIN artifact ON artifact.digest = SUBSTR(product_version.artifact, 1, 64)
        AND product_version.artifact = artifact.digest || ' ' || artifact.codec || ' ' || artifact.size_bytes
 WHERE (product_version.created_at, product_version.kind, product_version.name, product_version.number)
       < (:before_at, :before_kind, :before_name, :before)
 ORDER BY product_version.created_at DESC, product_version.kind DESC, product_version.name DESC,
          product_version.number DESC
 LIMIT :limit;

-- find_versions_of_product --
-- The newest versions of one product before a number.
SELECT product_version.*, artifact.digest AS is_kept, artifact.inline
  FROM product_version
  LEFT JOIN artifact ON artifact.digest = SUBSTR(product_version.artifact, 1, 64)
        AND product_version.artifact = artifact.digest || ' ' || artifact.codec || ' ' || artifact.size_bytes
 WHERE product_version.kind = :kind AND product_version.name = :name AND product_version.number < :before
 ORDER BY product_version.number DESC LIMIT :limit;

-- arguments_of_versions --
-- What the steps of the runs were called with that published versions of a product; not what a map or branch became, nor
-- steps that are added to every pipeline.
SELECT product_version.number, step_run.step, step_run.arguments
  FROM product_version
  JOIN step_run ON step_run.run_id = product_version.run_id
 WHERE product_version.kind = :kind AND product_version.name = :name
   AND product_version.number BETWEEN :least AND :greatest
   AND step_run.step NOT IN ('gate', 'publish', 'time_model') AND step_run.arguments <> '{}' AND step_run.step NOT LIKE '%[%' AND step_run.step NOT LIKE '%/%'
 ORDER BY product_version.number, step_run.position;

-- kinds_of_product --
-- What a name is: one row, or none, or more when kinds share it.
SELECT kind, MAX(number) AS newest FROM product_version
 WHERE kind IN ('dataset', 'model', 'service') AND name = :name GROUP BY kind ORDER BY kind;

-- product_names --
-- Every product there is, with how many versions it has: for messages; it reads an index from end to end.
SELECT kind, name, MAX(number) AS newest FROM product_version GROUP BY kind, name ORDER BY kind, name;

-- get_alias --
-- Where an alias points, or no row.
SELECT number FROM alias WHERE kind = :kind AND name = :name AND alias = :alias;

-- find_aliases --
-- All aliases of all products.
SELECT kind, name, alias, number, moved_at FROM alias ORDER BY kind, name, alias;

-- aliases_of_product --
-- The aliases of one product.
SELECT alias, number FROM alias WHERE kind = :kind AND name = :name ORDER BY alias;

-- set_alias --
-- Point an alias at a version.
INSERT INTO alias (kind, name, alias, number, moved_at) VALUES (:kind, :name, :alias, :number, :at)
ON CONFLICT (kind, name, alias) DO UPDATE SET number = excluded.number, moved_at = excluded.moved_at;

-- note_first_alias --
-- Note that an alias that points nowhere yet will point at what a run has published.
INSERT INTO alias_move (kind, name, alias, number, at, reason, "by")
SELECT kind, name, :alias, number, :created_at, :reason, :by
  FROM product_version
 WHERE kind = :kind AND name = :name AND content = :content
   AND NOT EXISTS (SELECT 1 FROM alias WHERE kind = :kind AND name = :name AND alias = :alias)
 ORDER BY CASE WHEN run_id = :run_id THEN 0 ELSE 1 END, number DESC LIMIT 1;

-- set_first_alias --
-- Point an alias that points nowhere yet at what a run has published.
INSERT INTO alias (kind, name, alias, number, moved_at)
SELECT kind, name, :alias, number, :created_at
  FROM product_version
 WHERE kind = :kind AND name = :name AND content = :content
   AND NOT EXISTS (SELECT 1 FROM alias WHERE kind = :kind AND name = :name AND alias = :alias)
 ORDER BY CASE WHEN run_id = :run_id THEN 0 ELSE 1 END, number DESC LIMIT 1;

-- add_alias_move --
-- The history of an alias: who moved it, when, why.
INSERT INTO alias_move (kind, name, alias, number, at, reason, "by")
VALUES (:kind, :name, :alias, :number, :at, :reason, :by);

-- alias_moves_of_product --
-- Every move of a product's aliases, oldest first; of those of one moment in the order they were made.
SELECT alias, number, at, reason, "by" FROM alias_move WHERE kind = :kind AND name = :name ORDER BY at;
