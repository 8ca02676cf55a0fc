-- A credential is replaced in two steps: the next pair is good beside the present
-- one until the machine has shown it. The next `crm_` is kept sealed until then, so
-- that the same pair can be offered again.
ALTER TABLE machines ADD COLUMN next_token_hash TEXT;
ALTER TABLE machines ADD COLUMN next_token_sealed TEXT;
ALTER TABLE machines ADD COLUMN next_platform_token_sealed TEXT;
CREATE UNIQUE INDEX machines_by_next_token ON machines (next_token_hash);

-- The renewal counter: a home that shows an older one is a copy.
ALTER TABLE machines ADD COLUMN renewal BIGINT NOT NULL DEFAULT 0;
ALTER TABLE machines ADD COLUMN locked_at BIGINT;
