-- What the people of a room tell every agent of it; the text is empty once it was taken back.
ALTER TABLE rooms ADD COLUMN instructions TEXT;
ALTER TABLE rooms ADD COLUMN instructions_by TEXT;
ALTER TABLE rooms ADD COLUMN instructions_at BIGINT;
-- A room that is put away.
ALTER TABLE rooms ADD COLUMN archived_at BIGINT;
