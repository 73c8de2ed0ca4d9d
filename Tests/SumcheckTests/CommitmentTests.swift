import FixedPoint
import Testing

@testable import Sumcheck

/// The committed matrix, its columns and paths, and how elements are written.
@Suite struct CommitmentTests {
  private static let run: Run? = try? Run(
    SmallProgram.chain([1, 3], [SmallProgram.matrix(2, columns: 3), .relu(Relu())]), seed: 2)

  /// p and above in place of every element in turn: challenges, claims, combination, columns.
  @Test func refusesElementsOfPAndAbove() throws {
    let run = try #require(Self.run)
    let proof = try run.prove()
    for part in ProofMap(run.circuit, length: proof.count).parts where part.kind.holdsElements {
      for place in [part.range.lowerBound, part.range.upperBound - 8] {
        for value in [Goldilocks.modulus, .max] {
          var changed = proof
          withUnsafeBytes(of: value.littleEndian) {
            changed.replaceSubrange(place..<place + 8, with: $0)
          }
          #expect(run.refusal(changed) == .element, "\(part.kind) at \(place)")
        }
      }
    }
  }

  /// The map names every byte of a proof once.
  @Test(arguments: ModeTests.options)
  func mapsEveryByte(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    let proof = try run.prove()
    let parts = try ProofMap(run.key, length: proof.count).parts
    #expect(parts.first?.range.lowerBound == 0)
    #expect(parts.last?.range.upperBound == proof.count)
    #expect(zip(parts, parts.dropFirst()).allSatisfy { $0.range.upperBound == $1.range.lowerBound })
  }

  /// One sibling more or fewer, two exchanged, and a leaf in an inner node's place.
  @Test func refusesPathsOfAnotherDepth() throws {
    let run = try #require(Self.run)
    let proof = try run.prove()
    let siblings = try #require(
      ProofMap(run.circuit, length: proof.count).parts.first { $0.kind == .siblings }?.range)
    var changed = proof
    changed.removeSubrange(siblings.upperBound - 32..<siblings.upperBound)
    #expect(run.refusal(changed) == .length)
    changed = proof
    changed.insert(
      contentsOf: proof[siblings.lowerBound..<siblings.lowerBound + 32], at: siblings.upperBound)
    #expect(run.refusal(changed) == .length)
    let (first, last) = (siblings.lowerBound, siblings.upperBound - 32)
    changed = proof
    changed.replaceSubrange(first..<first + 32, with: proof[last..<last + 32])
    changed.replaceSubrange(last..<last + 32, with: proof[first..<first + 32])
    #expect(run.refusal(changed) == .merklePath)
    changed = proof
    changed.replaceSubrange(last..<last + 32, with: proof[..<32])
    #expect(run.refusal(changed) == .merklePath)
  }

  /// A column twice: positions are drawn, and drawn distinct, so the second one is at another.
  @Test func refusesAColumnOpenedTwice() throws {
    let run = try #require(Self.run)
    let proof = try run.prove()
    let columns = try #require(
      ProofMap(run.circuit, length: proof.count).parts.first { $0.kind == .columns }?.range)
    let size = 8 * run.circuit.rowCount
    for place in [0, 1, run.circuit.parameters.queryCount - 2] {
      var changed = proof
      let (from, to) = (
        columns.lowerBound + place * size, columns.lowerBound + (place + 1) * size
      )
      changed.replaceSubrange(to..<to + size, with: proof[from..<from + size])
      #expect(run.refusal(changed) == .codeword)
    }
  }

  /// Another matrix than the claims are about: an opening of the witness is no opening of it.
  @Test func refusesAnotherMatrix() throws {
    let run = try #require(Self.run)
    for (row, change) in [(0, Goldilocks.one), (run.circuit.rowCount - 1, Goldilocks(-5))] {
      var plain = try PlainProver(run)
      plain.committedRows = { rows in
        var rows = rows
        rows[row][17] = rows[row][17] + change
        return rows
      }
      #expect(run.refusal(plain.prove(run.transcript)) == .codeword)
    }
  }

  /// Challenges that are drawn before what they challenge: a prover that knows them draws the same
  /// ones only by the same messages.
  @Test func refusesChallengesDrawnBeforeTheirCommitments() throws {
    let run = try #require(Self.run)
    var plain = try PlainProver(run)
    var early = run.transcript
    let known = (early.challenge(), early.challenge())
    plain.lookupChallenges = { _ in known }
    #expect(run.refusal(plain.prove(run.transcript)) != nil)
    plain.lookupChallenges = { ($0.1, $0.0) }
    #expect(run.refusal(plain.prove(run.transcript)) != nil)
    // The transcript of another statement, of none, and one that has absorbed a byte more.
    var other = run
    other.context[0] ^= 1
    var longer = run.transcript
    longer.absorb([0])
    for transcript in [
      other.transcript, Transcript(purpose: "bourse/sumcheck/transcript/1"), longer,
    ] {
      #expect(try run.refusal(PlainProver(run).prove(transcript)) != nil)
    }
  }

  /// Parameters are the key's: proofs made with others are of another length, or another code.
  @Test func readsNoParametersFromAProof() throws {
    let program = try SmallProgram.chain(
      [1, 3], [SmallProgram.matrix(2, columns: 3), .relu(Relu())])
    let all = [8, 9].flatMap { messageLog in
      [1, 2].map { Parameters(limbBits: 8, messageLog: messageLog, rateLog: $0) }
    }
    let runs = try all.map { try Run(program, seed: 2, $0) }
    let proofs = try runs.map { try $0.prove() }
    for (index, run) in runs.enumerated() {
      for (other, proof) in proofs.enumerated() {
        #expect((run.refusal(proof) == nil) == (index == other))
      }
    }
  }
}
