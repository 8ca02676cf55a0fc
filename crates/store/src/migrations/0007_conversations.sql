-- The id the tool gave the conversation of a run: a later run can go on with it.
ALTER TABLE runs ADD COLUMN conversation TEXT;
