package import Market
package import Primitives
package import Statements

/// The feed is the journal itself, as it grows (`docs/protocol.md`): what the broker publishes for
/// everyone, under the sequence numbers of the journal.
package enum Feed {
  /// A larger entry is announced by a head only, and asked for: what waits for a subscriber that is
  /// behind stays bounded.
  package static let entryByteLimit = 64 << 10
  /// Messages that wait for a subscriber that is behind. Above that it misses some, and asks.
  static let messageLimit: Int32 = 2048
  /// How often the head is published where nothing happens.
  static let heartbeatInterval = Duration.seconds(1)
}

/// An entry of the journal as it travels: bytes that nobody has looked into.
package struct FeedEntry: Hashable, Sendable {
  package let envelope: [UInt8]
  /// Canonical bytes of `Outcome`.
  package let outcome: [UInt8]
  /// Of `Acknowledgement`: the broker's signature over the entry's place in the chain.
  package let acknowledgement: [UInt8]

  package init(envelope: [UInt8], outcome: [UInt8], acknowledgement: [UInt8]) {
    self.envelope = envelope
    self.outcome = outcome
    self.acknowledgement = acknowledgement
  }

  package var byteCount: Int { envelope.count + outcome.count + acknowledgement.count + 12 }
}

/// The end of a journal: everything up to `sequence` is in its `hash`.
package struct FeedHead: Hashable, Sendable {
  package let network: NetworkID
  /// Of the last entry; 0 for the genesis.
  package let sequence: UInt64
  package let hash: Digest
  /// When this was so, by the broker's clock.
  package let tick: Tick

  package init(network: NetworkID, sequence: UInt64, hash: Digest, tick: Tick) {
    self.network = network
    self.sequence = sequence
    self.hash = hash
    self.tick = tick
  }
}

/// What a subscriber receives: one frame each.
package enum FeedMessage: Hashable, Sendable {
  case entry(FeedEntry)
  /// How far the journal goes; whoever has less has missed something.
  case head(FeedHead)
}

/// Entries in order, as asked for.
package struct EntryPage: Hashable, Sendable {
  /// Bytes of entries in one page, and of one part of an entry that is larger than a page.
  package static let byteLimit = 256 << 10

  /// The last entry that the broker has.
  package let last: UInt64
  /// From the sequence that was asked for; none beyond the last, or where the first is too large.
  package let entries: [FeedEntry]
  /// Size of the first entry, where it is larger than a page: it must be asked for in parts.
  package let largeByteCount: UInt64

  package init(last: UInt64, entries: [FeedEntry], largeByteCount: UInt64 = 0) {
    self.last = last
    self.entries = entries
    self.largeByteCount = largeByteCount
  }
}

/// Bytes of an entry's encoding.
package struct EntryPart: Hashable, Sendable {
  package let offset: UInt64
  package let bytes: [UInt8]

  package init(offset: UInt64, bytes: [UInt8]) { (self.offset, self.bytes) = (offset, bytes) }
}

/// An entry whose place in the chain has been checked: what was asked, by whom, and what came of
/// it.
package struct FollowedEntry: Sendable {
  package let envelope: Envelope
  package let command: Command
  package let outcome: Outcome
  package let acknowledgement: Acknowledgement

  package var sequence: UInt64 { acknowledgement.sequence }
  package var tick: Tick { acknowledgement.tick }
  package var author: PublicKey { envelope.author }

  /// Opens the entry that follows the one whose hash is `previous`.
  ///
  /// - Throws: `divergedFeed` where it is another, or does not follow.
  init(
    _ entry: FeedEntry, after previous: Digest, sequence: UInt64, network: NetworkID
  ) throws(FeedError) {
    do {
      acknowledgement = try Acknowledgement(canonicalBytes: entry.acknowledgement)
      guard acknowledgement.sequence == sequence, acknowledgement.network == network else {
        throw FeedError.diverged(sequence, "its acknowledgement is of another entry")
      }
      let hash = JournalChain.hash(
        after: previous, sequence: sequence, tick: acknowledgement.tick,
        command: entry.envelope[...], outcome: entry.outcome[...])
      guard hash == acknowledgement.head else {
        throw FeedError.diverged(sequence, "it does not follow the entry before it")
      }
      envelope = try Envelope(canonicalBytes: entry.envelope)
      guard envelope.digest == acknowledgement.command else {
        throw FeedError.diverged(sequence, "its acknowledgement is of another command")
      }
      command = try Command(canonicalBytes: envelope.body)
      outcome = try Outcome(canonicalBytes: entry.outcome)
    } catch let error as FeedError {
      throw error
    } catch {
      throw .diverged(sequence, "\(error)")
    }
  }
}

package enum FeedError: CodedError, Equatable {
  case none
  case diverged(UInt64, String)
  case rewound(had: UInt64, has: UInt64)

  package var code: String {
    switch self {
    case .none: "no-feed"
    case .diverged: "feed-diverged"
    case .rewound: "feed-rewound"
    }
  }

  package var sentence: String {
    switch self {
    case .none:
      "The broker's card names no feed; ask the operator for a card of a broker that publishes one."
    case .diverged(let sequence, let why):
      "Entry \(sequence) of the broker's journal cannot be trusted: \(why); keep what you have of it and replay an export."
    case .rewound(let had, let has):
      "The broker had \(had) entries and now has \(has): it has lost a part of its journal; keep what you have of it and ask the operator."
    }
  }
}

// MARK: Codec

extension FeedEntry: CanonicalCodable {
  /// An envelope is at most 2^20 bytes; what one command causes is bounded by the market.
  static let byteLimit = 1 << 28

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(counted: envelope)
    encoder.append(counted: outcome)
    encoder.append(counted: acknowledgement)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    envelope = try decoder.counted(limit: Frame.envelopeLimit)
    outcome = try decoder.counted(limit: Self.byteLimit)
    acknowledgement = try decoder.counted(limit: Frame.acknowledgementLimit)
  }
}

extension FeedHead: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(sequence)
    encoder.append(hash)
    encoder.append(tick)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    sequence = try decoder.integer()
    hash = try decoder.record()
    tick = try decoder.record()
  }
}

extension FeedMessage {
  package var frame: [UInt8] {
    var encoder = CanonicalEncoder()
    encoder.append(Frame.version)
    switch self {
    case .entry(let entry):
      encoder.append(UInt8(1))
      encoder.append(entry)
    case .head(let head):
      encoder.append(UInt8(2))
      encoder.append(head)
    }
    return encoder.finish()
  }

  package static func read(_ frame: [UInt8]) throws(CanonicalError) -> FeedMessage {
    var decoder = CanonicalDecoder(frame)
    let version = try decoder.integer(UInt8.self)
    guard version == Frame.version else {
      throw decoder.failure(.unknownTag(version, of: "Frame.version"))
    }
    let message: FeedMessage
    switch try decoder.integer(UInt8.self) {
    case 1: message = .entry(try decoder.record())
    case 2: message = .head(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "FeedMessage"))
    }
    try decoder.finish()
    return message
  }
}

extension EntryPage: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(last)
    encoder.append(entries)
    encoder.append(largeByteCount)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    last = try decoder.integer()
    entries = try decoder.list(limit: Frame.answerLimit / 12, elementSize: 12)
    largeByteCount = try decoder.integer()
  }
}

extension EntryPart: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(offset)
    encoder.append(counted: bytes)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    offset = try decoder.integer()
    bytes = try decoder.counted(limit: EntryPage.byteLimit)
  }
}
