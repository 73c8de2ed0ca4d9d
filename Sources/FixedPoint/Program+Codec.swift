package import Primitives
import Statements

extension Program {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(Self.semantics)
    encoder.append(inputs)
    encoder.append(operations)
    encoder.append(list: outputTensors.map { UInt32($0) })
    encoder.append(outputs)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let semantics = try decoder.text(limit: 64)
    guard semantics == Self.semantics else {
      throw decoder.failure(
        .invalid("semantics '\(semantics)' is not '\(Self.semantics)'"), at: start)
    }
    let inputs = try decoder.list(
      of: BoundarySpecification.self, limit: Manifest.boundaryLimit, elementSize: 10)
    let operations = try decoder.list(
      of: Operation.self, limit: Self.operationLimit, elementSize: 9)
    let outputTensors = try decoder.integers(UInt32.self, limit: Manifest.boundaryLimit)
    let outputs = try decoder.list(
      of: BoundarySpecification.self, limit: Manifest.boundaryLimit, elementSize: 10)
    do {
      try self.init(
        inputs: inputs, operations: operations, outputTensors: outputTensors.map { Int($0) },
        outputs: outputs)
    } catch {
      throw decoder.failure(.invalid(error.sentence), at: start)
    }
  }
}

extension Program.Operation: CanonicalCodable {
  package static let nameLimit = 1024
  package static let inputLimit = 8

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(name)
    encoder.append(list: inputs.map { UInt32($0) })
    encoder.append(`operator`)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    name = try decoder.text(limit: Self.nameLimit)
    inputs = try decoder.integers(UInt32.self, limit: Self.inputLimit).map { Int($0) }
    `operator` = try decoder.record()
  }
}
