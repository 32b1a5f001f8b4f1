-- add_audit_entry --
-- Somebody did something: the next row of the chain. What is hashed says where each text ends.
INSERT INTO audit (number, at, actor, action, subject, detail, digest)
SELECT last.number + 1, :at, :actor, :action, :subject, :detail,
       encode(sha256(convert_to(last.digest || ' ' || (last.number + 1) || ' ' || :at_text
         || ' ' || LENGTH(:actor) || ':' || :actor || ' ' || LENGTH(:action) || ':' || :action
         || ' ' || LENGTH(:subject) || ':' || :subject || ' ' || LENGTH(:detail) || ':' || :detail, 'UTF8')), 'hex')
  FROM (SELECT COALESCE(MAX(number), 0) AS number,
               COALESCE((SELECT digest FROM audit ORDER BY number DESC LIMIT 1), '') AS digest FROM audit) AS last;

-- audit_new_run --
-- As add_audit_entry, of the newest run that this driver created of a pipeline, in the same transaction.
INSERT INTO audit (number, at, actor, action, subject, detail, digest)
SELECT last.number + 1, :at, :actor, :action, made.subject, :detail,
       encode(sha256(convert_to(last.digest || ' ' || (last.number + 1) || ' ' || :at_text
         || ' ' || LENGTH(:actor) || ':' || :actor || ' ' || LENGTH(:action) || ':' || :action
         || ' ' || LENGTH(made.subject) || ':' || made.subject || ' ' || LENGTH(:detail) || ':' || :detail,
         'UTF8')), 'hex')
  FROM (SELECT COALESCE(MAX(number), 0) AS number,
               COALESCE((SELECT digest FROM audit ORDER BY number DESC LIMIT 1), '') AS digest FROM audit) AS last,
       (SELECT run_id AS subject FROM run WHERE pipeline = :pipeline AND driver = :driver
         ORDER BY number DESC LIMIT 1) AS made;

-- audit_new_version --
-- As add_audit_entry, of the version that holds what a run made, unless its publishing was noted before.
INSERT INTO audit (number, at, actor, action, subject, detail, digest)
SELECT last.number + 1, :at, :actor, :action, made.subject, :detail,
       encode(sha256(convert_to(last.digest || ' ' || (last.number + 1) || ' ' || :at_text
         || ' ' || LENGTH(:actor) || ':' || :actor || ' ' || LENGTH(:action) || ':' || :action
         || ' ' || LENGTH(made.subject) || ':' || made.subject || ' ' || LENGTH(:detail) || ':' || :detail,
         'UTF8')), 'hex')
  FROM (SELECT COALESCE(MAX(number), 0) AS number,
               COALESCE((SELECT digest FROM audit ORDER BY number DESC LIMIT 1), '') AS digest FROM audit) AS last,
       (SELECT name || '@' || number AS subject FROM product_version
         WHERE kind = :kind AND name = :name AND content = :content
         ORDER BY CASE WHEN run_id = :run_id THEN 0 ELSE 1 END, number DESC LIMIT 1) AS made
 WHERE NOT EXISTS (SELECT 1 FROM audit AS known WHERE known.subject = made.subject AND known.action = :action);

-- find_audit --
-- The newest rows before a number. One query per first filter: an optional one would keep the database off its index.
SELECT * FROM audit WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- find_audit_of_subject --
-- The newest rows about one subject before a number, by one actor and of one action when these are not empty.
SELECT * FROM audit
 WHERE subject = :subject AND number < :before
   AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action)
 ORDER BY number DESC LIMIT :limit;

-- find_audit_of_action --
-- The newest rows of one action before a number, by one actor when it is not empty.
SELECT * FROM audit
 WHERE action = :action AND number < :before AND (:actor = '' OR actor = :actor)
 ORDER BY number DESC LIMIT :limit;

-- find_audit_of_actor --
-- The newest rows of one actor before a number.
SELECT * FROM audit WHERE actor = :actor AND number < :before ORDER BY number DESC LIMIT :limit;

-- audit_after --
-- The rows after a number, oldest first.
SELECT * FROM audit WHERE number > :after ORDER BY number LIMIT :limit;
