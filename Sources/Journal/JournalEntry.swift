import Glibc
package import Market
package import Primitives

/// A decided command on its way into the journal.
package struct PendingEntry: Sendable {
  package let envelope: Envelope
  package let tick: Tick
  package let outcome: Outcome

  package init(envelope: Envelope, tick: Tick, outcome: Outcome) {
    self.envelope = envelope
    self.tick = tick
    self.outcome = outcome
  }
}

/// An entry that is durable: the bytes that were written.
package struct WrittenEntry: Sendable {
  /// The envelope's.
  package let command: [UInt8]
  /// Of `Outcome`.
  package let outcome: [UInt8]
  /// Of `Acknowledgement`: what its author is answered.
  package let acknowledgement: [UInt8]
}

/// An entry as the database holds it: bytes that nobody has checked yet.
package struct StoredEntry: Sendable {
  package let sequence: UInt64
  package let tick: Tick
  package let commandDigest: Digest
  package let hash: Digest
  /// Command, outcome and acknowledgement, one after another.
  private let bytes: [UInt8]
  private let commandEnd: Int
  private let outcomeEnd: Int
  private let hasAcknowledgement: Bool

  init(
    sequence: UInt64, tick: Tick, commandDigest: Digest, command: some Collection<UInt8>,
    outcome: some Collection<UInt8>, hash: Digest, acknowledgement: (some Collection<UInt8>)?
  ) {
    self.sequence = sequence
    self.tick = tick
    self.commandDigest = commandDigest
    self.hash = hash
    commandEnd = command.count
    outcomeEnd = commandEnd + outcome.count
    hasAcknowledgement = acknowledgement != nil
    var bytes: [UInt8] = []
    bytes.reserveCapacity(outcomeEnd + (acknowledgement?.count ?? 0))
    bytes += command
    bytes += outcome
    if let acknowledgement { bytes += acknowledgement }
    self.bytes = bytes
  }

  /// The envelope's bytes.
  package var command: ArraySlice<UInt8> { bytes[..<commandEnd] }
  /// Canonical bytes of `Outcome`.
  package var outcome: ArraySlice<UInt8> { bytes[commandEnd..<outcomeEnd] }
  /// Nil where the table has none.
  package var acknowledgement: ArraySlice<UInt8>? {
    hasAcknowledgement ? bytes[outcomeEnd...] : nil
  }
}

extension StoredEntry: CanonicalCodable {
  /// Entries longer than this are refused: an envelope is at most 2^20 bytes, and what one command
  /// may cause is bounded by the market.
  static let byteLimit = 1 << 28

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(counted: commandDigest.bytes)
    encoder.append(counted: command)
    encoder.append(counted: outcome)
    encoder.append(counted: hash.bytes)
    encoder.append(counted: acknowledgement ?? [])
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let sequence = try decoder.integer(UInt64.self)
    let tick = try decoder.record(Tick.self)
    let commandDigest = try decoder.countedDigest()
    let command = try decoder.countedSlice(limit: Self.byteLimit)
    let outcome = try decoder.countedSlice(limit: Self.byteLimit)
    let hash = try decoder.countedDigest()
    let acknowledgement = try decoder.countedSlice(limit: Self.byteLimit)
    self.init(
      sequence: sequence, tick: tick, commandDigest: commandDigest, command: command,
      outcome: outcome, hash: hash,
      acknowledgement: acknowledgement.isEmpty ? nil : acknowledgement)
  }
}

extension CanonicalDecoder {
  /// A digest that its count precedes.
  fileprivate mutating func countedDigest() throws(CanonicalError) -> Digest {
    let start = offset
    guard try count(limit: Bytes32.count, elementSize: 1) == Bytes32.count else {
      throw failure(.invalid("a digest has another count than 32 bytes"), at: start)
    }
    return try record()
  }
}

/// The rows of `postings` of consecutive entries as the database holds them, one after another in
/// one piece of memory.
package struct StoredPostings: Sendable {
  private var encoder = CanonicalEncoder()
  /// Where each entry's end.
  private var ends: [Int] = []

  package init() {}

  mutating func append(line: Int64, account: UnsafeRawBufferPointer, delta: Int64) {
    encoder.append(line)
    encoder.append(delta)
    encoder.append(counted: account)
  }

  /// What comes next is of the next entry.
  mutating func endEntry() { ends.append(encoder.count) }

  /// In the place of all that it holds, what one entry of this outcome must have.
  package mutating func replace(with outcome: Outcome) {
    encoder.removeAll()
    ends.removeAll(keepingCapacity: true)
    var line: Int64 = 0
    if case .accepted(let events) = outcome {
      for index in events.indices {
        for posting in events[index].postings {
          encoder.append(line)
          encoder.append(posting.delta)
          encoder.append(counted: posting.account)
          line += 1
        }
      }
    }
    endEntry()
  }

  /// Whether two entries have the same rows.
  package func agree(_ index: Int, with other: Self, _ otherIndex: Int) -> Bool {
    encoder.bytes[range(of: index)].equals(other.encoder.bytes[other.range(of: otherIndex)])
  }

  private func range(of index: Int) -> Range<Int> {
    (index == 0 ? 0 : ends[index - 1])..<ends[index]
  }

  /// Those of one entry, each in words.
  package func lines(of index: Int) -> [String] {
    var lines: [String] = []
    var decoder = CanonicalDecoder(encoder.bytes[range(of: index)])
    while let line = try? decoder.integer(Int64.self), let delta = try? decoder.integer(Int64.self),
      let account = try? decoder.counted(limit: .max)
    {
      lines.append("line \(line) of \(delta) to account \(Hexadecimal.text(account))")
    }
    return lines
  }
}

extension Outcome {
  /// All lines of all events, in order; none of a rejection.
  package var postings: [Posting] {
    switch self {
    case .accepted(let events): events.flatMap(\.postings)
    case .rejected: []
    }
  }
}

extension ArraySlice<UInt8> {
  /// What `==` says, which looks at one byte after the other.
  package func equals(_ other: ArraySlice<UInt8>) -> Bool {
    guard count == other.count else { return false }
    return withUnsafeBytes { left in
      other.withUnsafeBytes { right in
        guard let left = left.baseAddress, let right = right.baseAddress else { return true }
        return memcmp(left, right, count) == 0
      }
    }
  }
}
