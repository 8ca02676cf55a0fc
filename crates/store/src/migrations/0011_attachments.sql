-- Files beside messages. Their bytes are base64: text is what both databases and a backup have in common.
CREATE TABLE attachments (
  id TEXT PRIMARY KEY,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  message_id TEXT REFERENCES messages (id) ON DELETE CASCADE,
  place BIGINT NOT NULL,
  name TEXT NOT NULL,
  media TEXT NOT NULL,
  size BIGINT NOT NULL,
  content TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX attachments_by_message ON attachments (message_id, place);
CREATE INDEX attachments_by_user ON attachments (user_id, message_id);
