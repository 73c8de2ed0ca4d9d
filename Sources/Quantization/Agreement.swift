package import FixedPoint
package import ModelGraph

/// How a program's answers compare with those of the float model on the same inputs, gathered one
/// sample at a time. The model's first output counts for the class, all of them for the error.
package struct Agreement: Sendable {
  /// A sample on which the program and the float model differ.
  package struct Disagreement: Sendable, Encodable {
    /// Counted from the first that was scored.
    package let sample: Int
    package let floatAnswer: Int
    /// Nil where the sample ended in a range fault.
    package let integerAnswer: Int?
    /// The node or input that left its range.
    package let fault: String?
    package let label: Int?

    /// The same, its number counted from the first of a file whose sample `start` was scored first.
    package func counted(from start: Int) -> Disagreement {
      Disagreement(
        sample: sample + start, floatAnswer: floatAnswer, integerAnswer: integerAnswer,
        fault: fault, label: label)
    }
  }

  /// How many disagreements are kept.
  package static let disagreementLimit = 1000

  private let graph: Graph
  private let executor: Executor
  package private(set) var scored = 0
  private var agreeing = 0
  private var labelled = 0
  private var correct = 0
  private var floatCorrect = 0
  /// Largest difference of any output from the float model's, in the model's own units, over the
  /// samples without a fault.
  package private(set) var maxAbsError = 0.0
  /// Samples by the node that left int16, or the input that did not fit.
  package private(set) var rangeFaults: [String: Int] = [:]
  package private(set) var disagreements: [Disagreement] = []

  /// `graph` is the model as its file has it, `program` all of it as integers.
  package init(graph: Graph, program: Program) {
    self.graph = graph
    executor = Executor(program: program)
  }

  /// Runs both on one tensor per model input. Throws where they do not fit the model.
  package mutating func add(_ sample: [FloatTensor], label: Int? = nil) throws {
    let expected = try graph.evaluate(sample)
    let expectedClass = Self.top(expected[0].values)
    if label != nil { labelled += 1 }
    if let label, expectedClass == label { floatCorrect += 1 }
    var (answeredClass, fault): (Int?, String?)
    switch try answer(to: sample) {
    case .failure(let error):
      fault = error.place
      rangeFaults[error.place, default: 0] += 1
    case .success(let outputs):
      answeredClass = Self.top(outputs[0])
      if let label, answeredClass == label { correct += 1 }
      for (got, want) in zip(outputs, expected) {
        for (got, want) in zip(got, want.values) {
          maxAbsError = max(maxAbsError, Double(abs(got - want)))
        }
      }
    }
    if answeredClass == expectedClass {
      agreeing += 1
    } else if disagreements.count < Self.disagreementLimit, let expectedClass {
      disagreements.append(
        Disagreement(
          sample: scored, floatAnswer: expectedClass, integerAnswer: answeredClass, fault: fault,
          label: label))
    }
    scored += 1
  }

  private struct Fault: Error { let place: String }

  private func answer(to sample: [FloatTensor]) throws -> Result<[[Float]], Fault> {
    let program = executor.program
    do {
      let inputs = try zip(sample, program.inputs).map { tensor, boundary in
        try BoundaryValues.bytes(tensor.values, as: boundary)
      }
      return .success(
        try zip(executor.run(inputs), program.outputs).map { bytes, boundary in
          try BoundaryValues.floats(bytes, as: boundary)
        })
    } catch ExecutionError.rangeFault(let fault) {
      return .failure(Fault(place: fault.node))
    } catch QuantizationError.inputOutOfRange(let tensor, _, _, _) {
      return .failure(Fault(place: tensor))
    }
  }

  /// Share of the samples whose largest output is the float model's; a fault is a disagreement.
  package var agreement: Double { share(agreeing, of: scored) }

  /// Share of the labelled samples whose largest output is the label; nil without labels.
  package var accuracy: Double? { labelled == 0 ? nil : share(correct, of: labelled) }

  /// The float model's own accuracy on the same samples.
  package var floatAccuracy: Double? { labelled == 0 ? nil : share(floatCorrect, of: labelled) }

  package var rangeFaultRate: Double { share(rangeFaults.values.reduce(0, +), of: scored) }

  private func share(_ part: Int, of whole: Int) -> Double {
    whole == 0 ? 0 : Double(part) / Double(whole)
  }

  /// Index of the largest value, the first where several are equal.
  package static func top(_ values: [Float]) -> Int? {
    values.indices.max { values[$0] < values[$1] || (values[$0] == values[$1] && $0 > $1) }
  }
}
