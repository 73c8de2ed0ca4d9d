import FixedPoint
import Testing

@Suite struct LookupTests {
  private let table = Operator.lookup(
    Lookup(width: 2, exponent: 9, values: [1, 2, 3, 4, 500, 600]))

  @Test func givesTheRowsThatTheIndicesName() throws {
    let got = try result(of: table, [([2, 2], [2, 0, -1, -3], 0)])
    #expect(got.values == [500, 600, 1, 2, 500, 600, 1, 2])
    #expect(got.tensor == Tensor(shape: [2, 2, 2], exponent: 9))
  }

  @Test(arguments: [3, -4, .max, .min] as [Int16]) func namesTheFirstIndexWithoutARow(
    index: Int16
  ) {
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 2))) {
      try result(of: table, [([3], [1, index, index], 0)])
    }
  }

  @Test func refusesTablesThatAreNoRowsAndIndicesThatAreNotWhole() {
    func refuse(_ lookup: Lookup, exponent: Int8 = 0) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.lookup(lookup).result(of: [Tensor(shape: [1], exponent: exponent)])
      }
    }
    refuse(Lookup(width: 2, exponent: 0, values: [1, 2, 3]))
    refuse(Lookup(width: 0, exponent: 0, values: [1, 2, 3]))
    refuse(Lookup(width: 1, exponent: 0, values: []))
    refuse(Lookup(width: 1, exponent: 0, values: [1]), exponent: 1)
  }
}
