-- forget_cache_entries_with --
-- Forget every result with an output that is a damaged artifact; returns which run and step made it.
DELETE FROM cache_entry WHERE outputs LIKE :pattern RETURNING run_id, step;

-- artifacts_with_digest --
-- The artifacts that have these bytes, under any codec.
SELECT digest, codec, size_bytes, inline FROM artifact WHERE digest = :digest;

-- kept_bytes --
-- The bytes of a small artifact, in its place or set aside, or no row.
SELECT inline FROM artifact WHERE digest = :digest AND inline IS NOT NULL
 UNION ALL
SELECT inline FROM leaving_artifact WHERE digest = :digest AND inline IS NOT NULL;

-- drop_artifact --
-- Forget an artifact, and its bytes when they are in the records.
DELETE FROM artifact WHERE digest = :digest AND codec = :codec;

-- live_runs --
-- Runs that say they are running; their drivers may be dead.
SELECT run_id, pipeline, number, state, driver, started_at, heartbeat_at FROM run WHERE state = 'running';

-- next_pipeline --
-- The pipeline that follows in the alphabet among those with runs; null after the last.
SELECT MIN(pipeline) AS pipeline FROM run WHERE pipeline > :after;

-- number_of_run_at --
-- The number of the run in a place of its pipeline's runs, newest first, from 0; or no row.
SELECT number FROM run WHERE pipeline = :pipeline ORDER BY number DESC LIMIT 1 OFFSET :place;

-- publishing_runs --
-- The runs that made versions.
SELECT DISTINCT run_id FROM product_version;

-- older_runs --
-- Runs of a pipeline between two numbers that nobody drove since a time, oldest first.
SELECT run_id, pipeline, number, state, driver, started_at, heartbeat_at, steps_total FROM run
 WHERE pipeline = :pipeline AND number > :after AND number < :below AND COALESCE(heartbeat_at, started_at) < :before
 ORDER BY number LIMIT :limit;

-- drop_run --
-- Forget a run, unless another driver has taken it since it was looked at.
DELETE FROM run WHERE run_id = :run_id AND state = :state AND driver = :driver RETURNING run_id;

-- drop_steps_of_dropped_run --
-- Forget the steps of a run that is forgotten.
DELETE FROM step_run WHERE run_id = :run_id AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = :run_id);

-- drop_events_of_dropped_run --
-- Forget the events of a run that is forgotten.
DELETE FROM event WHERE run_id = :run_id AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = :run_id);

-- drop_approvals_of_dropped_run --
-- Forget the answers that a forgotten run asked for.
DELETE FROM approval WHERE run_id = :run_id AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = :run_id);

-- runs_after --
-- Runs with what they were made from, in the order of their names.
SELECT run_id, pipeline, number, state, driver, started_at, heartbeat_at, record FROM run
 WHERE run_id > :run_id ORDER BY run_id LIMIT :limit;

-- drop_proofs_of_dropped_run --
-- Forget the proofs of a run that is forgotten.
DELETE FROM proof WHERE run_id = :run_id AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = :run_id);

-- recorded_steps --
-- What steps used and made, with what decides whether their run stays, in the order of the table.
SELECT step_run.run_id, step, key, closure_digest, outputs, metrics, pipeline, number, run.state, driver, run.started_at,
       heartbeat_at
  FROM step_run JOIN run ON run.run_id = step_run.run_id
 WHERE (step_run.run_id, step) > (:run_id, :step) ORDER BY step_run.run_id, step LIMIT :limit;

-- questions_of_waiting_runs --
-- The events with what people were asked by runs that wait for the answer.
SELECT event.body FROM run JOIN event ON event.run_id = run.run_id
 WHERE run.state = 'waiting' AND event.kind = 'StepWaiting';

-- versions_after --
-- Versions in the order of the table.
SELECT kind, name, number, artifact, body, run_id FROM product_version
 WHERE (kind, name, number) > (:kind, :name, :number) ORDER BY kind, name, number LIMIT :limit;

-- results_after --
-- Cached results in the order of their keys.
SELECT key, outputs, stored_at, LENGTH(outputs) AS kept_bytes FROM cache_entry WHERE key > :key ORDER BY key LIMIT :limit;

-- set_result_aside --
-- Note a result that no recorded step seems to have used, while no run is under way that could be about to use it.
INSERT INTO leaving_result (key, outputs, blocked, run_id, step, stored_at)
SELECT key, outputs, blocked, run_id, step, stored_at FROM cache_entry
 WHERE key = :key AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'running')
RETURNING key;

