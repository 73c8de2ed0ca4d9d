import FixedPoint
import Testing

/// Addition, Multiplication, Division and Extremum of operands that broadcast.
@Suite struct ArithmeticTests {
  private static let shapes: [([Int], [Int])] = [
    ([2, 3, 4], [2, 3, 4]), ([2, 3, 4], [4]), ([3, 1], [1, 4]), ([], [2, 2]),
    ([1, 3, 1], [2, 1, 5]),
    ([5], []), ([2, 1, 2, 1], [2, 1, 3]),
  ]

  /// By a loop over coordinates: what each element of the result reads.
  private func expected(
    _ left: (shape: [Int], values: [Int16]), _ right: (shape: [Int], values: [Int16]),
    _ function: (Int128, Int128) -> Int128
  ) -> (shape: [Int], values: [Int128]) {
    let rank = max(left.shape.count, right.shape.count)
    func padded(_ shape: [Int]) -> [Int] { Array(repeating: 1, count: rank - shape.count) + shape }
    let (first, second) = (padded(left.shape), padded(right.shape))
    let shape = zip(first, second).map { max($0, $1) }
    let values = (0..<shape.reduce(1, *)).map { element in
      var rest = element
      var (a, b, strideA, strideB) = (0, 0, 1, 1)
      for axis in shape.indices.reversed() {
        let index = rest % shape[axis]
        rest /= shape[axis]
        a += min(index, first[axis] - 1) * strideA
        b += min(index, second[axis] - 1) * strideB
        strideA *= first[axis]
        strideB *= second[axis]
      }
      return function(Int128(left.values[a]), Int128(right.values[b]))
    }
    return (shape, values)
  }

  private func rounded(_ value: Int128, _ shift: Int128) -> Int128 {
    shift == 0 ? value : (value + (1 << (shift - 1))) >> shift
  }

  private func check(
    _ operation: Operator, seed: Int, exponents: (Int8, Int8) = (4, 6),
    range: ClosedRange<Int16> = .min ... .max, _ function: (Int128, Int128) -> Int128
  ) throws {
    var random = Seeded(state: UInt64(seed + 1))
    let (left, right) = Self.shapes[seed % Self.shapes.count]
    let x = randomValues(left.reduce(1, *), in: range, &random)
    let y = randomValues(right.reduce(1, *), in: range, &random)
    let want = expected((left, x), (right, y), function)
    let operands = [(left, x, exponents.0), (right, y, exponents.1)]
    if let fault = want.values.firstIndex(where: { Int16(exactly: $0) == nil }) {
      #expect(
        throws: ExecutionError.rangeFault(
          RangeFault(operation: 0, node: "node", element: fault))
      ) { try result(of: operation, operands) }
    } else {
      let got = try result(of: operation, operands)
      #expect(got.values.map { Int128($0) } == want.values && got.tensor.shape == want.shape)
    }
  }

  @Test(arguments: 0..<28) func addsAndSubtracts(seed: Int) throws {
    for subtracts in [false, true] {
      let addition = Addition(
        leftAlignment: 2, rightAlignment: 0, subtracts: subtracts, shift: UInt8(seed % 4),
        exponent: Int8(6 - seed % 4))
      try check(.add(addition), seed: seed) { x, y in
        rounded(4 * x + (subtracts ? -y : y), Int128(seed % 4))
      }
    }
  }

  @Test(arguments: 0..<28) func multiplies(seed: Int) throws {
    let shift = [0, 7, 15, 16][seed % 4]
    let range: ClosedRange<Int16> = seed % 8 == 0 ? -181...181 : .min ... .max
    try check(
      .multiply(Multiplication(exponent: Int8(10 - shift))), seed: seed, range: range
    ) { x, y in rounded(x * y, Int128(shift)) }
  }

  @Test(arguments: 0..<28) func divides(seed: Int) throws {
    // 2^(exponent + 6 - 4) · x / y; zeros among the divisors are faults.
    let exponent = [-2, 3, 8, -9][seed % 4]
    let range: ClosedRange<Int16> = seed % 3 == 0 ? -3...3 : .min ... .max
    try check(.divide(Division(exponent: Int8(exponent))), seed: seed, range: range) { x, y in
      guard y != 0 else { return .max }
      let power = Int128(exponent + 2)
      var (numerator, denominator) = (
        power >= 0 ? x << power : x, power >= 0 ? y : y << -power
      )
      if denominator < 0 { (numerator, denominator) = (-numerator, -denominator) }
      // The largest integer q with q·2y <= 2x + y.
      var quotient = (2 * numerator + denominator) / (2 * denominator)
      while quotient * 2 * denominator > 2 * numerator + denominator { quotient -= 1 }
      return quotient
    }
  }

  @Test(arguments: 0..<14) func choosesTheLargerOrTheSmaller(seed: Int) throws {
    for isMaximum in [false, true] {
      try check(
        .extremum(Extremum(isMaximum: isMaximum)), seed: seed, exponents: (5, 5)
      ) { x, y in isMaximum ? max(x, y) : min(x, y) }
    }
  }

  @Test func aSubtractionIsAnotherProgramThanAnAddition() throws {
    let operations = [false, true].map {
      Operator.add(
        Addition(leftAlignment: 1, rightAlignment: 1, subtracts: $0, shift: 0, exponent: 5))
    }
    let operands: [([Int], [Int16], Int8)] = [([1], [5], 4), ([1], [2], 4)]
    #expect(try result(of: operations[0], operands).values == [14])
    #expect(try result(of: operations[1], operands).values == [6])
  }

  @Test func refusesWhatCannotBeBroadcastOrShifted() {
    func refuse(_ operation: Operator, _ shapes: ([Int], [Int]), _ exponents: (Int8, Int8)) {
      #expect(throws: ProgramError.Problem.self) {
        try operation.result(of: [
          Tensor(shape: shapes.0, exponent: exponents.0),
          Tensor(shape: shapes.1, exponent: exponents.1),
        ])
      }
    }
    let sum = Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 4)
    refuse(.add(sum), ([2, 3], [2]), (4, 4))
    refuse(.add(sum), ([2], [2]), (4, 5))
    refuse(
      .add(Addition(leftAlignment: 0, rightAlignment: 33, shift: 0, exponent: 4)), ([2], [2]),
      (4, -29))
    refuse(.multiply(Multiplication(exponent: 9)), ([2], [2]), (4, 4))
    refuse(.multiply(Multiplication(exponent: -24)), ([2], [2]), (4, 4))
    refuse(.multiply(Multiplication(exponent: 4)), ([2, 2], [3]), (4, 4))
    refuse(.divide(Division(exponent: 32)), ([2], [2]), (4, 4))
    refuse(.divide(Division(exponent: -32)), ([2], [2]), (4, 4))
    refuse(.extremum(Extremum(isMaximum: true)), ([2], [2]), (4, 5))
  }
}
