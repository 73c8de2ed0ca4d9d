-- An acknowledgement stands in its entry's row: a table of its own, in the order of the digests,
-- wrote a page for each and was looked up in anew for each entry that was read.

ALTER TABLE entries ADD COLUMN acknowledgement BLOB;

DROP TRIGGER entries_are_final;
UPDATE entries SET acknowledgement = (
  SELECT acknowledgement FROM acknowledgements
  WHERE acknowledgements.command_digest = entries.command_digest
);
CREATE TRIGGER entries_are_final BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'journal entries are final'); END;

DROP TABLE acknowledgements;
