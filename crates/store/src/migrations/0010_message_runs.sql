-- The run a message came from, where an agent said it from inside one.
ALTER TABLE messages ADD COLUMN run_id TEXT;
