import FixedPoint
import Primitives
import Statements

/// A program without the weights of its linear operations, which are 0 in memory and absent from
/// its encoding. Biases, shifts and constants stay.
struct ProgramSkeleton: Hashable, Sendable {
  let program: Program

  /// `program` has weights of 0.
  init(_ program: Program) { self.program = program }
}

extension Program {
  /// The same program with weights of 0, which is as valid.
  var withoutWeights: Program {
    let operations = operations.map { operation in
      operation.replacingRows { rows in
        LinearRows(
          weights: [Int16](repeating: 0, count: rows.weights.count), biases: rows.biases,
          shifts: rows.shifts)
      }
    }
    // Smaller weights reach no bound that the larger ones keep.
    return
      (try? Program(
        inputs: inputs, operations: operations, outputTensors: outputTensors, outputs: outputs))
      ?? self
  }
}

extension Program.Operation {
  /// The weights of a weighted sum; nil for another operation.
  var rows: LinearRows? {
    switch `operator` {
    case .convolution(let convolution): convolution.rows
    case .matrixProduct(let product): product.rows
    default: nil
    }
  }

  fileprivate func replacingRows(_ change: (LinearRows) -> LinearRows) -> Self {
    let other: Operator
    switch `operator` {
    case .convolution(let old):
      other = .convolution(
        Convolution(
          rows: change(old.rows), groups: old.groups, window: old.window, exponent: old.exponent))
    case .matrixProduct(let old):
      other = .matrixProduct(MatrixProduct(rows: change(old.rows), exponent: old.exponent))
    default: return self
    }
    return Self(name: name, inputs: inputs, operator: other)
  }
}

extension ProgramSkeleton: CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(program.inputs)
    encoder.append(
      program.operations.map { operation in
        operation.replacingRows {
          LinearRows(weights: [], biases: $0.biases, shifts: $0.shifts)
        }
      })
    encoder.append(list: program.outputTensors.map { UInt32($0) })
    encoder.append(program.outputs)
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let inputs = try decoder.list(
      of: BoundarySpecification.self, limit: Manifest.boundaryLimit, elementSize: 10)
    let bare = try decoder.list(
      of: Program.Operation.self, limit: Program.operationLimit, elementSize: 9)
    let outputTensors = try decoder.integers(UInt32.self, limit: Manifest.boundaryLimit)
    let outputs = try decoder.list(
      of: BoundarySpecification.self, limit: Manifest.boundaryLimit, elementSize: 10)
    do {
      program = try Program(
        inputs: inputs, operations: try Self.filled(bare, inputs),
        outputTensors: outputTensors.map { Int($0) }, outputs: outputs)
    } catch {
      throw decoder.failure(.invalid(error.sentence), at: start)
    }
  }

  /// Gives every linear operation as many zeros as its operand asks for, within the bound that the
  /// committed weights of a circuit have.
  private static func filled(
    _ operations: [Program.Operation], _ inputs: [BoundarySpecification]
  ) throws(ProgramError) -> [Program.Operation] {
    var tensors = inputs.map { Tensor(shape: $0.shape, exponent: $0.exponent) }
    var result: [Program.Operation] = []
    var count = 0
    for operation in operations {
      do throws(ProgramError.Problem) {
        let operands = try operation.operands(among: tensors)
        var whole = operation
        if let rows = operation.rows {
          guard rows.weights.isEmpty else { throw .parameters("a skeleton holds no weights") }
          let columns = try operation.columns(of: operands[0])
          let (product, overflow) = rows.rowCount.multipliedReportingOverflow(by: columns)
          guard !overflow, product <= CircuitBuilder.sizeLimit - count else { throw .tooLarge }
          count += product
          whole = operation.replacingRows {
            LinearRows(
              weights: [Int16](repeating: 0, count: product), biases: $0.biases,
              shifts: $0.shifts)
          }
        }
        tensors.append(try whole.operator.result(of: operands))
        result.append(whole)
      } catch {
        throw ProgramError(node: operation.name, problem: error)
      }
    }
    return result
  }
}

extension Program.Operation {
  /// Weights of one row.
  fileprivate func columns(of operand: Tensor) throws(ProgramError.Problem) -> Int {
    switch `operator` {
    case .convolution(let convolution):
      let window = convolution.window
      // Not checked yet, as the program's own check comes with its weights.
      guard operand.shape.count == 4, convolution.groups > 0,
        max(window.kernelHeight, window.kernelWidth) <= Window.limit
      else {
        throw .parameters("a convolution over \(operand.shape)")
      }
      return operand.shape[1] / convolution.groups * window.cellCount
    default: return operand.shape.last ?? 0
    }
  }
}
