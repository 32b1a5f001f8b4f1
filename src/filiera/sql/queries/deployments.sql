-- add_deployment --
-- Begin to deploy a version, unless one is under way for this alias, or it points elsewhere than was seen; returns its
-- number, or no row.
INSERT INTO deployment (number, name, alias, version, before, plan, stage, stage_at, state, steps, at)
SELECT last.number + 1, :name, :alias, :version, :before, :plan, 0, :at, 'running', 1, :at
  FROM (SELECT COALESCE(MAX(number), 0) AS number FROM deployment) AS last
 WHERE NOT EXISTS (SELECT 1 FROM deployment AS other
                    WHERE other.name = :name AND other.alias = :alias AND other.state = 'running')
   AND EXISTS (SELECT 1 FROM alias WHERE alias.kind = :kind AND alias.name = :name AND alias.alias = :alias
                  AND alias.number = :before)
RETURNING number;

-- running_deployment --
-- The deployment under way for an alias, or no row.
SELECT * FROM deployment WHERE name = :name AND alias = :alias AND state = 'running';

-- find_deployments --
-- The newest deployments, of one model when its name is given.
SELECT * FROM deployment WHERE (:name = '' OR name = :name) ORDER BY number DESC LIMIT :limit;

-- get_deployment --
-- One deployment, or no row.
SELECT * FROM deployment WHERE number = :number;

-- note_deployment --
-- The next step of a deployment. Fails, with the transaction that it begins, when another service took that step.
INSERT INTO deployment_note (deployment, step, at, "by", what, why) VALUES (:number, :step, :at, :by, :what, :why);

-- move_deployment --
-- Where the step leads, in the transaction of note_deployment.
UPDATE deployment SET stage = :stage, stage_at = :at, state = :state, steps = :step WHERE number = :number;

-- note_new_deployment --
-- The first step of the one that add_deployment has just made, if it has.
INSERT INTO deployment_note (deployment, step, at, "by", what, why)
SELECT number, 1, :at, :by, :what, :why FROM deployment
 WHERE number = (SELECT MAX(number) FROM deployment) AND steps = 1 AND NOT EXISTS
       (SELECT 1 FROM deployment_note AS other WHERE other.deployment = deployment.number);

-- notes_of_deployment --
-- What happened to a deployment, oldest first.
SELECT step, at, "by", what, why FROM deployment_note WHERE deployment = :number ORDER BY step;

-- put_tally --
-- What a service has counted in a stage so far.
INSERT INTO deployment_tally (deployment, stage, service, tried, usual)
VALUES (:deployment, :stage, :service, :tried, :usual)
ON CONFLICT (deployment, stage, service) DO UPDATE SET tried = excluded.tried, usual = excluded.usual;

-- tallies_of_stage --
-- What services have counted in a stage.
SELECT tried, usual FROM deployment_tally WHERE deployment = :deployment AND stage = :stage;

-- put_service --
-- A service is there, and serves this.
INSERT INTO service (id, name, alias, place, version, candidate, trouble, seen_at)
VALUES (:id, :name, :alias, :place, :version, :candidate, :trouble, :at)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, candidate = excluded.candidate, trouble = excluded.trouble,
       seen_at = excluded.seen_at;

-- drop_service --
-- A service has ended.
DELETE FROM service WHERE id = :id;

-- drop_old_services --
-- Services that ended without a word.
DELETE FROM service WHERE seen_at < :before;

-- find_services --
-- Services seen since a time, of one model when its name is given.
SELECT * FROM service WHERE seen_at >= :since AND (:name = '' OR name = :name) ORDER BY name, alias, place, id;

-- add_monitor_verdict --
-- Monitoring has looked.
INSERT INTO monitor_verdict (name, version, at, verdict, summary, rows, first_at, last_at, "by")
VALUES (:name, :version, :at, :verdict, :summary, :rows, :first_at, :last_at, :by);

-- monitor_verdicts --
-- What monitoring said of a version since a time, the newest first.
SELECT * FROM monitor_verdict WHERE name = :name AND version = :version AND at >= :since ORDER BY at DESC LIMIT :limit;
