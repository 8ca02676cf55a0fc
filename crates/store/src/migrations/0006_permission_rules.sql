-- What a question would permit until its run is over.
ALTER TABLE permissions ADD COLUMN always TEXT;
