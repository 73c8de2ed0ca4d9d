package import ModelGraph

/// Inputs for a model of which no samples are at hand: every element is independent and uniform
/// within `range`, or 0 or 1 where the input is of integers, from SplitMix64 (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014), the upper 24 bits of each word.
/// The same seed gives the same inputs on every machine.
package struct SeededInputs: Sendable {
  private let graph: Graph
  private let range: ClosedRange<Float>
  private var state: UInt64

  package init(_ graph: Graph, seed: UInt64, range: ClosedRange<Float>) {
    (self.graph, self.range, state) = (graph, range, seed)
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
  private mutating func share() -> Float {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    word ^= word >> 31
    return Float(word >> 40) * 0x1p-24
  }
}
