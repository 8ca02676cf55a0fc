-- An agent that stops by itself is started again; what went wrong in a turn is kept for the machine's user.
ALTER TABLE runs ADD COLUMN crashed BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE runs ADD COLUMN trouble TEXT;
ALTER TABLE agents ADD COLUMN counted_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN restart_at BIGINT;
CREATE INDEX agents_by_restart ON agents (restart_at);
