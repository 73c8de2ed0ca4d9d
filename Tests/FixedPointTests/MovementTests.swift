import FixedPoint
import Primitives
import Statements
import Testing

/// Arrangement and Concatenation: operators that move elements and compute nothing.
@Suite struct MovementTests {
  /// Against a loop over the definition: random axes, some read backwards, some filled.
  @Test(arguments: 1...60) func arrangesAsDefined(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    let shape = (0..<draw(0...4)).map { _ in draw(1...5) }
    var lists: [(source: Int?, indices: [Int?])] = []
    for source in shape.indices.shuffled(using: &random) {
      let size = shape[source]
      var indices: [Int?] = (0..<draw(1...6)).map { _ in draw(0...4) == 0 ? nil : draw(0...size - 1)
      }
      switch draw(0...3) {
      case 0: indices = Array(0..<size)
      case 1: indices = (0..<size).reversed() + [nil, nil]
      default: break
      }
      lists.append((source, indices))
    }
    if draw(0...1) == 1 {
      lists.insert((nil, [0, 0, nil, 0]), at: draw(0...lists.count))
    }
    let fill = lists.contains { $0.indices.contains(nil) } ? Int16(draw(-999...999)) : 0
    let operation = Arrangement(
      axes: lists.map { .init(source: $0.source, indices: $0.indices) }, fill: fill)
    let values = randomValues(shape.reduce(1, *), &random)

    let counts = lists.map(\.indices.count)
    let expected = (0..<counts.reduce(1, *)).map { element in
      var rest = element
      var place = [Int](repeating: 0, count: shape.count)
      for axis in counts.indices.reversed() {
        guard let index = lists[axis].indices[rest % counts[axis]] else { return fill }
        if let source = lists[axis].source { place[source] = index }
        rest /= counts[axis]
      }
      return values[zip(place, shape).reduce(0) { $0 * $1.1 + $1.0 }]
    }
    let got = try result(of: .arrangement(operation), [(shape, values, 3)])
    #expect(got.values == expected)
    #expect(got.tensor == Tensor(shape: counts, exponent: 3))
  }

  @Test func readsAnAxisOfOneIndexWhereItIs() throws {
    let operation = Arrangement(
      axes: [.init(source: 0, indices: [0, 1]), .init(source: 1, indices: [2])])
    let got = try result(of: .arrangement(operation), [([2, 3], [1, 2, 3, 4, 5, 6], 0)])
    #expect(got.values == [3, 6])
  }

  @Test func listsOfIndicesHaveOneEncoding() {
    let axis = Arrangement.Axis(source: 0, indices: [nil, nil, 0, 1, 2, 2, 1, 0, nil, 5])
    #expect(axis.runs.map(\.start) == [nil, 0, 2, nil, 5])
    #expect(axis.runs.map(\.step) == [0, 1, -1, 0, 0])
    #expect(axis.runs.map(\.count) == [2, 3, 3, 1, 1])
  }

  @Test func refusesToArrangeWhatIsNotThere() {
    func refuse(_ operation: Arrangement, _ shape: [Int] = [2, 3]) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.arrangement(operation).result(of: [Tensor(shape: shape, exponent: 0)])
      }
    }
    let rows = Arrangement.Axis(source: 0, indices: [0, 1])
    refuse(Arrangement(axes: [rows]))
    refuse(Arrangement(axes: [rows, rows]))
    refuse(Arrangement(axes: [rows, .init(source: 2, indices: [0])]))
    refuse(Arrangement(axes: [rows, .init(source: 1, indices: [2, 3])]))
    refuse(Arrangement(axes: [rows, .init(source: 1, indices: [0, -1])]))
    refuse(Arrangement(axes: [rows, .init(source: 1, indices: [])]))
    refuse(Arrangement(axes: [rows, .init(source: 1, indices: [0, 1, 2])], fill: 1))
    refuse(Arrangement(axes: [.init(source: nil, indices: [0, 1])], fill: 0), [])
  }

  /// A step, count and start whose product would leave 64 bits.
  @Test func refusesRunsOutOfBoundsBeforeTheyAreMultiplied() throws {
    let program = try program(
      .arrangement(Arrangement(axes: [.init(source: 0, indices: [0, 1, 2])])), from: [3], to: [3])
    let run: [UInt8] = [0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]
    let bytes = program.canonicalBytes
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: run) })
    for hostile in [
      [0, 0, 0, 0, 255, 255, 255, 127, 255, 255, 255, 255],
      [255, 255, 255, 255, 1, 0, 0, 0, 3, 0, 0, 0],
      [254, 255, 255, 255, 1, 0, 0, 0, 3, 0, 0, 0],
      [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ] as [[UInt8]] {
      var mutated = bytes
      mutated.replaceSubrange(start..<start + 12, with: hostile)
      #expect(throws: CanonicalError.self) { try Program(canonicalBytes: mutated) }
    }
  }

  @Test(arguments: 0...2) func joinsAlongEachAxis(axis: Int) throws {
    var random = Seeded(state: UInt64(axis + 1))
    let shapes = (1...3).map { size in (0..<3).map { $0 == axis ? size : 2 } }
    let parts = shapes.map { randomValues($0.reduce(1, *), &random) }
    let got = try result(
      of: .concatenation(Concatenation(axis: axis, operandCount: 3)),
      zip(shapes, parts).map { ($0, $1, 5) })
    var expected: [Int16] = []
    let shape = (0..<3).map { $0 == axis ? 6 : 2 }
    for x in 0..<shape[0] {
      for y in 0..<shape[1] {
        for z in 0..<shape[2] {
          var place = [x, y, z]
          var part = 0
          while place[axis] >= shapes[part][axis] {
            place[axis] -= shapes[part][axis]
            part += 1
          }
          expected.append(parts[part][zip(place, shapes[part]).reduce(0) { $0 * $1.1 + $1.0 }])
        }
      }
    }
    #expect(got.values == expected && got.tensor.shape == shape)
  }

  @Test func refusesToJoinWhatDoesNotFit() {
    func refuse(_ operation: Concatenation, _ operands: [Tensor]) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.concatenation(operation).result(of: operands)
      }
    }
    let tensor = Tensor(shape: [2, 3], exponent: 4)
    refuse(Concatenation(axis: 2, operandCount: 2), [tensor, tensor])
    refuse(Concatenation(axis: 0, operandCount: 1), [tensor])
    refuse(Concatenation(axis: 0, operandCount: 9), .init(repeating: tensor, count: 9))
    refuse(Concatenation(axis: 0, operandCount: 2), [tensor, Tensor(shape: [2, 4], exponent: 4)])
    refuse(Concatenation(axis: 0, operandCount: 2), [tensor, Tensor(shape: [6], exponent: 4)])
    refuse(Concatenation(axis: 0, operandCount: 2), [tensor, Tensor(shape: [2, 3], exponent: 5)])
  }
}
