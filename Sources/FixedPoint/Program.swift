package import Primitives
package import Statements

/// An integer program with one exact meaning on every machine: the semantics `fixed16/1`
/// (`docs/program.md`).
///
/// Tensors are int16 and numbered: first the inputs, then one per operation, in order. An operation
/// reads only tensors of lower numbers, so the order itself proves the program acyclic. A value of
/// this type is valid: every index, shape, shift and accumulator bound was checked when it was
/// made, and the executor relies on that.
package struct Program: Hashable, Sendable, CanonicalCodable {
  package static let semantics = "fixed16/1"
  package static let operationLimit = 1 << 16
  /// Elements of all tensors of one program, and of the tables it needs, together: 256 MB of int16.
  package static let elementLimit = 1 << 27
  /// Multiply-accumulates and comparisons of one run.
  package static let workLimit = 1 << 40

  package struct Operation: Hashable, Sendable {
    /// The node of the model that this operation computes, as faults name it.
    package let name: String
    /// Numbers of the tensors it reads.
    package let inputs: [Int]
    package let `operator`: Operator

    package init(name: String, inputs: [Int], `operator`: Operator) {
      (self.name, self.inputs, self.`operator`) = (name, inputs, `operator`)
    }
  }

  package let inputs: [BoundarySpecification]
  package let operations: [Operation]
  /// The tensor that each output hands over.
  package let outputTensors: [Int]
  package let outputs: [BoundarySpecification]
  /// Shape and exponent of every tensor, by number; derived, not encoded.
  package let tensors: [Tensor]

  /// Throws, naming the operation, unless the program is one that the executor may run blindly.
  package init(
    inputs: [BoundarySpecification], operations: [Operation], outputTensors: [Int],
    outputs: [BoundarySpecification]
  ) throws(ProgramError) {
    self.inputs = inputs
    self.operations = operations
    self.outputTensors = outputTensors
    self.outputs = outputs
    tensors = try Self.validate(
      inputs: inputs, operations: operations, outputTensors: outputTensors, outputs: outputs)
  }

  package var id: Digest { Digest.of(self, domain: .program) }

  /// Shape and exponent of what operation `index` reads.
  package func operands(of index: Int) -> [Tensor] { operations[index].inputs.map { tensors[$0] } }
}

/// Shape and power-of-two exponent of one int16 tensor: value = integer × 2^-exponent.
package struct Tensor: Hashable, Sendable {
  package let shape: [Int]
  package let exponent: Int8

  package init(shape: [Int], exponent: Int8) { (self.shape, self.exponent) = (shape, exponent) }

  package var elementCount: Int { shape.reduce(1, *) }
}
