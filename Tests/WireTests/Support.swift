import Logging
import Primitives
import Statements
import Synchronization
import Testing

@testable import Wire

let network = NetworkID("test")!
let brokerKey = SigningKey(seed: Bytes32([UInt8](repeating: 1, count: 32))!)
let operatorKey = SigningKey(seed: Bytes32([UInt8](repeating: 2, count: 32))!)
let quiet = Logger(label: "wire-tests") { _ in SwiftLogNoOpLogHandler() }

/// A broker reduced to what the wire can see: it acknowledges, stores blobs, and echoes queries.
final class MemoryBroker: WireHandler {
  struct State {
    var acknowledgements: [Digest: [UInt8]] = [:]
    var deliveries = 0
    var blobs: [Digest: [UInt8]] = [:]
    var partial: [Digest: [UInt8]] = [:]
    var chunkBytes = 0
    var greeted: [Peer] = []
    var queriesWaiting: [(bytes: [UInt8], continuation: CheckedContinuation<Void, Never>)] = []
  }
  let state = Mutex(State())
  let holdsQueries: Bool
  let signer: SigningKey
  let accounts: Set<PublicKey>

  init(
    holdsQueries: Bool = false, signer: SigningKey = brokerKey, accounts: Set<PublicKey> = []
  ) {
    (self.holdsQueries, self.signer, self.accounts) = (holdsQueries, signer, accounts)
  }

  func take(_ commands: [CommandDelivery]) {
    for command in commands { command.answer(acknowledgement(of: command.envelope)) }
  }

  private func acknowledgement(of envelope: [UInt8]) -> Result<[UInt8], WireRefusal> {
    guard let envelope = try? Envelope(canonicalBytes: envelope), envelope.isAuthentic else {
      return .failure(WireRefusal(code: "forged-envelope", sentence: "Not authentic."))
    }
    return state.withLock { state in
      state.deliveries += 1
      if let known = state.acknowledgements[envelope.digest] { return .success(known) }
      let rejection =
        envelope.body == [13] ? Rejection(code: "unlucky", sentence: "Not thirteen.") : nil
      let word = Acknowledgement.Word(
        network: network, command: envelope.digest,
        sequence: UInt64(state.acknowledgements.count + 1), tick: .zero, head: .zero,
        rejection: rejection)
      let bytes = Acknowledgement.signing([word], with: signer)[0].canonicalBytes
      state.acknowledgements[envelope.digest] = bytes
      return .success(bytes)
    }
  }

  func putBlob(_ chunk: BlobChunk, from peer: Peer) async -> Result<UInt64, WireRefusal> {
    state.withLock { state in
      if state.blobs[chunk.digest] != nil { return .success(chunk.total) }
      var bytes = state.partial[chunk.digest] ?? []
      guard Int(chunk.offset) == bytes.count else { return .success(UInt64(bytes.count)) }
      bytes += chunk.bytes
      state.chunkBytes += chunk.bytes.count
      guard bytes.count == Int(chunk.total) else {
        state.partial[chunk.digest] = bytes
        return .success(UInt64(bytes.count))
      }
      state.partial[chunk.digest] = nil
      guard Digest.of(bytes) == chunk.digest else {
        return .failure(WireRefusal(code: "wrong-digest", sentence: "Other bytes."))
      }
      state.blobs[chunk.digest] = bytes
      return .success(chunk.total)
    }
  }

  func getBlob(
    _ digest: Digest, offset: UInt64, limit: Int, from peer: Peer
  ) async -> Result<BlobChunk, WireRefusal> {
    state.withLock { state in
      guard let bytes = state.blobs[digest], Int(offset) <= bytes.count else {
        return .failure(WireRefusal(code: "unknown-blob", sentence: "No such blob."))
      }
      return .success(
        BlobChunk(
          digest: digest, total: UInt64(bytes.count), offset: offset,
          bytes: Array(bytes.dropFirst(Int(offset)).prefix(limit))))
    }
  }

  func query(_ bytes: [UInt8], from peer: Peer) async -> Result<[UInt8], WireRefusal> {
    if holdsQueries {
      await withCheckedContinuation { continuation in
        state.withLock { $0.queriesWaiting.append((bytes, continuation)) }
      }
    }
    return .success(bytes.reversed() + (peer.identity?.bytes ?? []))
  }

  func helloAccepted(_ peer: Peer) async { state.withLock { $0.greeted.append(peer) } }

  func knows(_ identity: PublicKey) async -> Bool { accounts.contains(identity) }

  func releaseQueries() {
    let waiting = state.withLock { state in
      defer { state.queriesWaiting = [] }
      return state.queriesWaiting
    }
    for query in waiting { query.continuation.resume() }
  }
}

func server(
  _ handler: any WireHandler, endpoint: String = "tcp://127.0.0.1:0",
  curve: CurveKeyPair = .random(), limits: WireLimits = WireLimits(),
  admission: Admission = .anyone
) -> WireServer {
  WireServer(
    endpoint: endpoint, curve: curve, network: network, brokerKey: brokerKey.publicKey,
    operatorKey: operatorKey.publicKey, limits: limits, admission: admission, logger: quiet,
    handler: handler)
}

func client(
  _ card: BrokerCard, _ identity: SigningKey? = .random(), curve: CurveKeyPair? = nil
) -> WireClient {
  WireClient(card: card, identity: identity, curve: curve, logger: quiet)
}

func envelope(_ body: [UInt8], _ key: SigningKey = .random()) -> Envelope {
  Envelope(network: network, nonce: .random(), expiry: .never, body: body, signedBy: key)
}

/// Polls a condition until it holds; a condition that never does fails the test after a minute.
func eventually(
  _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async rethrows {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if try await condition() { return }
    try? await Task.sleep(for: .milliseconds(5))
  }
  Issue.record(what, sourceLocation: sourceLocation)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same garbage.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
