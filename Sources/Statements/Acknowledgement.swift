import MerkleLog
package import Primitives
import Synchronization

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
///
/// Commands that became durable together are signed together: the signature is over the root of the
/// Merkle tree of their words, so that it costs one signature to make and one to check for all of
/// them, and each shows its own word with its path.
@dynamicMemberLookup
package struct Acknowledgement: Hashable, Sendable, CanonicalCodable {
  /// What the broker says of one command.
  package struct Word: Hashable, Sendable, CanonicalCodable {
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

    package init(
      network: NetworkID, command: Digest, sequence: UInt64, tick: Tick, head: Digest,
      rejection: Rejection?
    ) {
      self.network = network
      self.command = command
      self.sequence = sequence
      self.tick = tick
      self.head = head
      self.rejection = rejection
    }

    fileprivate var leafHash: Digest {
      MerkleTree.leafHash(of: Digest.of(self, domain: .acknowledgement))
    }

    package func encode(into encoder: inout CanonicalEncoder) {
      encoder.append(network)
      encoder.append(command)
      encoder.append(sequence)
      encoder.append(tick)
      encoder.append(head)
      encoder.append(rejection)
    }

    package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
      network = try decoder.record()
      command = try decoder.record()
      sequence = try decoder.integer()
      tick = try decoder.record()
      head = try decoder.record()
      rejection = try decoder.optional()
    }
  }

  package let word: Word
  package let broker: PublicKey
  /// Of the word's leaf among those that were signed with it.
  private let inclusion: InclusionProof
  private let signature: Signature

  package subscript<Value>(dynamicMember member: KeyPath<Word, Value>) -> Value {
    word[keyPath: member]
  }

  /// The acknowledgements of `words`, in their order, under one signature.
  package static func signing(_ words: [Word], with key: SigningKey) -> [Acknowledgement] {
    let tree = MerkleTree(leafHashes: words.map(\.leafHash))
    let group = SignedGroup(root: tree.root, size: UInt64(words.count), signedBy: key)
    return words.enumerated().map { index, word in
      Acknowledgement(
        word: word, broker: key.publicKey, inclusion: tree.inclusionProof(of: index),
        signature: group.signature)
    }
  }

  private init(word: Word, broker: PublicKey, inclusion: InclusionProof, signature: Signature) {
    self.word = word
    self.broker = broker
    self.inclusion = inclusion
    self.signature = signature
  }

  package var isAuthentic: Bool {
    guard let root = inclusion.root(leafHash: word.leafHash) else { return false }
    return SignedGroup(root: root, size: inclusion.size, broker: broker, signature: signature)
      .isAuthentic
  }

  /// What the bytes of every acknowledgement of `word` by `broker` begin with; the signature and
  /// what it takes to check it follow.
  package static func encodeOpening(
    of word: Word, by broker: PublicKey, into encoder: inout CanonicalEncoder
  ) {
    encoder.append(word)
    encoder.append(broker)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    Self.encodeOpening(of: word, by: broker, into: &encoder)
    encoder.append(inclusion)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    word = try decoder.record()
    broker = try decoder.record()
    inclusion = try decoder.record()
    signature = try decoder.record()
  }
}

/// What the broker signs: the root of a tree of acknowledgements, and how many there are.
private struct SignedGroup: Hashable {
  let root: Digest
  let size: UInt64
  let broker: PublicKey
  let signature: Signature

  init(root: Digest, size: UInt64, broker: PublicKey, signature: Signature) {
    self.root = root
    self.size = size
    self.broker = broker
    self.signature = signature
  }

  init(root: Digest, size: UInt64, signedBy key: SigningKey) {
    self.init(
      root: root, size: size, broker: key.publicKey,
      signature: key.sign(Self.digest(root, size, key.publicKey)))
  }

  private static func digest(_ root: Digest, _ size: UInt64, _ broker: PublicKey) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(root)
    encoder.append(size)
    encoder.append(broker)
    return Digest.of(encoder.bytes, domain: .acknowledgementGroup)
  }

  /// The groups that were found authentic last, the oldest at `next`: a process that reads many
  /// acknowledgements of a group verifies its signature once.
  private struct Known {
    static let limit = 64
    var groups: [SignedGroup] = []
    var next = 0

    mutating func add(_ group: SignedGroup) {
      if groups.count < Self.limit { groups.append(group) } else { groups[next] = group }
      next = (next + 1) % Self.limit
    }
  }

  private static let known = Mutex(Known())

  var isAuthentic: Bool {
    if Self.known.withLock({ $0.groups.contains(self) }) { return true }
    guard broker.verifies(signature, over: Self.digest(root, size, broker)) else { return false }
    Self.known.withLock { $0.add(self) }
    return true
  }
}
