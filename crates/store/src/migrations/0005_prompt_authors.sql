-- Who says a follow-up; nobody for what the platform itself tells an agent.
ALTER TABLE prompts ADD COLUMN user_id TEXT;