-- take_result_out --
-- Take a result out that was just set aside.
DELETE FROM cache_entry WHERE key = :key AND EXISTS (SELECT 1 FROM leaving_result AS it WHERE it.key = :key);

-- results_aside --
-- Results that were set aside, in order.
SELECT key, outputs, stored_at, LENGTH(outputs) AS kept_bytes FROM leaving_result WHERE key > :key ORDER BY key LIMIT :limit;

-- put_result_back --
-- Put back a result that was set aside.
INSERT INTO cache_entry (key, outputs, blocked, run_id, step, stored_at)
SELECT key, outputs, blocked, run_id, step, stored_at FROM leaving_result WHERE key = :key
ON CONFLICT (key) DO NOTHING;

-- drop_result --
-- Let go of a result that was set aside.
DELETE FROM leaving_result WHERE key = :key;

-- values_after --
-- Artifacts in the order of their digests, without their bytes.
SELECT digest, codec, size_bytes, COALESCE(LENGTH(inline), 0) AS kept_bytes FROM artifact
 WHERE (digest, codec) > (:digest, :codec) ORDER BY digest, codec LIMIT :limit;

-- set_value_aside --
-- Note an artifact that nothing seems to need, while no run is under way.
INSERT INTO leaving_artifact (digest, codec, size_bytes, inline)
SELECT digest, codec, size_bytes, inline FROM artifact
 WHERE digest = :digest AND codec = :codec AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'running')
RETURNING digest;

-- take_value_out --
-- Take an artifact out that was just set aside.
DELETE FROM artifact WHERE digest = :digest AND codec = :codec
   AND EXISTS (SELECT 1 FROM leaving_artifact AS it WHERE it.digest = :digest AND it.codec = :codec);

-- values_aside --
-- Artifacts that were set aside, in order.
SELECT digest, codec, size_bytes, COALESCE(LENGTH(inline), 0) AS kept_bytes FROM leaving_artifact
 WHERE (digest, codec) > (:digest, :codec) ORDER BY digest, codec LIMIT :limit;

-- put_value_back --
-- Put back an artifact that was set aside.
INSERT INTO artifact (digest, codec, size_bytes, inline)
SELECT digest, codec, size_bytes, inline FROM leaving_artifact WHERE digest = :digest AND codec = :codec
ON CONFLICT (digest, codec) DO NOTHING;

-- drop_value --
-- Let go of an artifact that was set aside.
DELETE FROM leaving_artifact WHERE digest = :digest AND codec = :codec;

-- closures_after --
-- Code closures in the order of their digests, without their parts.
SELECT digest, LENGTH(parts) AS kept_bytes FROM closure WHERE digest > :digest ORDER BY digest LIMIT :limit;

-- set_closure_aside --
-- Note a closure that no recorded step has, while no run is under way.
INSERT INTO leaving_closure (digest, parts)
SELECT digest, parts FROM closure WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'running')
RETURNING digest;

-- take_closure_out --
-- Take a closure out that was just set aside.
DELETE FROM closure WHERE digest = :digest
   AND EXISTS (SELECT 1 FROM leaving_closure AS it WHERE it.digest = :digest);

-- closures_aside --
-- Closures that were set aside, in order.
SELECT digest, LENGTH(parts) AS kept_bytes FROM leaving_closure WHERE digest > :digest ORDER BY digest LIMIT :limit;

-- put_closure_back --
-- Put back a closure that was set aside.
INSERT INTO closure (digest, parts) SELECT digest, parts FROM leaving_closure WHERE digest = :digest
ON CONFLICT (digest) DO NOTHING;

-- drop_closure --
-- Let go of a closure that was set aside.
DELETE FROM leaving_closure WHERE digest = :digest;

-- drop_version --
-- Forget a version, unless it is the newest, whose number the next one would get, or an alias means it.
DELETE FROM product_version
 WHERE kind = :kind AND name = :name AND number = :number
   AND number < (SELECT MAX(number) FROM product_version WHERE kind = :kind AND name = :name)
   AND NOT EXISTS (SELECT 1 FROM alias WHERE kind = :kind AND name = :name AND number = :number)
RETURNING number;

-- drop_signatures_of_dropped_version --
-- Forget the signatures of a version that is forgotten.
DELETE FROM signature WHERE kind = :kind AND name = :name AND number = :number
   AND NOT EXISTS (SELECT 1 FROM product_version WHERE kind = :kind AND name = :name AND number = :number);

-- drop_aliases_of_product --
-- Forget the aliases of a product.
DELETE FROM alias WHERE kind = :kind AND name = :name;

