import FixedPoint
import Testing

@Suite struct ReductionTests {
  private static let axes = [[], [0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]]

  private func groups(_ values: [Int16], _ shape: [Int], _ axes: [Int]) -> [[Int64]] {
    let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
    var groups = [[Int64]](repeating: [], count: kept.reduce(1, *))
    for (element, value) in values.enumerated() {
      var (rest, group, stride) = (element, 0, 1)
      for axis in shape.indices.reversed() {
        group += rest % shape[axis] % kept[axis] * stride
        stride *= kept[axis]
        rest /= shape[axis]
      }
      groups[group].append(Int64(value))
    }
    return groups
  }

  @Test(arguments: axes) func reducesAsDefined(axes: [Int]) throws {
    var random = Seeded(state: UInt64(axes.count + 7 * (axes.first ?? 5)))
    let shape = [3, 4, 5]
    let values = randomValues(60, &random)
    let groups = groups(values, shape, axes)
    let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
    func reduce(_ operation: Reduction.Operation) throws -> [Int64] {
      let got = try result(
        of: .reduce(Reduction(operation, axes: axes)), [(shape, values, 4)])
      #expect(got.tensor.shape == kept)
      return got.values.map { Int64($0) }
    }
    #expect(try reduce(.maximum) == groups.map { $0.max() ?? 0 })
    #expect(try reduce(.minimum) == groups.map { $0.min() ?? 0 })
    let sums = groups.map { ($0.reduce(0, +) * 273 + (1 << 13)) >> 14 }
    #expect(try reduce(.sum(multiplier: 273, shift: 14, exponent: 4)) == sums)
  }

  @Test func namesTheFirstSumOutOfRange() throws {
    let sum = Reduction(.sum(multiplier: 1, shift: 0, exponent: 0), axes: [1])
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 1))) {
      try result(of: .reduce(sum), [([3, 2], [1, 2, 32767, 1, 32767, 9], 0)])
    }
  }

  @Test func refusesBadAxesAndMultipliers() {
    func refuse(_ reduction: Reduction) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.reduce(reduction).result(of: [Tensor(shape: [2, 3], exponent: 0)])
      }
    }
    refuse(Reduction(.maximum, axes: [2]))
    refuse(Reduction(.maximum, axes: [1, 0]))
    refuse(Reduction(.maximum, axes: [1, 1]))
    refuse(Reduction(.sum(multiplier: 0, shift: 0, exponent: 0), axes: [0]))
    refuse(Reduction(.sum(multiplier: 65537, shift: 0, exponent: 0), axes: [0]))
    refuse(Reduction(.sum(multiplier: 1, shift: 32, exponent: 0), axes: [0]))
  }
}
