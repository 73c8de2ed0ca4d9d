import MerkleLog
import Primitives
import Statements
import Testing

struct SignedRecordTests {
  private let samples: Samples

  init() throws { samples = try Samples() }

  /// No flipped bit leaves a signed record both decodable and authentic.
  private func bindsEveryBit<Record: CanonicalCodable>(
    _ record: Record, _ isAuthentic: (Record) -> Bool
  ) {
    #expect(isAuthentic(record))
    let bytes = record.canonicalBytes
    for bit in 0..<bytes.count * 8 {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      if let forged = try? Record(canonicalBytes: flipped) {
        #expect(!isAuthentic(forged), "\(Record.self), bit \(bit)")
      }
    }
  }

  @Test func theCommitmentsSignatureBindsEachField() throws {
    let network = samples.network
    let lease = LeaseID(ordinal: 7)
    let outputs = samples.statement.outputs
    let nonce = Digest.of([9])
    let others = [
      OutputCommitment(
        network: try #require(NetworkID("main")), lease: lease, outputs: outputs,
        nonceCommitment: nonce, signedBy: samples.key),
      OutputCommitment(
        network: network, lease: LeaseID(ordinal: 8), outputs: outputs, nonceCommitment: nonce,
        signedBy: samples.key),
      OutputCommitment(
        network: network, lease: lease, outputs: outputs + outputs, nonceCommitment: nonce,
        signedBy: samples.key),
      OutputCommitment(
        network: network, lease: lease, outputs: outputs, nonceCommitment: .zero,
        signedBy: samples.key),
      OutputCommitment(
        network: network, lease: lease, outputs: outputs, nonceCommitment: nonce,
        signedBy: SigningKey(seed: .zero)),
    ]
    let honest = OutputCommitment(
      network: network, lease: lease, outputs: outputs, nonceCommitment: nonce,
      signedBy: samples.key)
    for other in others {
      #expect(other.isAuthentic)
      // The other record's content under the honest signature.
      let bytes = other.canonicalBytes.dropLast(Signature.count) + honest.signature.bytes
      #expect(try !OutputCommitment(canonicalBytes: bytes).isAuthentic)
    }
    bindsEveryBit(honest) { $0.isAuthentic }
  }

  @Test func theBatchRootsSignatureBindsEachField() {
    bindsEveryBit(samples.batch.signedRoot) { $0.isAuthentic }
  }

  @Test func theAcknowledgementsSignatureBindsEachField() {
    bindsEveryBit(samples.acknowledgement()) { $0.isAuthentic }
    bindsEveryBit(samples.acknowledgement(Rejection(code: "c", sentence: "s"))) { $0.isAuthentic }
    bindsEveryBit(samples.acknowledgement(of: 5)) { $0.isAuthentic }
    bindsEveryBit(samples.acknowledgements(6)[2]) { $0.isAuthentic }
  }

