package import Primitives

/// Why the market rejected a command: journaled, final for the command's digest.
package struct Rejection: CodedError, Hashable, CanonicalCodable {
  /// Stable, kebab-case; listed in `docs/errors.md`.
  package let code: String
  package let sentence: String

  private static let sentenceLimit = 1024

  /// Cuts the sentence at its limit, since it may quote what a stranger sent, and a rejection that
  /// cannot be decoded would spoil the journal that holds it.
  package init(code: String, sentence: String) {
    self.code = code
    var end = sentence.utf8.endIndex
    if sentence.utf8.count > Self.sentenceLimit {
      end = sentence.utf8.index(sentence.utf8.startIndex, offsetBy: Self.sentenceLimit)
      while end.samePosition(in: sentence.unicodeScalars) == nil {
        end = sentence.utf8.index(before: end)
      }
    }
    self.sentence = String(sentence[..<end])
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(code)
    encoder.append(sentence)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    code = try decoder.text(limit: 64)
    sentence = try decoder.text(limit: Self.sentenceLimit)
  }
}

/// The broker's signed word that a command is durable, and what came of it. The stored bytes are
/// returned, unchanged, to every later delivery of the same command.
package struct Acknowledgement: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  /// Digest of the command's envelope.
  package let command: Digest
  /// The command's entry in the journal, from 1.
  package let sequence: UInt64
  package let tick: Tick
  /// Hash of the entry, which chains all before it.
  package let head: Digest
  /// Nil where the command was accepted.
  package let rejection: Rejection?
  package let broker: PublicKey
  package let signature: Signature

  package init(
    network: NetworkID, command: Digest, sequence: UInt64, tick: Tick, head: Digest,
    rejection: Rejection?, signedBy key: SigningKey
  ) {
    self.network = network
    self.command = command
    self.sequence = sequence
    self.tick = tick
    self.head = head
    self.rejection = rejection
    broker = key.publicKey
    signature = key.sign(
      Self.digest(network, command, sequence, tick, head, rejection, key.publicKey))
  }

  package var isAuthentic: Bool {
    broker.verifies(
      signature, over: Self.digest(network, command, sequence, tick, head, rejection, broker))
  }

  private static func digest(
    _ network: NetworkID, _ command: Digest, _ sequence: UInt64, _ tick: Tick, _ head: Digest,
    _ rejection: Rejection?, _ broker: PublicKey
  ) -> Digest {
    var encoder = CanonicalEncoder()
    append(network, command, sequence, tick, head, rejection, broker, into: &encoder)
    return Digest.of(encoder.bytes, domain: .acknowledgement)
  }

  private static func append(
    _ network: NetworkID, _ command: Digest, _ sequence: UInt64, _ tick: Tick, _ head: Digest,
    _ rejection: Rejection?, _ broker: PublicKey, into encoder: inout CanonicalEncoder
  ) {
    encoder.append(network)
    encoder.append(command)
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(head)
    encoder.append(rejection)
    encoder.append(broker)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    Self.append(network, command, sequence, tick, head, rejection, broker, into: &encoder)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    command = try decoder.record()
    sequence = try decoder.integer()
    tick = try decoder.record()
    head = try decoder.record()
    rejection = try decoder.optional()
    broker = try decoder.record()
    signature = try decoder.record()
  }
}
