-- The journal of one exchange. docs/journal.md explains every table.

-- One row: what every other row is signed for and chained to.
CREATE TABLE genesis (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  -- Canonical bytes of Genesis; entry 0 of the chain.
  record BLOB NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Commands and what each caused. Append-only: the triggers below refuse everything else.
CREATE TABLE entries (
  -- From 1, without gaps.
  sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
  -- Sequencer time in milliseconds since 1970, as a two's-complement 64-bit integer.
  tick INTEGER NOT NULL,
  command_digest BLOB NOT NULL UNIQUE CHECK (length(command_digest) = 32),
  -- The envelope, exactly as it was signed.
  command BLOB NOT NULL,
  -- Canonical bytes of Outcome: the events, or the rejection.
  outcome BLOB NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- What the broker answered, returned byte for byte to every repeated delivery.
CREATE TABLE acknowledgements (
  command_digest BLOB PRIMARY KEY REFERENCES entries (command_digest),
  acknowledgement BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The lines of every accepted entry, numbered from 0 within it. They repeat what the entry's
-- outcome holds, so that a person can ask the ledger questions in SQL.
CREATE TABLE postings (
  sequence INTEGER NOT NULL REFERENCES entries (sequence),
  line INTEGER NOT NULL CHECK (line >= 0),
  -- Canonical bytes of Account.
  account BLOB NOT NULL,
  delta INTEGER NOT NULL,
  PRIMARY KEY (sequence, line)
) STRICT, WITHOUT ROWID;

-- The projection of all postings.
CREATE TABLE balances (
  account BLOB PRIMARY KEY,
  balance INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_are_final BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'journal entries are final'); END;
CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'journal entries are kept'); END;
CREATE TRIGGER postings_are_final BEFORE UPDATE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are final'); END;
CREATE TRIGGER postings_are_kept BEFORE DELETE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are kept'); END;
CREATE TRIGGER acknowledgements_are_final BEFORE UPDATE ON acknowledgements
BEGIN SELECT RAISE(ABORT, 'acknowledgements are final'); END;
CREATE TRIGGER acknowledgements_are_kept BEFORE DELETE ON acknowledgements
BEGIN SELECT RAISE(ABORT, 'acknowledgements are kept'); END;
CREATE TRIGGER genesis_is_final BEFORE UPDATE ON genesis
BEGIN SELECT RAISE(ABORT, 'the genesis is final'); END;
CREATE TRIGGER genesis_is_kept BEFORE DELETE ON genesis
BEGIN SELECT RAISE(ABORT, 'the genesis is kept'); END;
