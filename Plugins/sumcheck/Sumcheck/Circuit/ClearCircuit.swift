package import FixedPoint
import Primitives
import Statements

/// A program taken apart for clear proofs: its weighted sums, and the rest, which the verifier
/// runs again.
package struct ClearCircuit: Sendable {
  struct Sum: Sendable {
    /// Over the whole batch.
    let weighted: WeightedSum
    /// The sum's result, a tensor of the program.
    let tensor: Int
    /// The output that its result is, and then it is not sent.
    let output: Int?
    /// Which of the rest's outputs its operand is.
    let operand: Int

  }

  package let program: Program
  package let batch: Int
  /// In the program's order.
  let sums: [Sum]
  /// The program without its weighted sums: their results are its last inputs, their operands its
  /// last outputs.
  let rest: Program

  /// Steps of the rest, and products beside those on operands, that a verifier is ready to take:
  /// some seconds.
  static let workLimit = 1 << 32

  /// Throws where there are more weighted sums than a program may have boundary tensors, or where
  /// verifying would take more than 2^32 steps.
  package init(_ program: Program, batch: Int = 1) throws(CircuitError) {
    let parts = Parts(program)
    func specification(_ tensor: Int) -> BoundarySpecification? {
      BoundarySpecification(
        name: "sum", elementType: .int16, shape: program.tensors[tensor].shape,
        exponent: program.tensors[tensor].exponent)
    }
    do {
      rest = try Program(
        inputs: program.inputs + parts.results.compactMap(specification),
        operations: parts.operations,
        outputTensors: program.outputTensors.map { parts.number[$0] }
          + parts.operands.map { parts.number[$0] },
        outputs: program.outputs + parts.operands.compactMap(specification))
    } catch {
      throw CircuitError(
        node: error.node ?? "program", reason: "it cannot be proven in the clear: \(error.sentence)"
      )
    }
    let leading = batch == 1 ? [] : [batch]
    sums = parts.results.compactMap { tensor -> Sum? in
      let operation = program.operations[tensor - program.inputs.count]
      let source = operation.inputs[0]
      let weighted = WeightedSum(
        operation, source: leading + program.tensors[source].shape,
        result: leading + program.tensors[tensor].shape)
      guard let weighted else { return nil }
      return Sum(
        weighted: weighted, tensor: tensor, output: program.outputTensors.firstIndex(of: tensor),
        operand: program.outputs.count + (parts.operands.firstIndex(of: source) ?? 0))
    }
    (self.program, self.batch) = (program, batch)
    // Far below 2^63: a program has at most 2^40 steps, a batch 2^12 inferences.
    let work = sums.reduce(Int(rest.cost.units) * batch) { $0 + $1.weighted.verifierWork }
    guard work <= Self.workLimit else {
      throw CircuitError(
        node: "program",
        reason:
          "verifying it in the clear would take more than 2^32 steps; cut the model further")
    }
  }

  /// The length of every proof.
  var proofLength: Int {
    // The seal ends every proof.
    sums.reduce(16) { $0 + $1.quotientBytes + $1.remainderBytes + 32 * $1.rounds }
  }

  /// In nanoseconds of one core: 8 per product that the sumchecks fold away, 4 per weight, 1 per
  /// cost unit of the rest, which the verifier runs again, and the proof's bytes.
  var cost: Double {
    let time = sums.reduce(0) { time, sum in
      let weighted = sum.weighted
      return time + 8 * weighted.sourceShape.reduce(weighted.window?.kernelWidth ?? 1, *)
        + 4 * weighted.rows.weights.count
    }
    return Double(time) + Double(batch) * Double(rest.cost.units)
      + Mode.costPerByte * Double(proofLength)
  }
}

extension ClearCircuit.Sum {
  var cellCount: Int { weighted.resultShape.reduce(1, *) }
  /// 16 bits a cell, little-endian, row-major.
  var quotientBytes: Int { output == nil ? 2 * cellCount : 0 }
  /// The shift's bits a cell, row-major, the lowest bit first, then bits of 0 to a whole byte.
  var remainderBytes: Int {
    let width = cellCount / (weighted.rows.rowCount * outerCount)
    let bits = weighted.rows.shifts.reduce(0) { $0 + Int($1) } * width * outerCount
    return bits.dividedUp(by: 8)
  }
  /// Cells before the channel axis.
  var outerCount: Int { weighted.imageCount }
  /// Rounds of its sumcheck.
  var rounds: Int { Layout(weighted.innerShape).log }

  /// Calls `body` for runs of cells that share a channel, in row-major order.
  func forEachRun(_ body: (_ channel: Int, _ cells: Range<Int>) -> Void) {
    let channels = weighted.rows.rowCount
    let width = cellCount / (channels * outerCount)
    for run in 0..<outerCount * channels {
      body(run % channels, run * width..<(run + 1) * width)
    }
  }
}

/// The operations that are weighted sums, and those that are not, with tensors numbered anew.
private struct Parts {
  /// Results of weighted sums.
  var results: [Int] = []
  /// Their operands, each once.
  var operands: [Int] = []
  var operations: [Program.Operation] = []
  /// The rest's number of each of the program's tensors.
  var number: [Int]

  init(_ program: Program) {
    for (index, operation) in program.operations.enumerated() where operation.rows != nil {
      results.append(program.inputs.count + index)
      if !operands.contains(operation.inputs[0]) { operands.append(operation.inputs[0]) }
    }
    number = Array(program.inputs.indices)
    let inputCount = program.inputs.count + results.count
    var sumCount = 0
    for operation in program.operations {
      if operation.rows != nil {
        number.append(program.inputs.count + sumCount)
        sumCount += 1
      } else {
        let inputs = operation.inputs.map { number[$0] }
        number.append(inputCount + operations.count)
        operations.append(
          .init(name: operation.name, inputs: inputs, operator: operation.operator))
      }
    }
  }
}
