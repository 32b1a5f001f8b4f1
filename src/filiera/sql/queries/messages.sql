-- put_message --
-- A message that waits from now on, unless it is there already.
INSERT INTO message (id, queue, body, method, origin, put_at, due_at)
VALUES (:id, :queue, :body, :method, :origin, :put_at, :due_at)
ON CONFLICT (id) DO NOTHING;

-- count_backlog --
-- How many messages of a queue are not dead; no more than :most are counted.
SELECT COUNT(*) AS backlog
  FROM (SELECT id FROM message WHERE queue = :queue AND is_dead = 0 LIMIT :most) AS living;

-- get_due_messages --
-- Whether messages can be handed out, and whether one of them was cut off: 1 or 0 each.
SELECT EXISTS (SELECT 1 FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now) AS any_due,
       EXISTS (SELECT 1 FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now AND cut_offs > 0)
       AS any_cut_off;

-- receive_messages --
-- Take the messages that are due longest and were not cut off; they come back when their lease ends, as cut off.
UPDATE message SET lease = :lease, due_at = :until, cut_offs = 1
 WHERE id IN (SELECT id FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now AND cut_offs = 0
               ORDER BY due_at, put_at, id LIMIT :most)
RETURNING id, body, method, origin, put_at, attempts, cut_offs;

-- receive_cut_off --
-- Take the message that is due longest of those that were cut off.
UPDATE message SET lease = :lease, due_at = :until, cut_offs = cut_offs + 1
 WHERE id IN (SELECT id FROM message WHERE queue = :queue AND is_dead = 0 AND due_at <= :now AND cut_offs > 0
               ORDER BY due_at, put_at, id LIMIT 1)
RETURNING id, body, method, origin, put_at, attempts, cut_offs;

-- extend_lease --
-- One row if the lease is still held.
UPDATE message SET due_at = :until WHERE id = :id AND lease = :lease RETURNING id;

-- acknowledge_message --
-- One row if the lease was still held.
DELETE FROM message WHERE id = :id AND lease = :lease RETURNING id;

-- release_message --
-- One row if the lease was still held.
UPDATE message SET due_at = :due_at, lease = '', why = :why, attempts = :attempts, cut_offs = :cut_offs
 WHERE id = :id AND lease = :lease RETURNING id;

-- bury_message --
-- One row if the lease was still held.
UPDATE message SET is_dead = 1, due_at = :due_at, lease = '', why = :why, attempts = :attempts, cut_offs = :cut_offs
 WHERE id = :id AND lease = :lease RETURNING id;

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
SELECT id, body, method, origin, put_at, due_at, attempts, cut_offs, lease, why FROM message
 WHERE queue = :queue AND is_dead = :is_dead ORDER BY due_at, put_at, id LIMIT :most;

-- revive_message --
-- One row if this message was dead: it waits again, as if it had never been tried but for what it may have killed.
UPDATE message SET is_dead = 0, due_at = :now, attempts = 0, cut_offs = CASE WHEN cut_offs > 0 THEN 1 ELSE 0 END, why = ''
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