  @Test(arguments: [1, 2, 3, 7, 8, 300])
  func eachAcknowledgementOfAGroupIsAuthenticByItself(count: Int) throws {
    for (index, acknowledgement) in samples.acknowledgements(count).enumerated() {
      #expect(acknowledgement.sequence == UInt64(9 + index))
      #expect(acknowledgement.isAuthentic)
      #expect(acknowledgement.canonicalBytes.count <= 4096)
      #expect(
        try Acknowledgement(canonicalBytes: acknowledgement.canonicalBytes) == acknowledgement)
    }
  }

  @Test func noWordIsAuthenticInAnothersPlace() throws {
    let group = samples.acknowledgements(6)
    let others = samples.acknowledgements(5, Rejection(code: "c", sentence: "s"))
    func forged(_ word: Acknowledgement, in place: Acknowledgement) throws -> Acknowledgement {
      let rest = place.canonicalBytes.dropFirst(place.word.canonicalBytes.count)
      return try Acknowledgement(canonicalBytes: word.word.canonicalBytes + rest)
    }
    #expect(try forged(group[1], in: group[1]).isAuthentic)
    for place in group {
      for word in group where word != place { #expect(try !forged(word, in: place).isAuthentic) }
      for word in others { #expect(try !forged(word, in: place).isAuthentic) }
    }
  }

  @Test func aGroupThatAnotherKeySignedIsNotTheBrokers() throws {
    let honest = samples.acknowledgements(3)
    let forged = Acknowledgement.signing(honest.map(\.word), with: SigningKey(seed: .zero))
    for (one, other) in zip(honest, forged) {
      #expect(one.isAuthentic && other.isAuthentic && one.broker != other.broker)
      // The honest broker's name over the forger's signature.
      let word = one.word.canonicalBytes
      let name = one.broker.canonicalBytes
      let rest = other.canonicalBytes.dropFirst(word.count + name.count)
      #expect(try !Acknowledgement(canonicalBytes: word + name + rest).isAuthentic)
    }
  }

  @Test func aSignatureForOnePurposeIsWorthlessForAnother() throws {
    let root = samples.batch.signedRoot
    let checkpoint = Checkpoint(
      network: samples.network, size: 1, root: root.root, signedBy: samples.key)
    let bytes = root.canonicalBytes.dropLast(Signature.count) + checkpoint.signature.bytes
    #expect(try !BatchRoot(canonicalBytes: bytes).isAuthentic)
  }

  @Test func theRootHoldsForExactlyItsReceipts() throws {
    let receipts = (0..<5).map { index in
      Receipt(statement: samples.statement, proof: Digest.of([UInt8(index)]))
    }
    let honest = Batch(network: samples.network, receipts: receipts, signedBy: samples.key)
    #expect(honest.tree != nil)
    for other in [
      [], Array(receipts.dropLast()), receipts + [receipts[4]], receipts.reversed(),
      [receipts[0], receipts[1], receipts[2], receipts[4], receipts[3]],
    ] {
      #expect(Batch(signedRoot: honest.signedRoot, receipts: other).tree == nil)
    }
  }

  @Test func aSignedFalseRootIsAuthenticButDoesNotHold() {
    let falseRoot = BatchRoot(
      network: samples.network, root: Digest.of([1]), size: 1, signedBy: samples.key)
    let batch = Batch(signedRoot: falseRoot, receipts: [samples.receipt])
    #expect(batch.signedRoot.isAuthentic)
    #expect(batch.tree == nil)
    let falseSize = BatchRoot(
      network: samples.network, root: samples.batch.signedRoot.root, size: 2,
      signedBy: samples.key)
    #expect(Batch(signedRoot: falseSize, receipts: [samples.receipt]).tree == nil)
  }

  @Test func aReceiptIsShownByItsPathAlone() {
    let receipts = (0..<5).map { index in
      Receipt(statement: samples.statement, proof: Digest.of([UInt8(index)]))
    }
    let root = Batch(network: samples.network, receipts: receipts, signedBy: samples.key).signedRoot
    let proof = Batch.tree(receipts).inclusionProof(of: 3)
    #expect(
      proof.verifies(
        leafHash: MerkleTree.leafHash(receipts[3].canonicalBytes), root: root.root))
  }

  /// The shortest receipt of all: the list's bound on what an element needs must not refuse it.
  @Test func decodesABatchOfTheShortestReceipts() throws {
    let shortest = Statement(
      network: try #require(NetworkID("n")), request: .zero, lease: LeaseID(ordinal: 1),
      model: .zero, slice: 0, inputs: [], outputs: [], backend: try #require(BackendID("b")),
      keyRecord: .zero, prover: samples.key.publicKey)
    let receipt = Receipt(statement: shortest, proof: .zero)
    let batch = Batch(network: samples.network, receipts: [receipt], signedBy: samples.key)
    #expect(try Batch(canonicalBytes: batch.canonicalBytes) == batch)
  }

  @Test func refusesABatchAboveItsLimit() {
    let batch = Batch(
      network: samples.network,
      receipts: [Receipt](repeating: samples.receipt, count: Batch.receiptLimit + 1),
      signedBy: samples.key)
    let error = #expect(throws: CanonicalError.self) {
      _ = try Batch(canonicalBytes: batch.canonicalBytes)
    }
    #expect(
      error?.reason
        == .countTooLarge(count: Batch.receiptLimit + 1, limit: Batch.receiptLimit))
  }
}