-- drop_signatures_of_product --
-- Forget the signatures of a product's versions.
DELETE FROM signature WHERE kind = :kind AND name = :name;

-- drop_versions_of_product --
-- Forget all versions of a product.
DELETE FROM product_version WHERE kind = :kind AND name = :name;

-- add_interruption --
-- The event that ends a run whose driver is dead, unless another driver has taken it since it was looked at.
INSERT INTO event (run_id, seq, at, kind, body)
SELECT :run_id, :seq, :at, :kind, :body
 WHERE EXISTS (SELECT 1 FROM run WHERE run_id = :run_id AND state = 'running' AND driver = :driver);

-- interrupt_run --
-- A run whose driver is dead is interrupted, unless another driver has taken it since it was looked at.
UPDATE run SET state = 'interrupted', failure = :failure
 WHERE run_id = :run_id AND state = 'running' AND driver = :driver
RETURNING run_id;

-- try_run --
-- A row when there is a run of this name.
SELECT run_id FROM run WHERE run_id = :run_id;

-- steps_of_run_after --
-- The steps of a run in the order of their names.
SELECT * FROM step_run WHERE run_id = :run_id AND step > :step ORDER BY step LIMIT :limit;

-- events_of_run_after --
-- The events of a run in order.
SELECT * FROM event WHERE run_id = :run_id AND seq > :seq ORDER BY seq LIMIT :limit;

-- get_result --
-- A cached result, or no row.
SELECT * FROM cache_entry WHERE key = :key;

-- versions_of_run --
-- The versions that a run published.
SELECT * FROM product_version WHERE run_id = :run_id ORDER BY kind, name, number;

-- same_run --
-- The run that was started here or elsewhere at that time, from the same things, or no row.
SELECT run_id FROM run
 WHERE pipeline = :pipeline AND started_at = :started_at AND parameters = :parameters AND record = :record;

-- run_of_that_time --
-- The run of a pipeline that was started at that time and took so long, whatever it is called here, or no row.
SELECT run_id FROM run
 WHERE pipeline = :pipeline AND started_at = :started_at AND COALESCE(finished_at, started_at) - started_at = :took_s;

-- highest_number --
-- The highest number among a pipeline's runs; 0 when it has none.
SELECT COALESCE(MAX(number), 0) AS number FROM run WHERE pipeline = :pipeline;

-- import_run --
-- A run of another store.
INSERT INTO run (run_id, pipeline, number, kind, state, parameters, started_at, finished_at, driver, heartbeat_at,
                 record, failure, steps_total, steps_done, steps_hit, project, profile, outcome)
VALUES (:run_id, :pipeline, :number, :kind, :state, :parameters, :started_at, :finished_at, :driver, :heartbeat_at,
        :record, :failure, :steps_total, :steps_done, :steps_hit, :project, :profile, :outcome);

-- import_step_run --
-- A step of a run of another store.
INSERT INTO step_run (run_id, step, position, stage, state, attempt, key, closure_digest, arguments, inputs, outputs,
                      started_at, duration_s, failure, reason, log, metrics)
VALUES (:run_id, :step, :position, :stage, :state, :attempt, :key, :closure_digest, :arguments, :inputs, :outputs,
        :started_at, :duration_s, :failure, :reason, :log, :metrics);

-- same_version --
-- The number of a version that was published at that time with the same content, or no row.
SELECT number FROM product_version
 WHERE kind = :kind AND name = :name AND content = :content AND created_at = :created_at;

-- values_with_bytes_after --
-- Small artifacts with their bytes, in the order of their digests.
SELECT digest, codec, inline FROM artifact
 WHERE (digest, codec) > (:digest, :codec) AND inline IS NOT NULL ORDER BY digest, codec LIMIT :limit;

-- codecs_in_use --
-- The codecs of all artifacts.
SELECT DISTINCT codec FROM artifact ORDER BY codec;

-- values_of_codec_after --
-- Artifacts of one codec in the order of their digests.
SELECT digest, codec, size_bytes, inline FROM artifact
 WHERE codec = :codec AND digest > :digest ORDER BY digest LIMIT :limit;

-- steps_naming --
-- Steps with an output of this digest, first those that made it.
SELECT run_id, step FROM step_run WHERE outputs LIKE :pattern
 ORDER BY CASE WHEN state = 'hit' THEN 1 ELSE 0 END, started_at DESC LIMIT 3;

-- versions_naming --
-- Versions that have an artifact of this digest.
SELECT name, number FROM product_version WHERE artifact LIKE :pattern OR body LIKE :pattern ORDER BY name, number;
