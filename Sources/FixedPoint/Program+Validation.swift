import Primitives
package import Statements

extension Program {
  /// Gives shape and exponent of every tensor, or throws.
  static func validate(
    inputs: [BoundarySpecification], operations: [Operation], outputTensors: [Int],
    outputs: [BoundarySpecification]
  ) throws(ProgramError) -> [Tensor] {
    guard inputs.count <= Manifest.boundaryLimit, !outputs.isEmpty,
      outputs.count <= Manifest.boundaryLimit, outputs.count == outputTensors.count,
      operations.count <= operationLimit
    else {
      throw ProgramError(node: nil, problem: .counts)
    }
    var tensors: [Tensor] = []
    tensors.reserveCapacity(inputs.count + operations.count)
    var elements = 0
    var work = 0
    for input in inputs {
      guard input.elementType == .int16 else {
        throw ProgramError(node: input.name, problem: .elementType(input.elementType))
      }
      tensors.append(Tensor(shape: input.shape, exponent: input.exponent))
      elements += input.elementCount
    }
    for operation in operations {
      do throws(ProgramError.Problem) {
        let tensor = try result(of: operation, tensors)
        let operands = operation.inputs.map { tensors[$0] }
        elements += tensor.elementCount + operation.operator.family.tableElementCount
        // No single operator is above 2^28 × 2^28 steps, so the sum cannot overflow in between.
        work += operation.operator.steps(of: operands, giving: tensor)
        guard elements <= elementLimit, work <= workLimit else {
          throw .tooLarge
        }
        tensors.append(tensor)
      } catch {
        throw ProgramError(node: operation.name, problem: error)
      }
    }
    for (tensor, output) in zip(outputTensors, outputs) {
      guard tensors.indices.contains(tensor) else {
        throw ProgramError(node: output.name, problem: .tensorOutOfRange(tensor))
      }
      guard output.elementType == .int16 else {
        throw ProgramError(node: output.name, problem: .elementType(output.elementType))
      }
      guard output.shape == tensors[tensor].shape, output.exponent == tensors[tensor].exponent
      else {
        throw ProgramError(
          node: output.name,
          problem: .shape("the boundary says \(output.shape), the tensor is another"))
      }
    }
    return tensors
  }

  private static func result(
    of operation: Operation, _ tensors: [Tensor]
  ) throws(ProgramError.Problem) -> Tensor {
    let tensor = try operation.operator.result(of: try operation.operands(among: tensors))
    guard
      BoundarySpecification(
        name: "", elementType: .int16, shape: tensor.shape, exponent: tensor.exponent) != nil
    else {
      throw .shape("\(tensor.shape) is out of bounds")
    }
    return tensor
  }
}

extension Program.Operation {
  /// What it reads of the tensors so far; throws unless they exist and are as many as its operator
  /// takes.
  package func operands(among tensors: [Tensor]) throws(ProgramError.Problem) -> [Tensor] {
    var operands: [Tensor] = []
    for input in inputs {
      guard tensors.indices.contains(input) else { throw .tensorOutOfRange(input) }
      operands.append(tensors[input])
    }
    guard operands.count == `operator`.operandCount else {
      throw .operandCount(expected: `operator`.operandCount, got: operands.count)
    }
    return operands
  }
}

/// Why a program is not one that can be run.
package struct ProgramError: CodedError, Equatable {
  package enum Problem: Error, Sendable, Equatable {
    case counts
    case elementType(ElementType)
    case tensorOutOfRange(Int)
    case operandCount(expected: Int, got: Int)
    case shape(String)
    case parameters(String)
    case shift(Int)
    case accumulator
    case exponent(expected: Int8, got: Int8)
    case tooLarge
  }

  /// Name of the operation or boundary tensor; nil where the program as a whole is at fault.
  package let node: String?
  package let problem: Problem

  package init(node: String?, problem: Problem) { (self.node, self.problem) = (node, problem) }

  package var code: String {
    switch problem {
    case .accumulator: "accumulator-overflow"
    case .tooLarge: "program-too-large"
    default: "invalid-program"
    }
  }

  package var sentence: String {
    let what =
      switch problem {
      case .counts:
        "it needs 1 to \(Manifest.boundaryLimit) outputs, as many output tensors, and at most \(Program.operationLimit) operations"
      case .elementType(let type): "a boundary is \(type) and fixed16/1 knows only int16"
      case .tensorOutOfRange(let tensor): "tensor \(tensor) does not exist before it is read"
      case .operandCount(let expected, let got): "\(expected) inputs were expected and \(got) came"
      case .shape(let what), .parameters(let what): what
      case .shift(let shift): "a shift of \(shift) is outside 0...\(Requantization.shiftLimit)"
      case .accumulator: "its accumulator could reach 2^62 with these weights"
      case .exponent(let expected, let got):
        "its result has exponent \(got) and its inputs give \(expected)"
      case .tooLarge:
        "the program exceeds 2^27 tensor elements or 2^40 steps; slice the model further"
      }
    return "\(node.map { "At '\($0)'" } ?? "In the program"), \(what); quantise the model again."
  }
}
