-- Empty but for a moment: whether writes succeed is found out here.
CREATE TABLE write_checks (
  id TEXT PRIMARY KEY,
  filler TEXT NOT NULL
);
CREATE INDEX runs_by_end ON runs (exited_at);
