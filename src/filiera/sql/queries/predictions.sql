-- prediction_parts --
-- The tables of one log, in the order in which they were made.
SELECT * FROM prediction_part WHERE log = :log ORDER BY number;

-- all_prediction_parts --
-- The tables of all logs.
SELECT * FROM prediction_part ORDER BY log, number;

-- add_prediction_part --
-- A new table.
INSERT INTO prediction_part (log, number, version, day, digest, size_bytes, rows, first_at, last_at, spelling)
VALUES (:log, :number, :version, :day, :digest, :size_bytes, :rows, :first_at, :last_at, :spelling);

-- drop_prediction_part --
-- Let go of a table.
DELETE FROM prediction_part WHERE log = :log AND number = :number;

-- moved_segments --
-- The segments of one log whose predictions are in tables.
SELECT name FROM moved_segment WHERE log = :log;

-- add_moved_segment --
-- Note that the predictions of a segment are in tables.
INSERT INTO moved_segment (log, name) VALUES (:log, :name);

-- drop_moved_segment --
-- Forget a segment that is gone.
DELETE FROM moved_segment WHERE log = :log AND name = :name;
