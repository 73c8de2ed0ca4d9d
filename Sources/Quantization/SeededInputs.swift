package import ModelGraph
import Primitives

/// Inputs for a model of which no samples are at hand: every element is independent and uniform
/// within `range`, or 0 or 1 where the input is of integers, from the upper 24 bits of each word of
/// SplitMix64. The same seed gives the same inputs on every machine.
package struct SeededInputs: Sendable {
  private let graph: Graph
  private let range: ClosedRange<Float>
  private var random: SplitMix64

  package init(_ graph: Graph, seed: UInt64, range: ClosedRange<Float>) {
    (self.graph, self.range, random) = (graph, range, SplitMix64(state: seed))
  }

  /// One tensor per input of the model.
  package mutating func next() -> [FloatTensor] {
    graph.inputs.map { input in
      let value = graph.values[input]
      var values: [Float] = []
      values.reserveCapacity(value.elementCount)
      for _ in 0..<value.elementCount {
        let share = share()
        values.append(
          value.type == .float
            ? range.lowerBound + share * (range.upperBound - range.lowerBound)
            : (share * 2).rounded(.down))
      }
      return FloatTensor(shape: value.shape, values: values)
    }
  }

  /// Within 0..<1.
  private mutating func share() -> Float { Float(random.next() >> 40) * 0x1p-24 }
}
