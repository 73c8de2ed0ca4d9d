package import FixedPoint
package import Primitives

/// All that a verifier must know of a slice: its program, weights included, and the parameters. The
/// circuit follows from it.
package struct VerifierKey: Hashable, Sendable, CanonicalCodable {
  package static let version: UInt8 = 1

  package let program: Program
  package let parameters: Parameters

  package init(program: Program, parameters: Parameters) {
    (self.program, self.parameters) = (program, parameters)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(Self.version)
    encoder.append(parameters)
    encoder.append(program)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder
    guard try decoder.integer(UInt8.self) == Self.version else {
      throw start.failure(.invalid("the key is of another version of sumcheck"))
    }
    parameters = try decoder.record()
    program = try decoder.record()
  }
}

extension Circuit {
  /// What the key says, hashed: the program by its canonical bytes, in the form it is proven in,
  /// and the parameters.
  var digest: [UInt8] {
    Blake3.hash(VerifierKey(program: program, parameters: parameters).canonicalBytes).hash
  }

  /// The transcript of a statement. Digests of the tensors are computed here, by both sides.
  func transcript(
    digest: [UInt8], inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8]
  ) -> Transcript {
    var transcript = Transcript(purpose: "bourse/sumcheck/transcript/1")
    transcript.absorb(digest)
    transcript.absorb(Blake3.hash(context).hash)
    for tensor in inputs + outputs { transcript.absorb(Blake3.hash(tensor).hash) }
    return transcript
  }
}
