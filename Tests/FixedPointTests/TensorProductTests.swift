import FixedPoint
import Testing

@Suite struct TensorProductTests {
  @Test(arguments: [
    ([2, 3], [3, 4]), ([2, 2, 3], [2, 3, 1]), ([2, 2, 3], [3, 4]), ([1, 5], [3, 5, 2]),
    ([2, 1, 2, 3], [1, 3, 3, 2]),
  ]) func multipliesEveryPairOfMatrices(left: [Int], right: [Int]) throws {
    var random = Seeded(state: UInt64(left.count * 10 + right.count))
    let x = randomValues(left.reduce(1, *), &random)
    let y = randomValues(right.reduce(1, *), &random)
    let (rows, inner, columns) = (left[left.count - 2], left.last ?? 0, right.last ?? 0)
    let got = try result(
      of: .tensorProduct(TensorProduct(exponent: -8)), [(left, x, 4), (right, y, 5)])
    let batch = Array(got.tensor.shape.dropLast(2))
    #expect(got.tensor.shape.suffix(2) == [rows, columns])
    func start(_ item: Int, _ shape: [Int]) -> Int {
      var (rest, start, stride) = (item, 0, shape.suffix(2).reduce(1, *))
      let own = Array(repeating: 1, count: batch.count - shape.count + 2) + shape.dropLast(2)
      for axis in batch.indices.reversed() {
        start += min(rest % batch[axis], own[axis] - 1) * stride
        stride *= own[axis]
        rest /= batch[axis]
      }
      return start
    }
    for item in 0..<batch.reduce(1, *) {
      for row in 0..<rows {
        for column in 0..<columns {
          var sum: Int64 = 0
          for index in 0..<inner {
            sum +=
              Int64(x[start(item, left) + row * inner + index])
              * Int64(y[start(item, right) + index * columns + column])
          }
          let value = got.values[(item * rows + row) * columns + column]
          #expect(Int64(value) == (sum + (1 << 16)) >> 17)
        }
      }
    }
  }

  @Test func namesTheFirstElementOutOfRange() throws {
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 2))) {
      try result(
        of: .tensorProduct(TensorProduct(exponent: 0)),
        [([2, 1], [1, 200], 0), ([1, 2], [200, 1], 0)])
    }
  }

  @Test func refusesMatricesThatDoNotFit() {
    func refuse(_ left: [Int], _ right: [Int], exponent: Int8 = 4) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.tensorProduct(TensorProduct(exponent: exponent)).result(of: [
          Tensor(shape: left, exponent: 4), Tensor(shape: right, exponent: 4),
        ])
      }
    }
    refuse([2, 3], [4, 2])
    refuse([3], [3, 2])
    refuse([2, 2, 3], [3, 3, 2])
    refuse([2, 3], [3, 2], exponent: 9)
    refuse([2, 3], [3, 2], exponent: -24)
  }
}
