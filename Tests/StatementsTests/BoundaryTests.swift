import Primitives
import Statements
import Testing

struct BoundaryTests {
  @Test(
    arguments: [
      [0], [-1], [1, 0, 1], [1 << 28, 2], [1 << 29], [.max, .max],
      [1 << 14, 1 << 14, 2], [Int](repeating: 1, count: 9),
    ] as [[Int]])
  func refusesAShapeOutOfBounds(_ shape: [Int]) {
    #expect(
      BoundarySpecification(name: "x", elementType: .int16, shape: shape, exponent: 0) == nil)
  }

  @Test func refusesANameTooLong() {
    let name = String(repeating: "x", count: 1025)
    #expect(BoundarySpecification(name: name, elementType: .int8, shape: [], exponent: 0) == nil)
  }

  @Test func countsElementsAndBytes() throws {
    let tensor = try Samples.boundary("x", .int32, [2, 3, 4])
    #expect(tensor.elementCount == 24)
    #expect(tensor.byteCount == 96)
    #expect(try Samples.boundary("scalar", .int64, []).byteCount == 8)
    let largest = try Samples.boundary("x", .int64, [1 << 14, 1 << 14])
    #expect(largest.elementCount == BoundarySpecification.elementLimit)
  }

  @Test func linksByEverythingButTheName() throws {
    let tensor = try Samples.boundary("x", .int16, [2, 3], exponent: 8)
    #expect(tensor.links(to: try Samples.boundary("y", .int16, [2, 3], exponent: 8)))
    #expect(!tensor.links(to: try Samples.boundary("x", .int32, [2, 3], exponent: 8)))
    #expect(!tensor.links(to: try Samples.boundary("x", .int16, [3, 2], exponent: 8)))
    #expect(!tensor.links(to: try Samples.boundary("x", .int16, [2, 3], exponent: 7)))
  }
}
