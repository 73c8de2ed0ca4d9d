import FixedPoint
import Testing

@testable import Sumcheck

/// The sum of all lookups, as a forger would have it.
@Suite struct LookupTests {
  /// Nothing to look up, no tree, no column: what holds then are the links.
  @Test func provesAndRefusesWithoutALookup() throws {
    let program = try SmallProgram.chain(
      [2, 3],
      [
        .arrangement(
          Arrangement(
            axes: [.init(source: 1, indices: [2, nil, 0]), .init(source: 0, indices: [1, 0])],
            fill: -5))
      ], outputs: [1, 0])
    let run = try Run(program, seed: 3)
    #expect(run.circuit.trees.isEmpty && run.circuit.columns.isEmpty)
    #expect(run.refusal(try run.prove()) == nil)
    for (output, byte) in [(0, 0), (0, 5), (0, 11), (1, 7)] {
      var lying = run
      lying.outputs[output][byte] ^= 1
      #expect(lying.refusal(try lying.prove()) == .opening)
    }
  }

  /// Sums that are moved from one tree to another, or said to be 0/0.
  @Test func refusesForgedRoots() throws {
    let run = try Run(
      SmallProgram.chain(
        [1, 3, 4, 4],
        [
          SmallProgram.convolution(40, channels: 3, Window(kernel: (2, 2)), shifts: [12]),
          .relu(Relu()),
        ]), seed: 5)
    try #require(run.circuit.trees.count > 1)
    let forgeries: [(Int, PlainProver.Fraction) -> PlainProver.Fraction] = [
      { ($0 == 0 ? $1.numerator + .one : $1.numerator, $1.denominator) },
      { tree, root in
        tree < 2
          ? (root.numerator + (tree == 0 ? root.denominator : -root.denominator), root.denominator)
          : root
      },
      { _, _ in (.zero, .zero) },
      { _, _ in (.zero, .one) },
      { ($1.numerator + $1.numerator, $1.denominator + $1.denominator) },
    ]
    var plain = try PlainProver(run)
    for (index, forgery) in forgeries.enumerated() {
      plain.sentRoot = forgery
      #expect(run.refusal(plain.prove(run.transcript)) == .layer, "\(index)")
    }
  }

  /// A lookup that names no row, and multiplicities that are negative, or no small integers at all.
  @Test func refusesForgedAndNegativeMultiplicities() throws {
    let run = try Run(
      SmallProgram.chain([1, 3], [SmallProgram.matrix(2, columns: 3), .relu(Relu())]), seed: 2)
    let lying = try run.lying(tensor: 1, element: 0, by: 1)
    let half = Goldilocks(canonical: 2).inverse
    for (run, isFalse) in [(run, false), (lying, true)] {
      for (_, column) in run.circuit.tables {
        for value in [Goldilocks(-1), half, Goldilocks(canonical: 1 << 63), Goldilocks(-2)] {
          var plain = try PlainProver(run)
          plain.columns[column][3] = plain.columns[column][3] + value
          #expect(run.refusal(plain.prove(run.transcript)) == .rootNumerator)
          if isFalse { break }
        }
      }
    }
  }

  /// A row that says 1 where the table says 0, so that -1 passes a ramp: the verifier computes the
  /// table itself.
  @Test func refusesAChangedRowOfATable() throws {
    var run = try Run(SmallProgram.chain([3], [.relu(Relu())]), inputs: [Run.bytes([-1, 5, -300])])
    run.tensors[1][0] = -1
    run.outputs = [Run.bytes(run.tensors[1])]
    var plain = try PlainProver(run)
    let sign = try #require(
      run.circuit.columns.firstIndex { if case .sign = $0.content { true } else { false } })
    plain.columns[sign][0] = .one
    plain.usedRows = { table, rows in
      guard table == .sign else { return rows }
      var rows = rows
      rows[127].second = .one
      return rows
    }
    plain.recount()
    let proof = plain.prove(run.transcript)
    #expect(run.refusal(proof) == .leafDenominator)
    var verifier = run.verifier
    verifier.constraints.deleted = .leafDenominator
    #expect(throws: Never.self) { try verifier.verify([run.instance], proof: proof) }
  }

  /// Garbage of the field, and not of integers only, in every cell of padding.
  @Test func readsNoGarbageInPadding() throws {
    let honest = try Run(SmallProgram.network(), seed: 5)
    var generator = SeededGenerator(seed: 6)
    for run in [honest, try honest.lying(tensor: 1, element: 3, by: 1)] {
      var plain = try PlainProver(run)
      for (index, column) in run.circuit.columns.enumerated() {
        var isReal = [Bool](repeating: false, count: column.layout.size)
        column.layout.forEachRow { _, cell in
          for place in 0..<(column.layout.shape.last ?? 1) { isReal[cell + place] = true }
        }
        for cell in isReal.indices where !isReal[cell] {
          plain.columns[index][cell] = Goldilocks(canonical: generator.next() % Goldilocks.modulus)
        }
      }
      let refusal = run.refusal(plain.prove(run.transcript))
      #expect(refusal == (run.tensors == honest.tensors ? nil : .rootNumerator))
    }
  }

  /// Axes of 1, sizes that are no powers of two, and their row-major flattening, which is not that
  /// of the padded blocks.
  @Test(arguments: [
    [1, 1, 1, 1], [1, 3, 1, 5], [3, 1, 5, 1], [1, 5, 3, 3], [2, 1, 1, 7], [1, 2, 7, 3],
  ])
  func provesFlatteningOfOddShapes(_ shape: [Int]) throws {
    let count = shape.dropFirst().reduce(1, *)
    let program = try SmallProgram.chain(
      shape,
      [
        SmallProgram.convolution(shape[1], channels: shape[1], Window(kernel: (1, 1)), shifts: [6]),
        .relu(Relu()), .reshape(Reshape(shape: [shape[0], count])),
        SmallProgram.matrix(3, columns: count, shifts: [8]),
        .reshape(Reshape(shape: [3, shape[0]])),
        .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 0)),
      ], reading: [5: [5, 5]])
    let run = try Run(program, seed: 4)
    #expect(run.refusal(try run.prove()) == nil)
    // Two elements of the flattened tensor exchanged: the same bytes in another order.
    var lying = run
    guard
      let other = run.tensors[2].indices.first(where: { run.tensors[2][$0] != run.tensors[2][0] })
    else { return }
    lying.tensors[2].swapAt(0, other)
    #expect(lying.refusal(try lying.prove()) != nil)
  }

  /// Every kind of window that lies in padding over negative values: corners, a whole row, and
  /// passes of a window that is too large for one product.
  @Test func refusesMaximaTakenFromPadding() throws {
    for window in [
      Window(kernel: (2, 2), stride: (2, 2), pads: (1, 1, 0, 0)),
      Window(kernel: (1, 3), pads: (0, 1, 0, 1)),
      Window(kernel: (4, 3), stride: (2, 2), pads: (2, 1, 2, 1), dilation: (1, 1)),
    ] {
      let program = try SmallProgram.chain([1, 1, 3, 3], [.maxPool(MaxPool(window: window))])
      let run = try Run(
        program, inputs: [Run.bytes([-5, -6, -7, -8, -9, -10, -11, -12, -13])])
      #expect(run.refusal(try run.prove()) == nil)
      for tensor in 1..<run.tensors.count {
        for element in [0, run.tensors[tensor].count - 1] {
          let lying = try run.lying(
            tensor: tensor, element: element, by: -Int(run.tensors[tensor][element]))
          #expect(lying.refusal(try lying.prove()) == .productCheck)
        }
      }
    }
  }
}
