import Primitives
import ProverHost
import Statements
import Testing
import Verdicts

extension ExchangeTests {
  /// `invalid` takes a stake, so two processes have to say it.
  @Suite(.serialized) struct SecondWordTests {}
}

extension ExchangeTests.SecondWordTests {
  private static let input: [UInt8] = Array(0..<16)

  private static func slice() throws -> Manifest.Slice {
    let ends = try ["x", "y"].map { name in
      try #require(
        BoundarySpecification(name: name, elementType: .int16, shape: [8], exponent: 0))
    }
    return Manifest.Slice(
      name: "copy", onnx: Digest.of([]), program: Digest.of([]), sources: [.input(0)],
      inputs: [ends[0]], outputs: [ends[1]], cost: Cost(units: 1))
  }

  /// A job on a slice that copies its input.
  private static func job(
    _ purpose: VerificationPurpose, committing output: [UInt8]
  ) -> VerificationJob {
    let record = KeyRecord(
      model: .zero, slice: 0, backend: .reexec, backendVersion: "1", plugin: .zero,
      verifierKey: Digest.of([]))
    return VerificationJob(
      statement: Statement(
        network: network, request: .zero, lease: LeaseID(ordinal: 1), model: .zero, slice: 0,
        inputs: [Digest.of(input)], outputs: [Digest.of(output)], backend: .reexec,
        keyRecord: record.digest, prover: SigningKey.random().publicKey),
      purpose: purpose, attempt: 1, proof: Digest.of([]), keyRecord: record)
  }

  private struct Blobs: BlobSource {
    func read(_ digest: Digest) async throws -> [UInt8] {
      digest == Digest.of(ExchangeTests.SecondWordTests.input)
        ? ExchangeTests.SecondWordTests.input : []
    }
  }

  @Test(arguments: [
    VerificationPurpose.audit, .challenge, .late, .fallback, .unprovable, .rangeFault,
  ])
  func reexecutionThatAFreshProcessContradictsConvictsNobody(
    _ purpose: VerificationPurpose
  ) async throws {
    let slice = try Self.slice()
    let backend = try await SharedBackend.forgetfulReexec()
    let verifier = Verifier([backend], reading: Blobs())
    let wrong = Self.job(purpose, committing: [UInt8](repeating: 7, count: 16))
    let right = Self.job(purpose, committing: Self.input)
    // A process that has run nothing: both say that it is wrong.
    #expect(try await verifier.verify(wrong, of: slice).verdict == .invalid)
    // From now on it errs, and the fresh one does not.
    for job in [wrong, right] {
      let found = try await verifier.verify(job, of: slice)
      #expect(found.verdict == .inconclusive)
      #expect(found.reason == "a fresh process has another result")
    }
    await backend.close()
  }
}
