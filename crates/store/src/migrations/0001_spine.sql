-- The same text runs on SQLite and on PostgreSQL: TEXT, BIGINT, BOOLEAN, nothing else.
-- Ids are text as on the wire, times are Unix milliseconds, hashes are SHA-256 in hex.

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  password_hash TEXT,
  created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE device_logins (
  device_code_hash TEXT PRIMARY KEY,
  user_code_hash TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  version TEXT NOT NULL,
  state TEXT NOT NULL,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  polled_at BIGINT
);

CREATE TABLE instances (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  feed_position BIGINT NOT NULL,
  feed_floor BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE members (
  instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  joined_at BIGINT NOT NULL,
  PRIMARY KEY (instance_id, user_id)
);
CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE one_time_codes (
  code_hash TEXT PRIMARY KEY,
  purpose TEXT NOT NULL,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  instance_id TEXT REFERENCES instances (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);

CREATE TABLE machines (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  hostname TEXT NOT NULL,
  alias TEXT NOT NULL,
  os TEXT NOT NULL,
  tools TEXT NOT NULL,
  daemon_version TEXT,
  epoch BIGINT NOT NULL,
  journal_id TEXT,
  applied_seq BIGINT NOT NULL,
  registered_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  lease_until BIGINT,
  token_hash TEXT UNIQUE,
  platform_token_sealed TEXT
);
CREATE INDEX machines_by_user ON machines (user_id);

CREATE TABLE rooms (
  id TEXT PRIMARY KEY,
  instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  entry TEXT NOT NULL,
  next_position BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX rooms_by_instance ON rooms (instance_id);

CREATE TABLE messages (
  id TEXT PRIMARY KEY,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  sender TEXT NOT NULL,
  user_id TEXT REFERENCES users (id),
  target TEXT,
  content TEXT NOT NULL,
  position BIGINT NOT NULL,
  queued BOOLEAN NOT NULL,
  task_id TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX messages_by_room ON messages (room_id, queued, position);

CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  state TEXT NOT NULL,
  message_id TEXT NOT NULL REFERENCES messages (id),
  position BIGINT NOT NULL,
  author_id TEXT NOT NULL REFERENCES users (id),
  carries_id TEXT REFERENCES users (id),
  approved_by TEXT REFERENCES users (id),
  holder TEXT,
  held_since BIGINT,
  hops BIGINT NOT NULL,
  handoff_id TEXT,
  next_id TEXT,
  created_at BIGINT NOT NULL,
  completed_at BIGINT
);
CREATE INDEX tasks_by_room ON tasks (room_id, state, position);
CREATE INDEX tasks_by_holder ON tasks (holder);

CREATE TABLE waiters (
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  connection_id TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  machine_id TEXT NOT NULL,
  joined_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (room_id, role)
);

CREATE TABLE agent_configs (
  machine_id TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  tool TEXT NOT NULL,
  model TEXT,
  working_dir TEXT NOT NULL,
  mode TEXT NOT NULL,
  form TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (machine_id, room_id, role)
);
CREATE INDEX agent_configs_by_room ON agent_configs (room_id, role);

CREATE TABLE agents (
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  desired TEXT NOT NULL,
  machine_id TEXT,
  run_id TEXT,
  shared BOOLEAN NOT NULL,
  gave_up TEXT,
  PRIMARY KEY (room_id, role)
);

CREATE TABLE commands (
  id TEXT PRIMARY KEY,
  machine_id TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  room_id TEXT,
  role TEXT,
  run_id TEXT,
  push_sealed TEXT NOT NULL,
  status TEXT NOT NULL,
  result TEXT,
  sent_by TEXT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL,
  deadline_at BIGINT NOT NULL,
  received_at BIGINT,
  processed_at BIGINT
);
CREATE INDEX commands_by_machine ON commands (machine_id, created_at);
CREATE INDEX commands_by_status ON commands (status, deadline_at);

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  machine_id TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  command_id TEXT NOT NULL,
  tool TEXT NOT NULL,
  model TEXT,
  working_dir TEXT NOT NULL,
  mode TEXT NOT NULL,
  form TEXT NOT NULL,
  activity TEXT NOT NULL,
  pid BIGINT,
  start_time BIGINT,
  awaiting_handoff BOOLEAN NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  token_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  exited_at BIGINT,
  exit_reason TEXT
);
CREATE INDEX runs_by_slot ON runs (room_id, role, created_at);
CREATE INDEX runs_by_machine ON runs (machine_id, activity);

CREATE TABLE prompts (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  purpose TEXT NOT NULL,
  task_id TEXT,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX prompts_by_run ON prompts (run_id, state);
CREATE UNIQUE INDEX prompts_once ON prompts (run_id, purpose, task_id);

CREATE TABLE permissions (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  title TEXT NOT NULL,
  input TEXT NOT NULL,
  digest TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  outcome TEXT,
  answered_by TEXT
);
CREATE INDEX permissions_by_run ON permissions (run_id);

CREATE TABLE events (
  instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  private_to TEXT,
  user_id TEXT,
  room_id TEXT,
  role TEXT,
  machine_id TEXT,
  subject TEXT,
  outcome TEXT,
  PRIMARY KEY (instance_id, position)
);
CREATE INDEX events_by_time ON events (at);
