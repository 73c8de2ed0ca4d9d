import FixedPoint
package import Primitives
package import ProverHost
import Statements

/// A slice on which a plugin is checked, and inputs for it.
package struct CheckedSlice: Sendable {
  package let name: String
  let bundle: SliceBundle
  /// The raw bytes of each sample's input tensors; at least one sample.
  let samples: [[[UInt8]]]
  /// Nil where the bundle has none.
  let program: Program?

  /// Throws where the bundle's program is not one.
  package init(
    name: String, bundle: SliceBundle, samples: [[[UInt8]]]
  ) throws(CanonicalError) {
    precondition(!samples.isEmpty)
    (self.name, self.bundle, self.samples) = (name, bundle, samples)
    program = bundle.program.isEmpty ? nil : try Program(canonicalBytes: bundle.program)
  }

  /// What the slice means, where the backend's semantics is the executor's.
  func executor(
    for backend: BackendDescriptor, threads: Int = Executor.processors
  ) -> Executor? {
    guard backend.semantics == Program.semantics, let program else { return nil }
    return Executor(program: program, threads: threads)
  }

  /// One Relu, which every backend of `fixed16/1` should take, with inputs of either sign.
  package static func relu() throws -> CheckedSlice {
    let count = 24
    guard
      let input = BoundarySpecification(
        name: "input", elementType: .int16, shape: [count], exponent: 8),
      let output = BoundarySpecification(
        name: "output", elementType: .int16, shape: [count], exponent: 8)
    else { preconditionFailure("the boundary of one Relu is within its limits") }
    let program = try Program(
      inputs: [input],
      operations: [Program.Operation(name: "relu", inputs: [0], operator: .relu(Relu()))],
      outputTensors: [1], outputs: [output])
    var random = SplitMix64(state: 1)
    let samples = (0..<4).map { _ in
      [(0..<2 * count).map { _ in UInt8.random(in: 0...255, using: &random) }]
    }
    return try CheckedSlice(
      name: "relu",
      bundle: SliceBundle(
        onnx: [], program: program.canonicalBytes,
        boundaries: Boundaries(inputs: [input], outputs: [output])),
      samples: samples)
  }
}
