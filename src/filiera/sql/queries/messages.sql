-- put_message --
-- A message that waits from now on, unless it is there already.
INSERT INTO message (id, queue, body, method, origin, put_at, due_at)
VALUES (:id, :queue, :body, :method, :origin, :put_at, :due_at)
ON CONFLICT (id) DO NOTHING;

-- count_backlog --
-- How many messages of a queue are not dead; no more than :most are counted.
SELECT COUNT(*) AS backlog
  FROM (SELECT id FROM message WHERE queue = :queue AND is_dead = 0 LIMIT :most) AS living;

-- try_due_message --
-- One row if a message can be handed out.
SELECT id FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now LIMIT 1;

-- receive_messages --
-- Take the messages that are due longest, also those whose lease has ended; they come back when this lease ends.
UPDATE message SET lease = :lease, due_at = :until, attempts = attempts + 1
 WHERE id IN (SELECT id FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now
               ORDER BY due_at, put_at, id LIMIT :most)
RETURNING id, body, method, origin, put_at, attempts;

-- extend_lease --
-- One row if the lease is still held.
UPDATE message SET due_at = :until WHERE id = :id AND lease = :lease RETURNING id;

-- acknowledge_message --
-- One row if the lease was still held.
DELETE FROM message WHERE id = :id AND lease = :lease RETURNING id;

-- retry_message --
-- One row if the lease was still held. :untried is 1 when the attempt does not count.
UPDATE message SET due_at = :due_at, lease = '', why = :why, attempts = attempts - :untried
 WHERE id = :id AND lease = :lease RETURNING id;

-- bury_message --
-- One row if the lease was still held.
UPDATE message SET is_dead = 1, due_at = :at, lease = '', why = :why WHERE id = :id AND lease = :lease RETURNING id;

-- reclaim_messages --
-- End all leases: whoever held them is gone.
UPDATE message SET lease = '', due_at = :now WHERE lease <> '' RETURNING id;

-- count_messages --
-- How many messages of each queue wait, are being handled, and are dead; due_at: when the next can be handed out.
SELECT queue, SUM(CASE WHEN is_dead = 0 AND lease = '' THEN 1 ELSE 0 END) AS waiting,
       SUM(CASE WHEN lease <> '' THEN 1 ELSE 0 END) AS handled, SUM(is_dead) AS dead,
       MIN(CASE WHEN is_dead = 0 THEN due_at END) AS due_at
  FROM message GROUP BY queue ORDER BY queue;

-- list_messages --
-- The messages of a queue that are dead, or that are not, the longest due first.
SELECT id, body, method, origin, put_at, due_at, attempts, lease, why FROM message
 WHERE queue = :queue AND is_dead = :is_dead ORDER BY due_at, put_at, id LIMIT :most;

-- revive_message --
-- One row if this message was dead: it waits again, as if it had never been tried.
UPDATE message SET is_dead = 0, due_at = :now, attempts = 0, why = ''
 WHERE id = :id AND queue = :queue AND is_dead = 1 RETURNING id;

-- drop_dead_message --
-- One row if this message was dead.
DELETE FROM message WHERE id = :id AND queue = :queue AND is_dead = 1 RETURNING id;

-- get_trigger_marks --
-- How far the triggers of a service have come.
SELECT subject, mark FROM trigger_mark WHERE service = :service;

-- put_trigger_mark --
-- How far a trigger has come now.
INSERT INTO trigger_mark (service, subject, mark) VALUES (:service, :subject, :mark)
ON CONFLICT (service, subject) DO UPDATE SET mark = excluded.mark;

-- drop_trigger_mark --
-- Forget a file that is gone.
DELETE FROM trigger_mark WHERE service = :service AND subject = :subject;
