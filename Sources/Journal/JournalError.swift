import GRDB
package import Primitives

/// Where a journal first stops being what an honest broker would have written.
package struct Divergence: Hashable, Sendable, Encodable {
  /// The entry; 0 is the genesis. Nil where the file as a whole is damaged.
  package let sequence: UInt64?
  /// What was compared, as a noun: `entry hash`, `outcome`, `balance of ...`.
  package let subject: String
  package let expected: String
  package let got: String

  package init(
    sequence: UInt64?, subject: String, expected: some CustomStringConvertible,
    got: some CustomStringConvertible
  ) {
    self.sequence = sequence
    self.subject = subject
    self.expected = expected.description
    self.got = got.description
  }
}

extension Divergence: CustomStringConvertible {
  package var description: String {
    let place = sequence.map { "entry \($0)" } ?? "the database file"
    return "\(place): \(subject): expected \(expected), got \(got)"
  }
}

package enum JournalError: CodedError, Equatable {
  case inUse(path: String)
  case missing(path: String)
  case alreadyExists(path: String)
  case newerSchema(found: Int, known: Int)
  case settingRefused(name: String, expected: String, got: String)
  case wrongKey(expected: PublicKey, got: PublicKey)
  case diverged(Divergence)
  case duplicateCommand(Digest)
  case tickBackwards(last: Tick, got: Tick)
  case unbalanced(sequence: UInt64)
  case unknownSequence(UInt64, size: UInt64)
  case exportDamaged(path: String, String)
  case exportUnwritable(path: String)
  case snapshotUnwritable(path: String)
  case storage(String)
  case failedEarlier

  /// A row is not of the shape that its table has.
  static func misshapen(
    _ sequence: UInt64?, _ subject: String, _ expected: String, _ got: String
  ) -> JournalError {
    .diverged(Divergence(sequence: sequence, subject: subject, expected: expected, got: got))
  }

  package var code: String {
    switch self {
    case .inUse: "journal-in-use"
    case .missing: "journal-missing"
    case .alreadyExists: "journal-exists"
    case .newerSchema: "journal-newer-schema"
    case .settingRefused: "journal-setting-refused"
    case .wrongKey: "journal-wrong-key"
    case .diverged: "journal-diverged"
    case .duplicateCommand: "journal-duplicate-command"
    case .tickBackwards: "journal-tick-backwards"
    case .unbalanced: "journal-unbalanced"
    case .unknownSequence: "journal-unknown-entry"
    case .exportDamaged: "export-damaged"
    case .exportUnwritable: "export-unwritable"
    case .snapshotUnwritable: "snapshot-unwritable"
    case .storage: "journal-storage"
    case .failedEarlier: "journal-failed"
    }
  }

  package var sentence: String {
    switch self {
    case .inUse(let path):
      "Another process has '\(path)' open; stop that broker, or replay a copy of its directory."
    case .missing(let path):
      "There is no journal at '\(path)'; name the directory of one, or create it with `bourse broker run`."
    case .alreadyExists(let path):
      "A journal exists at '\(path)' already and is never overwritten; open it, or name an empty directory."
    case .newerSchema(let found, let known):
      "The journal has schema \(found) and this build knows up to \(known); use a newer build."
    case .settingRefused(let name, let expected, let got):
      "SQLite was asked for \(name) = \(expected) and keeps \(got); put the journal on a local file system."
    case .wrongKey(let expected, let got):
      "The journal belongs to broker \(expected) and was opened with key \(got); use the broker's own key."
    case .diverged(let divergence):
      "At \(divergence); run `bourse audit replay` on a copy and restore the last good one."
    case .duplicateCommand(let digest):
      "Command \(digest) is journaled already; return its stored acknowledgement instead."
    case .tickBackwards(let last, let got):
      "Time went back from \(last) to \(got); stamp entries with a tick that never decreases."
    case .unbalanced(let sequence):
      "The postings of entry \(sequence) do not sum to zero; nothing of its group was written."
    case .unknownSequence(let sequence, let size):
      "There is no entry \(sequence); the journal has entries 0 to \(size - 1)."
    case .exportDamaged(let path, let what):
      "'\(path)' is damaged: \(what); export the journal again with `bourse audit export`."
    case .exportUnwritable(let path):
      "'\(path)' cannot be written; name a file in a directory that can, with room for the journal."
    case .snapshotUnwritable(let path):
      "'\(path)' cannot be written; make room on its disk, or the next start reads the whole journal."
    case .storage(let message):
      "SQLite failed: \(message); check the disk, then reopen the journal."
    case .failedEarlier:
      "An earlier write failed, so what is durable is unknown; reopen the journal and recover."
    }
  }

  /// What a failure of SQLite means for whoever opened `path`.
  init(_ error: DatabaseError, path: String) {
    switch error.resultCode {
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .inUse(path: path)
    case .SQLITE_CANTOPEN: self = .missing(path: path)
    case .SQLITE_CORRUPT, .SQLITE_NOTADB:
      self = .diverged(
        Divergence(
          sequence: nil, subject: "SQLite file", expected: "a sound database",
          got: error.message ?? "a damaged one"))
    default: self = .storage(error.message ?? "result code \(error.resultCode.rawValue)")
    }
  }
}
