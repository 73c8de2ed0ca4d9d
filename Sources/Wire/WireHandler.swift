package import Primitives

/// One connection as a handler sees it.
package struct Peer: Hashable, Sendable {
  /// Distinguishes connections for the life of the server.
  package let connection: UInt64
  package let curveKey: Bytes32
  /// Nil until a hello was accepted.
  package let identity: PublicKey?
}

/// A command that came, and the way back of its answer.
package struct CommandDelivery: Sendable {
  /// Bytes that nobody has looked into.
  package let envelope: [UInt8]
  /// Takes the acknowledgement's bytes, the same for every delivery of the same envelope. To be
  /// called once, from any thread.
  package let answer: @Sendable (Result<[UInt8], WireRefusal>) -> Void
}

/// What a broker does with well-formed messages. Calls come concurrently, off the poll thread, at
/// most `WireLimits` of them at a time; one message may be delivered more than once, so every call
/// must be idempotent.
package protocol WireHandler: Sendable {
  /// Takes commands that arrived together. It answers each as soon as that is durable or refused,
  /// perhaps after it has returned, and does not wait itself.
  func take(_ commands: [CommandDelivery])
  /// The offset at which the next chunk is wanted; the blob's total once all of it is stored.
  func putBlob(_ chunk: BlobChunk, from peer: Peer) async -> Result<UInt64, WireRefusal>
  func getBlob(
    _ digest: Digest, offset: UInt64, limit: Int, from peer: Peer
  ) async -> Result<BlobChunk, WireRefusal>
  func query(_ bytes: [UInt8], from peer: Peer) async -> Result<[UInt8], WireRefusal>
  func helloAccepted(_ peer: Peer) async
  /// Whether the key is one of the exchange's own or has an account: strangers make way for it.
  func knows(_ identity: PublicKey) async -> Bool
}

/// Bounds of a `WireServer`. Bytes in flight count a message and the largest answer it may bring.
package struct WireLimits: Sendable {
  /// Where there are as many, the stranger that has been silent the longest makes way for the next.
  package var peers = 1024
  package var requestsPerPeer = 64
  package var bytesPerPeer = 32 << 20
  package var requests = 1024
  package var bytes = 256 << 20
  /// Answers that wait for a slow reader; above it the peer is forgotten.
  package var backlogBytesPerPeer = 4 << 20
  /// A peer that is silent for longer is forgotten; clients repeat their hello every 20 s.
  package var idleLimit = Duration.seconds(60)
  /// How long a shutdown waits for requests in flight.
  package var shutdownGrace = Duration.seconds(2)

  package init() {}
}
