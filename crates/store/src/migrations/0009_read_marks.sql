-- When something was last said in a room, or queued there.
ALTER TABLE rooms ADD COLUMN active_at BIGINT NOT NULL DEFAULT 0;
UPDATE rooms SET active_at = COALESCE(
  (SELECT MAX(messages.created_at) FROM messages WHERE messages.room_id = rooms.id), rooms.created_at);

-- Up to where a person has read a room. Whoever was there before marks were kept has read everything.
CREATE TABLE read_marks (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  PRIMARY KEY (user_id, room_id)
);
INSERT INTO read_marks (user_id, room_id, position)
SELECT members.user_id, rooms.id, rooms.next_position
FROM rooms JOIN members ON members.instance_id = rooms.instance_id;
