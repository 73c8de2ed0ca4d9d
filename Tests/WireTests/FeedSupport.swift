import CZeroMQ
import Market
import Primitives
import Statements
import Synchronization

@testable import Wire

/// Entries of a journal that no market decided, chained and signed as a broker's are.
struct FakeJournal {
  private(set) var entries: [FeedEntry] = []
  private(set) var hashes: [Digest] = [.zero]

  init(count: Int = 0) { for _ in 0..<count { append() } }

  var head: FeedHead { head(at: entries.count) }

  func head(at sequence: Int) -> FeedHead {
    FeedHead(
      network: network, sequence: UInt64(sequence), hash: hashes[sequence], tick: .zero)
  }

  mutating func append(events: Int = 0) { append(FeedEntry(self, signedBy: brokerKey, events)) }

  private mutating func append(_ entry: FeedEntry) {
    entries.append(entry)
    let acknowledgement = try! Acknowledgement(canonicalBytes: entry.acknowledgement)
    hashes.append(acknowledgement.head)
  }

  mutating func removeLast(_ count: Int) {
    entries.removeLast(count)
    hashes.removeLast(count)
  }

  /// What would come next under another's signature.
  func forged(by key: SigningKey) -> FeedEntry { FeedEntry(self, signedBy: key, 0) }
}

extension FeedEntry {
  fileprivate init(_ journal: FakeJournal, signedBy key: SigningKey, _ events: Int) {
    let sequence = UInt64(journal.entries.count + 1)
    let envelope = Envelope(
      network: network, nonce: .random(), expiry: .never, body: Command.tick.canonicalBytes,
      signedBy: operatorKey)
    let deposit = Event(.deposited(owner: operatorKey.publicKey, amount: .zero))
    let outcome = Outcome.accepted([Event](repeating: deposit, count: events)).canonicalBytes
    let hash = JournalChain.hash(
      after: journal.hashes[journal.entries.count], sequence: sequence, tick: .zero,
      command: envelope.canonicalBytes[...], outcome: outcome[...])
    let word = Acknowledgement.Word(
      network: network, command: envelope.digest, sequence: sequence, tick: .zero, head: hash,
      rejection: nil)
    self.init(
      envelope: envelope.canonicalBytes, outcome: outcome,
      acknowledgement: Acknowledgement.signing([word], with: key)[0].canonicalBytes)
  }
}

/// Answers what a follower of a journal asks, from memory.
final class JournalBroker: WireHandler {
  struct State {
    var journal: FakeJournal
    var pageLimit = 100
    var queries = 0
    /// Entry numbers that are given out changed.
    var damaged: UInt64?
  }
  let state: Mutex<State>

  init(_ journal: FakeJournal) { state = Mutex(State(journal: journal)) }

  func knows(_ identity: PublicKey) async -> Bool { true }

  func query(_ bytes: [UInt8], from peer: Peer) async -> Result<[UInt8], WireRefusal> {
    state.withLock { state in
      state.queries += 1
      let entries = state.journal.entries
      switch try? Query(canonicalBytes: bytes) {
      case .entries(let sequence):
        let rest = entries.dropFirst(Int(clamping: sequence - 1))
        if let large = rest.first, large.byteCount > EntryPage.byteLimit {
          return .success(
            EntryPage(
              last: UInt64(entries.count), entries: [], largeByteCount: UInt64(large.byteCount)
            ).canonicalBytes)
        }
        var page = Array(
          rest.prefix(state.pageLimit).prefix { $0.byteCount <= EntryPage.byteLimit })
        if let damaged = state.damaged, !page.isEmpty, damaged >= sequence,
          damaged < sequence + UInt64(page.count)
        {
          let index = Int(damaged - sequence)
          page[index] = FeedEntry(
            envelope: page[index].envelope, outcome: page[index].outcome + [0],
            acknowledgement: page[index].acknowledgement)
        }
        return .success(EntryPage(last: UInt64(entries.count), entries: page).canonicalBytes)
      case .entryPart(let sequence, let offset):
        let bytes = entries[Int(sequence) - 1].canonicalBytes
        return .success(
          EntryPart(
            offset: offset, bytes: Array(bytes.dropFirst(Int(offset)).prefix(EntryPage.byteLimit))
          ).canonicalBytes)
      default: return .failure(WireRefusal(code: "unknown-query", sentence: "No such query."))
      }
    }
  }

  func take(_ commands: [CommandDelivery]) {
    for command in commands {
      command.answer(.failure(WireRefusal(code: "no-commands", sentence: "Only queries.")))
    }
  }
  func putBlob(_ chunk: BlobChunk, from peer: Peer) async -> Result<UInt64, WireRefusal> {
    .success(0)
  }
  func getBlob(
    _ digest: Digest, offset: UInt64, limit: Int, from peer: Peer
  ) async -> Result<BlobChunk, WireRefusal> {
    .failure(WireRefusal(code: "no-blobs", sentence: "Only queries."))
  }
  func helloAccepted(_ peer: Peer) async {}
}

/// Publishes whatever it is told to under the broker's CURVE key, once somebody has subscribed.
actor RawPublisher {
  private let executor = PollExecutor()
  private let context = ZeroMQContext()
  private var socket: ZeroMQSocket?

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  func start(_ curve: CurveKeyPair) throws -> String {
    let socket = try ZeroMQSocket(ZMQ_XPUB, in: context)
    try socket.set(ZMQ_CURVE_SERVER, 1)
    try socket.set(ZMQ_CURVE_SECRETKEY, bytes: curve.secretKey.bytes)
    try socket.bind("tcp://127.0.0.1:0")
    self.socket = socket
    return try socket.lastEndpoint()
  }

  /// Whether a subscription has come.
  func hasSubscriber() -> Bool { socket?.receive(frameLimit: 1)?.frames.first?.first == 1 }

  func publish(_ frames: [[UInt8]]) {
    for frame in frames { _ = socket?.send([frame]) }
  }
}
