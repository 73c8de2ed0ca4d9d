import DequeModule
import Journal
import Primitives
import Wire

/// The journal as strangers see it: published as it grows, and given out again to whoever missed a
/// part. It runs beside the sequencer; what it cannot keep up with, it leaves out, and fetches from
/// the journal when somebody asks.
actor JournalFeed {
  /// Entries kept in memory for subscribers that missed some.
  private static let recentLimit = 1 << 16
  private static let recentByteLimit = 16 << 20
  /// Groups that wait to be published.
  private static let groupLimit = 256
  /// Rows of one read from the disk.
  private static let rowLimit = 256

  private let sequencer: Sequencer
  private let server: FeedServer
  /// The latest entries, without a gap; the last is that of sequence `last`.
  private var recent = Deque<FeedEntry>()
  private var recentBytes = 0
  private var last: UInt64 = 0

  init(sequencer: Sequencer, server: FeedServer) {
    self.sequencer = sequencer
    self.server = server
  }

  /// What is committed from now on, for `follow`.
  func start() async -> AsyncStream<Sequencer.Committed> {
    let commits = await sequencer.commits(groupLimit: Self.groupLimit)
    let head = await sequencer.feedHead()
    last = head.sequence
    await server.publish([], head: head)
    return commits
  }

  /// Publishes each group of entries once it is durable.
  func follow(_ commits: AsyncStream<Sequencer.Committed>) async {
    for await group in commits {
      let entries = group.written.map {
        FeedEntry(
          envelope: $0.command, outcome: $0.outcome, acknowledgement: $0.acknowledgement)
      }
      guard let newest = group.entries.last, group.lastSequence > last else { continue }
      keep(entries, from: group.firstSequence)
      await server.publish(
        entries,
        head: FeedHead(
          network: newest.envelope.network, sequence: group.lastSequence, hash: group.head,
          tick: newest.tick))
    }
  }

  private func keep(_ entries: [FeedEntry], from first: UInt64) {
    if first != last + 1 { (recent, recentBytes) = ([], 0) }
    for entry in entries {
      recent.append(entry)
      recentBytes += entry.byteCount
    }
    last = first + UInt64(entries.count) - 1
    while recent.count > Self.recentLimit || recentBytes > Self.recentByteLimit,
      let oldest = recent.popFirst()
    {
      recentBytes -= oldest.byteCount
    }
  }

  // MARK: What is asked for again

  /// One page of entries from `sequence` on.
  func entries(from sequence: UInt64) async throws -> EntryPage {
    guard sequence > 0, sequence <= last else { return EntryPage(last: last, entries: []) }
    var bytes = 0
    let candidates = try await candidates(from: sequence)
    let entries = candidates.prefix { entry in
      bytes += entry.byteCount
      return bytes <= EntryPage.byteLimit
    }
    return EntryPage(
      last: last, entries: Array(entries),
      largeByteCount: entries.isEmpty ? UInt64(candidates.first?.byteCount ?? 0) : 0)
  }

  /// A part of an entry that is larger than a page.
  func part(of sequence: UInt64, from offset: UInt64) async throws -> EntryPart {
    guard sequence > 0, sequence <= last, let entry = try await candidates(from: sequence).first
    else { throw JournalError.unknownSequence(sequence, size: last + 1) }
    let bytes = entry.canonicalBytes
    let start = Int(min(offset, UInt64(bytes.count)))
    return EntryPart(
      offset: offset, bytes: Array(bytes[start...].prefix(EntryPage.byteLimit)))
  }

  /// At least one entry, and a page of them where there are so many.
  private func candidates(from sequence: UInt64) async throws -> [FeedEntry] {
    let oldest = last + 1 - UInt64(recent.count)
    if sequence >= oldest {
      return Array(recent.dropFirst(Int(sequence - oldest)).prefix(Self.rowLimit * 4))
    }
    return try await sequencer.entries(
      from: sequence, limit: Self.rowLimit, byteLimit: EntryPage.byteLimit
    ).map {
      FeedEntry(
        envelope: Array($0.command), outcome: Array($0.outcome),
        acknowledgement: Array($0.acknowledgement ?? []))
    }
  }
}
