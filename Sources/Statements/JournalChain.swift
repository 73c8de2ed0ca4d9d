package import Primitives

/// What links each entry of a journal to all before it. Whoever follows a journal from outside
/// computes it as well, so it stands where the wire can reach it.
package enum JournalChain {
  /// SHA-256 under `journalEntry` over: hash of the entry before (32 bytes), sequence (u64), tick
  /// (u64), counted envelope bytes, counted outcome bytes.
  package static func hash(
    after previous: Digest, sequence: UInt64, tick: Tick, command: ArraySlice<UInt8>,
    outcome: ArraySlice<UInt8>
  ) -> Digest {
    var hasher = SHA256(domain: .journalEntry)
    hasher.update(previous)
    hasher.update(sequence)
    hasher.update(tick.milliseconds)
    hasher.update(UInt32(command.count))
    hasher.update(command)
    hasher.update(UInt32(outcome.count))
    hasher.update(outcome)
    return hasher.finalize()
  }

  /// Entry 0: nothing before it, no command, and the genesis record in the outcome's place.
  package static func hash(ofGenesis record: [UInt8]) -> Digest {
    hash(after: .zero, sequence: 0, tick: .zero, command: [], outcome: record[...])
  }
}
