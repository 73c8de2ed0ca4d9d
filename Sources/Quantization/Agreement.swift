package import FixedPoint
package import ModelGraph

/// How a program's answers compare with those of the float model on the same inputs.
package struct Agreement: Sendable, Encodable {
  package let scored: Int
  /// Share of inputs whose largest output is the float model's; a range fault is a disagreement.
  package let agreement: Double
  /// Share of inputs whose largest output is the label; nil without labels.
  package let accuracy: Double?
  /// Largest difference of any output, in the model's own units.
  package let maxError: Double
  package let rangeFaultRate: Double

  /// Runs both on `vectors` of the indices `scored`; the model has one input and its first output
  /// counts.
  package init(
    graph: Graph, program: Program, vectors: SampleVectors, scored: Range<Int>
  ) throws {
    let executor = Executor(program: program)
    var (agreeing, correct, faults, maxError) = (0, 0, 0, 0.0)
    for index in scored {
      let expected = try graph.evaluate([vectors.tensor(index)])[0].values
      let answer: [Float]
      do {
        let input = try BoundaryValues.bytes(vectors.inputs[index], as: program.inputs[0])
        answer = try BoundaryValues.floats(executor.run([input])[0], as: program.outputs[0])
      } catch ExecutionError.rangeFault {
        faults += 1
        continue
      }
      if Self.top(answer) == Self.top(expected) { agreeing += 1 }
      if Self.top(answer) == vectors.labels?[index] { correct += 1 }
      for (got, want) in zip(answer, expected) { maxError = max(maxError, Double(abs(got - want))) }
    }
    self.scored = scored.count
    agreement = Double(agreeing) / Double(scored.count)
    accuracy = vectors.labels.map { _ in Double(correct) / Double(scored.count) }
    self.maxError = maxError
    rangeFaultRate = Double(faults) / Double(scored.count)
  }

  /// Index of the largest value, the first where several are equal.
  package static func top(_ values: [Float]) -> Int? {
    values.indices.max { values[$0] < values[$1] || (values[$0] == values[$1] && $0 > $1) }
  }
}
