package import Primitives
package import Statements

/// The tensors that enter and leave a slice, in the slice's order.
package struct Boundaries: Hashable, Sendable, CanonicalCodable {
  package let inputs: [BoundarySpecification]
  package let outputs: [BoundarySpecification]

  package init(inputs: [BoundarySpecification], outputs: [BoundarySpecification]) {
    (self.inputs, self.outputs) = (inputs, outputs)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(inputs)
    encoder.append(outputs)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    inputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: 10)
    outputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: 10)
  }
}

/// All that a backend gets to know of a slice.
package struct SliceBundle: Hashable, Sendable, CanonicalCodable {
  /// The slice as an ONNX model of its own.
  package let onnx: [UInt8]
  /// The canonical bytes of its `fixed16/1` program; empty under a foreign semantics.
  package let program: [UInt8]
  package let boundaries: Boundaries

  package init(onnx: [UInt8], program: [UInt8], boundaries: Boundaries) {
    self.onnx = onnx
    self.program = program
    self.boundaries = boundaries
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(counted: onnx)
    encoder.append(counted: program)
    encoder.append(boundaries)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    onnx = try decoder.counted(limit: FrameSocket.frameLimit)
    program = try decoder.counted(limit: FrameSocket.frameLimit)
    boundaries = try decoder.record()
  }
}

/// What `compile` makes of a slice. The verifier key is published; the prover key is kept.
package struct CompiledKeys: Hashable, Sendable, CanonicalCodable {
  package let prover: [UInt8]
  package let verifier: [UInt8]
  /// The options in effect, with what the backend chose itself; empty where it tells none.
  package let options: String

  package init(prover: [UInt8], verifier: [UInt8], options: String) {
    (self.prover, self.verifier, self.options) = (prover, verifier, options)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(counted: prover)
    encoder.append(counted: verifier)
    encoder.append(options)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    prover = try decoder.counted(limit: FrameSocket.frameLimit)
    verifier = try decoder.counted(limit: FrameSocket.frameLimit)
    options = try decoder.text(limit: HostReply.textLimit)
  }
}

/// The raw little-endian bytes of one inference's boundary tensors, and the digest of the statement
/// that its proof is bound to.
package struct Inference: Hashable, Sendable {
  /// Inferences that one proof may cover: BOURSE_BATCH_LIMIT.
  package static let batchLimit = 4096

  package var inputs: [[UInt8]]
  package var outputs: [[UInt8]]
  package var context: Digest

  package init(inputs: [[UInt8]], outputs: [[UInt8]], context: Digest) {
    (self.inputs, self.outputs, self.context) = (inputs, outputs, context)
  }
}

/// A backend's guess at what proving a slice costs; zero where it does not know.
package struct Estimate: Hashable, Sendable, CanonicalCodable {
  package let costUnits: UInt64
  package let peakMemoryBytes: UInt64
  package let proofBytes: UInt64

  package init(costUnits: UInt64, peakMemoryBytes: UInt64, proofBytes: UInt64) {
    self.costUnits = costUnits
    self.peakMemoryBytes = peakMemoryBytes
    self.proofBytes = proofBytes
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(costUnits)
    encoder.append(peakMemoryBytes)
    encoder.append(proofBytes)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    costUnits = try decoder.integer()
    peakMemoryBytes = try decoder.integer()
    proofBytes = try decoder.integer()
  }
}

/// What a host process has used of its machine since it started.
package struct HostUsage: Hashable, Sendable {
  /// User and system time of all its threads.
  package let processorNanoseconds: UInt64
  package let residentBytes: UInt64
  package let peakResidentBytes: UInt64
}

/// What came of verifying, and why.
package struct Verification: Hashable, Sendable {
  package let verdict: Verdict
  /// One sentence for people; empty where the verdict says all.
  package let reason: String

  package init(verdict: Verdict, reason: String) {
    (self.verdict, self.reason) = (verdict, reason)
  }
}
