import FixedPoint
import Foundation
package import ModelGraph

/// Where precision is lost: every node's integer result beside the float model's, gathered one
/// sample at a time. The integers are those of the whole program, since a model computes the same
/// integers however it is cut, and here it is cut around every node.
package struct Precision: Sendable {
  /// What one node's result has lost on the way from the model's inputs.
  package struct Layer: Sendable, Encodable {
    package let node: String
    package let `operator`: String
    package let shape: [Int]
    /// Largest magnitude of the float result over the samples.
    package let range: Double
    /// Largest and mean difference of an element, in the value's own units.
    package let maxAbsError: Double
    package let meanAbsError: Double
    /// The same relative to `range`; nil where the float result is all zeros.
    package let relativeMaxError: Double?
    package let relativeMeanError: Double?
    /// 10 · log10(Σ float² / Σ difference²); nil where there is no difference, or no signal.
    package let signalToNoiseDecibels: Double?
    package let headRoom: HeadRoom
    /// Bits that an accumulator of the node could need, of 62, whatever the operands; nil where
    /// nothing is summed.
    package let accumulatorBits: Int?
    /// The smallest and the largest power-of-two exponent of its weight rows; nil without weights.
    package let weightExponents: ClosedRange<Int>?
    /// Samples in which this node was the first to leave int16.
    package let rangeFaults: Int
  }

  private struct Sums: Sendable {
    var elements = 0.0
    var range = 0.0
    var maxError = 0.0
    var error = 0.0
    var squaredError = 0.0
    var squaredSignal = 0.0
    var faults = 0

    mutating func add(_ got: [Float], _ wanted: [Float]) {
      elements += Double(got.count)
      for (got, wanted) in zip(got, wanted) {
        let (got, wanted) = (Double(got), Double(wanted))
        let difference = abs(got - wanted)
        range = max(range, abs(wanted))
        maxError = max(maxError, difference)
        error += difference
        squaredError += difference * difference
        squaredSignal += wanted * wanted
      }
    }
  }

  /// One node as a program of its own.
  private struct Step: Sendable {
    let executor: Executor
    /// Values of the graph that it reads and makes.
    let inputs: [Int]
    let output: Int
  }

  private let quantizer: Quantizer
  private let steps: [Step]
  private var sums: [Sums]

  package init(_ quantizer: Quantizer) throws(QuantizationError) {
    self.quantizer = quantizer
    var steps: [Step] = []
    for index in quantizer.graph.nodes.indices {
      let inputs = quantizer.computedInputs(of: index)
      let output = quantizer.graph.nodes[index].output
      let program = try quantizer.program(
        nodes: [index], inputs: inputs, outputs: [output])
      steps.append(Step(executor: Executor(program: program), inputs: inputs, output: output))
    }
    self.steps = steps
    sums = [Sums](repeating: Sums(), count: steps.count)
  }

  /// Takes one tensor per model input. A sample ends at its first range fault, as a run does; an
  /// input that does not fit its boundary tensor is left out.
  package mutating func add(_ sample: [FloatTensor]) throws {
    guard var tensors = try integers(sample) else { return }
    let expected = try quantizer.graph.evaluateAll(sample)
    for (index, step) in steps.enumerated() {
      guard let bytes = try Self.run(step, on: tensors) else {
        sums[index].faults += 1
        return
      }
      tensors[step.output] = bytes
      guard let wanted = expected[step.output] else { continue }
      let got = try BoundaryValues.floats(bytes, as: quantizer.boundary(step.output))
      sums[index].add(got, wanted.values)
    }
  }

  /// By value of the graph; nil where an element does not fit.
  private func integers(_ sample: [FloatTensor]) throws -> [Int: [UInt8]]? {
    var tensors: [Int: [UInt8]] = [:]
    for (input, tensor) in zip(quantizer.graph.inputs, sample) {
      do throws(QuantizationError) {
        tensors[input] = try BoundaryValues.bytes(tensor.values, as: quantizer.boundary(input))
      } catch {
        guard case .inputOutOfRange = error else { throw error }
        return nil
      }
    }
    return tensors
  }

  /// Nil where the node leaves int16.
  private static func run(_ step: Step, on tensors: [Int: [UInt8]]) throws -> [UInt8]? {
    let operands = step.inputs.compactMap { tensors[$0] }
    do throws(ExecutionError) {
      return try step.executor.run(operands)[0]
    } catch {
      guard case .rangeFault = error else { throw error }
      return nil
    }
  }

  package var layers: [Layer] {
    zip(quantizer.graph.nodes, zip(steps, sums)).map { node, pair in
      let (step, sums) = pair
      let program = step.executor.program
      let mean = sums.elements > 0 ? sums.error / sums.elements : 0
      let hasRatio = sums.squaredError > 0 && sums.squaredSignal > 0
      return Layer(
        node: node.name, operator: node.operatorName,
        shape: quantizer.graph.values[node.output].shape, range: sums.range,
        maxAbsError: sums.maxError, meanAbsError: mean,
        relativeMaxError: sums.range > 0 ? sums.maxError / sums.range : nil,
        relativeMeanError: sums.range > 0 ? mean / sums.range : nil,
        signalToNoiseDecibels: hasRatio
          ? 10 * log10(sums.squaredSignal / sums.squaredError) : nil,
        headRoom: quantizer.headRoom(of: node.output),
        accumulatorBits: program.operations.indices.compactMap(program.accumulatorBits).max(),
        weightExponents: program.operations.indices.compactMap(program.weightExponents).first,
        rangeFaults: sums.faults)
    }
  }
}
