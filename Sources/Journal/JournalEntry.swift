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
  package let commandDigest: [UInt8]
  /// The envelope's bytes.
  package let command: [UInt8]
  /// Canonical bytes of `Outcome`.
  package let outcome: [UInt8]
  package let hash: [UInt8]
  /// Nil where the table has none.
  package let acknowledgement: [UInt8]?
}

extension StoredEntry: CanonicalCodable {
  /// Entries longer than this are refused: an envelope is at most 2^20 bytes, and what one command
  /// may cause is bounded by the market.
  static let byteLimit = 1 << 28

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(counted: commandDigest)
    encoder.append(counted: command)
    encoder.append(counted: outcome)
    encoder.append(counted: hash)
    encoder.append(counted: acknowledgement ?? [])
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    sequence = try decoder.integer()
    tick = try decoder.record()
    commandDigest = try decoder.counted(limit: Bytes32.count)
    command = try decoder.counted(limit: Self.byteLimit)
    outcome = try decoder.counted(limit: Self.byteLimit)
    hash = try decoder.counted(limit: Bytes32.count)
    let bytes = try decoder.counted(limit: Self.byteLimit)
    acknowledgement = bytes.isEmpty ? nil : bytes
  }
}

/// The rows of `postings` of one entry as the database holds them, one after another in one piece
/// of memory.
package struct StoredPostings: Equatable, Sendable {
  package private(set) var count = 0
  private var encoder = CanonicalEncoder()

  package init() {}

  /// What an entry of this outcome must have.
  package init(of outcome: Outcome) {
    guard case .accepted(let events) = outcome else { return }
    for index in events.indices {
      for posting in events[index].postings {
        encoder.append(Int64(count))
        encoder.append(posting.delta)
        encoder.append(counted: posting.account)
        count += 1
      }
    }
  }

  mutating func append(line: Int64, account: UnsafeRawBufferPointer, delta: Int64) {
    count += 1
    encoder.append(line)
    encoder.append(delta)
    encoder.append(counted: account)
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.encoder.bytes == right.encoder.bytes
  }

  /// Each in words.
  package var lines: [String] {
    var lines: [String] = []
    var decoder = CanonicalDecoder(encoder.bytes)
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
