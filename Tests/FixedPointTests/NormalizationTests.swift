import FixedPoint
import Foundation
import Testing

/// Softmax and Normalization: lanes with exact integer divisions.
@Suite struct NormalizationTests {
  private let width = 11

  private func lanes(_ seed: Int, _ range: ClosedRange<Int16>) -> [Int16] {
    var random = Seeded(state: UInt64(seed))
    return randomValues(4 * width, in: range, &random)
  }

  /// The reference takes exp from the system's library, which is near enough to find the 23 bits.
  @Test(arguments: 1...12) func sharesSumToOneAsDefined(seed: Int) throws {
    let exponent = Int8(4 + seed % 8)
    let values = lanes(seed, seed % 3 == 0 ? .min ... .max : -4000...4000)
    let got = try result(
      of: .softmax(Softmax(exponent: 14)), [([4, width], values, exponent)])
    let scale = pow(2, -Double(exponent))
    for lane in 0..<4 {
      let own = values[lane * width..<(lane + 1) * width].map { Int($0) }
      let largest = own.max() ?? 0
      let powers = own.map { Int((exp(Double($0 - largest) * scale) * 0x1p23).rounded()) }
      let sum = powers.reduce(0, +)
      for (index, power) in powers.enumerated() {
        #expect(Int(got.values[lane * width + index]) == (power << 14 + sum / 2) / sum)
      }
    }
  }

  @Test(arguments: 1...12) func logarithmsOfSharesAreNear(seed: Int) throws {
    let values = lanes(seed, -3000...3000)
    let got = try result(
      of: .softmax(Softmax(isLogarithm: true, exponent: 10)), [([4, width], values, 9)])
    for lane in 0..<4 {
      let own = values[lane * width..<(lane + 1) * width].map { Double($0) / 512 }
      let largest = own.max() ?? 0
      let logarithm = log(own.reduce(0) { $0 + exp($1 - largest) })
      for (index, value) in own.enumerated() {
        let exact = (value - largest - logarithm) * 1024
        #expect(abs(Double(got.values[lane * width + index]) - exact) < 0.51)
      }
    }
  }

  @Test func namesTheFirstLogarithmOutOfRange() throws {
    let operation = Operator.softmax(Softmax(isLogarithm: true, exponent: 12))
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 3))) {
      try result(of: operation, [([2, 2], [0, 0, 10 << 8, 0], 8)])
    }
  }

  @Test(arguments: 1...12) func normalisesAsDefined(seed: Int) throws {
    let values = lanes(seed, seed % 3 == 0 ? .min ... .max : -5...9)
    let epsilon = seed % 2 == 0 ? 0 : 12345
    let got = try result(
      of: .normalize(Normalization(epsilon: UInt64(epsilon), exponent: 12)),
      [([2, 2, width], values, 5)])
    for lane in 0..<4 {
      let own = values[lane * width..<(lane + 1) * width].map { Int128($0) }
      let count = Int128(width)
      let sum = own.reduce(0, +)
      let spread = count * own.reduce(0) { $0 + $1 * $1 } - sum * sum + Int128(epsilon)
      // By bisection, where the operator iterates.
      var (low, high): (Int128, Int128) = (0, 1 << 60)
      while high - low > 1 {
        let middle = (low + high) / 2
        if middle * middle <= spread << 32 { low = middle } else { high = middle }
      }
      for (index, value) in own.enumerated() {
        let numerator = (count * value - sum) << 29 + low
        var quotient = numerator / (2 * low)
        while quotient * 2 * low > numerator { quotient -= 1 }
        #expect(Int128(got.values[lane * width + index]) == quotient)
      }
    }
  }

  @Test func aConstantLaneIsZero() throws {
    let operation = Operator.normalize(Normalization(epsilon: 0, exponent: 14))
    #expect(try result(of: operation, [([1, 3], [7, 7, 7], 3)]).values == [0, 0, 0])
  }

  @Test func namesTheFirstElementOutOfRange() throws {
    // One of 17 elements stands out by 4 deviations; 4 · 2^14 does not fit.
    let values = [Int16](repeating: 0, count: 16) + [100]
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 16)))
    {
      try result(
        of: .normalize(Normalization(epsilon: 0, exponent: 14)), [([17], values, 3)])
    }
  }

  @Test func refusesExponentsOutOfBounds() {
    func refuse(_ operation: Operator, _ shape: [Int] = [2], _ exponent: Int8 = 3) {
      #expect(throws: ProgramError.Problem.self) {
        try operation.result(of: [Tensor(shape: shape, exponent: exponent)])
      }
    }
    refuse(.softmax(Softmax(exponent: 15)))
    refuse(.softmax(Softmax(exponent: -1)))
    refuse(.softmax(Softmax(exponent: 14)), [])
    refuse(.softmax(Softmax(exponent: 14)), [2], 16)
    refuse(.normalize(Normalization(epsilon: 1, exponent: 15)))
    refuse(.normalize(Normalization(epsilon: 1 << 62, exponent: 3)))
    refuse(.normalize(Normalization(epsilon: 1, exponent: 3)), [])
  }
}
