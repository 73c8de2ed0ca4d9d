import FixedPoint
import Testing

@Suite struct RescalingTests {
  @Test func roundsHalfUpToACoarserExponent() throws {
    let got = try result(
      of: .rescale(Rescaling(exponent: 2)), [([6], [3, -3, 6, -6, -7, 32767], 4)])
    #expect(got.values == [1, -1, 2, -1, -2, 8192])
    #expect(got.tensor.exponent == 2)
  }

  @Test func namesTheFirstValueThatAFinerExponentCannotHold() throws {
    let finer = Operator.rescale(Rescaling(exponent: 3))
    #expect(try result(of: finer, [([2], [16383, -16384], 2)]).values == [32766, -32768])
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 1))) {
      try result(of: finer, [([3], [16383, 16384, -16385], 2)])
    }
  }

  @Test func saturatesWhereItIsTold() throws {
    let got = try result(
      of: .rescale(Rescaling(exponent: 8, saturates: true)), [([4], [127, 128, -128, -129], 0)])
    #expect(got.values == [32512, 32767, -32768, -32768])
  }

  @Test func refusesADistanceAboveTheLargestShift() {
    for exponent in [-28, 36] as [Int8] {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.rescale(Rescaling(exponent: exponent))
          .result(of: [Tensor(shape: [1], exponent: 4)])
      }
    }
  }
}
