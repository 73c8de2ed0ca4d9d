-- A broker keeps the digests of its commands in memory. Digests are random, so that their index
-- wrote a page anew for nearly every entry, and a column loses its index with its table alone.

CREATE TABLE entries_anew (
  -- From 1, without gaps.
  sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
  -- Sequencer time in milliseconds since 1970, as a two's-complement 64-bit integer.
  tick INTEGER NOT NULL,
  command_digest BLOB NOT NULL CHECK (length(command_digest) = 32),
  -- The envelope, exactly as it was signed.
  command BLOB NOT NULL,
  -- Canonical bytes of Outcome: the events, or the rejection.
  outcome BLOB NOT NULL,
  -- What the broker answered, returned byte for byte to every repeated delivery.
  acknowledgement BLOB,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO entries_anew
  SELECT sequence, tick, command_digest, command, outcome, acknowledgement, hash FROM entries;

-- As it was, but for the table it refers to.
CREATE TABLE postings_anew (
  sequence INTEGER NOT NULL REFERENCES entries_anew (sequence),
  line INTEGER NOT NULL CHECK (line >= 0),
  account BLOB NOT NULL,
  delta INTEGER NOT NULL,
  PRIMARY KEY (sequence, line)
) STRICT, WITHOUT ROWID;
INSERT INTO postings_anew SELECT sequence, line, account, delta FROM postings;

DROP TABLE postings;
DROP TABLE entries;
ALTER TABLE entries_anew RENAME TO entries;
ALTER TABLE postings_anew RENAME TO postings;

CREATE TRIGGER entries_are_final BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'journal entries are final'); END;
CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'journal entries are kept'); END;
CREATE TRIGGER postings_are_final BEFORE UPDATE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are final'); END;
CREATE TRIGGER postings_are_kept BEFORE DELETE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are kept'); END;
