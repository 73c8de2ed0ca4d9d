import CSumcheckKernels
import Testing

extension KernelTests {
  struct FractionTests {
    /// Four arrays, in the order p0, p1, q0, q1.
    private struct Layer {
      var arrays: [[Extension]]
      let vectors: [Vector]

      init(_ arrays: [[Extension]]) {
        self.arrays = arrays
        vectors = arrays.map(Vector.init)
      }

      var c: sumcheck_fractions {
        sumcheck_fractions(p0: vectors[0].c, p1: vectors[1].c, q0: vectors[2].c, q1: vectors[3].c)
      }
    }

    private static func sums(_ layer: [[Extension]]) -> (p: [Extension], q: [Extension]) {
      let count = layer[0].count
      return (
        (0..<count).map { layer[0][$0] * layer[3][$0] + layer[1][$0] * layer[2][$0] },
        (0..<count).map { layer[2][$0] * layer[3][$0] }
      )
    }

    /// The quadratic t of the layer's sumcheck, by its definition.
    private static func round(
      _ layer: [[Extension]], _ lambda: Extension, _ weights: [Extension]
    ) -> [Extension] {
      quadratic { x in
        let (p, q) = sums(layer.map { fold($0, x) })
        return weights.indices.map { weights[$0] * (p[$0] + lambda * q[$0]) }.sum()
      }
    }

    /// Folded, with p1 replaced by p1 + lambda q1.
    private static func folded(
      _ layer: [[Extension]], _ lambda: Extension, _ r: Extension
    ) -> [[Extension]] {
      var folded = layer.map { fold($0, r) }
      folded[1] = zip(folded[1], folded[3]).map { $0 + lambda * $1 }
      return folded
    }

    private static func leaves(_ numerators: [Int32]?, count: Int) -> [Extension] {
      numerators?.map { Extension(Element(integer: $0)) }
        ?? [Extension](repeating: .one, count: count)
    }

    @Test(arguments: [true, false])
    func buildsDenominators(hasSecond: Bool) {
      let count = 45
      var numbers = Numbers(seed: 5)
      let (constant, gamma) = (numbers.extensions(1)[0], numbers.extensions(1)[0])
      let (a, b): ([Int16], [Int16]) = (numbers.integers(count), numbers.integers(count))
      let (c, d): ([Int32], [Int32]) = (numbers.integers(count), numbers.integers(count))
      func expected(_ c0: [some FixedWidthInteger], _ c1: [some FixedWidthInteger]) -> [Extension] {
        zip(c0, c1).map {
          constant - Extension(Element(integer: $0))
            - (hasSecond ? gamma * Extension(Element(integer: $1)) : .zero)
        }
      }
      onEachPath { path in
        let q = Vector(count: count)
        sumcheck_denominators_int16(q.c, a, hasSecond ? b : nil, constant.c, gamma.c, count)
        #expect(q.values == expected(a, b), "\(path)")
        sumcheck_denominators_int32(q.c, c, hasSecond ? d : nil, constant.c, gamma.c, count)
        #expect(q.values == expected(c, d), "\(path)")
      }
    }

    @Test(arguments: [1, 4, 13])
    func sumsFractions(count: Int) {
      var numbers = Numbers(seed: UInt64(count))
      let arrays = (0..<4).map { _ in numbers.extensions(count) }
      let numerators: [[Int32]?] = [
        numbers.integers(count), numbers.integers(count), nil,
        (0..<count).map { Int32($0 * $0 % 3 % 2) },
      ]
      onEachPath { path in
        let layer = Layer(arrays)
        let cut = count / 2
        for range in [(0, cut), (cut, count)] {
          sumcheck_fraction_sum(layer.c.p0, layer.c.q0, layer.c, range.0, range.1)
        }
        #expect(layer.vectors[0].values == Self.sums(arrays).p, "\(path)")
        #expect(layer.vectors[2].values == Self.sums(arrays).q, "\(path)")
        for n0 in numerators {
          for n1 in numerators {
            let (p, q) = (Vector(count: count), Vector(count: count))
            let (q0, q1) = (Vector(arrays[2]), Vector(arrays[3]))
            for range in [(0, cut), (cut, count)] {
              sumcheck_fraction_sum_leaves(
                p.c, q.c, n0.pointer, n1.pointer, q0.c, q1.c, range.0, range.1)
            }
            let sums = Self.sums([
              Self.leaves(n0, count: count), Self.leaves(n1, count: count), arrays[2], arrays[3],
            ])
            #expect(p.values == sums.p && q.values == sums.q, "\(path)")
          }
        }
      }
    }

    @Test(arguments: [(0, 0), (0, 3), (2, 1), (4, 2), (5, 0)])
    func foldsAndGivesTheRoundOfALayer(lowVariables: Int, highVariables: Int) {
      let quarter = 1 << (lowVariables + highVariables)
      var numbers = Numbers(seed: UInt64(quarter))
      let arrays = (0..<4).map { _ in numbers.extensions(4 * quarter) }
      let numerators: [[Int32]?] = [
        nil, numbers.integers(4 * quarter), numbers.integers(4 * quarter),
      ]
      // Bits, as lookups have: the same in each quarter, in each half, and in neither.
      let bits = (0..<3).map { kind in
        let count = [quarter, 2 * quarter, 4 * quarter][kind]
        let some = (0..<count).map { _ in Int32(numbers.next() % 2) }
        return (0..<4 * quarter).map { some[$0 % count] }
      }
      let (lambda, r) = (numbers.extensions(1)[0], numbers.extensions(1)[0])
      let low = equality(numbers.extensions(lowVariables))
      let high = equality(numbers.extensions(highVariables))
      let doubled = equality(numbers.extensions(highVariables + 1))
      let weights = high.flatMap { x in low.map { x * $0 } }
      let firstWeights = doubled.flatMap { x in low.map { x * $0 } }
      let ranges = [(0, high.count / 2), (high.count / 2, high.count)]

      onEachPath { path in
        let (vl, vHigh, vDoubled) = (Vector(low), Vector(high), Vector(doubled))
        let eq = sumcheck_tensor(low: vl.c, high: vHigh.c, low_count: low.count)
        let wide = sumcheck_tensor(low: vl.c, high: vDoubled.c, low_count: low.count)

        func expectSecondRound(
          of arrays: [[Extension]], in layer: Layer, _ body: (Int, Int) -> sumcheck_quadratic
        ) {
          let parts = ranges.map { coefficients(body($0.0, $0.1)) }
          let expected = Self.round(arrays.map { fold($0, r) }, lambda, weights)
          #expect(zip(parts[0], parts[1]).map(+) == expected, "\(path)")
          let folded = Self.folded(arrays, lambda, r)
          for (vector, values) in zip(layer.vectors, folded) {
            #expect(Array(vector.values[..<(2 * quarter)]) == values, "\(path)")
          }
        }
        for kind in [nil, 0, 1, 2] {
          var arrays = arrays
          if let kind { arrays[0] = Self.leaves(bits[kind], count: 4 * quarter) }
          let layer = Layer(arrays)
          let first = sumcheck_fraction_round(
            layer.c, lambda.c, wide, 2 * quarter, 0, doubled.count)
          #expect(coefficients(first) == Self.round(arrays, lambda, firstWeights), "\(path)")
          expectSecondRound(of: arrays, in: layer) {
            sumcheck_fraction_fold_round(layer.c, r.c, eq, quarter, $0, $1)
          }
        }

        for (n0, n1) in [
          (numerators[0], numerators[0]), (numerators[0], numerators[1]),
          (numerators[1], numerators[0]), (numerators[1], numerators[2]), (bits[0], bits[0]),
          (bits[0], nil), (bits[1], bits[0]), (bits[1], bits[1]), (bits[2], bits[0]),
          (bits[0], numerators[1]),
        ] {
          let leaves = [
            Self.leaves(n0, count: 4 * quarter), Self.leaves(n1, count: 4 * quarter), arrays[2],
            arrays[3],
          ]
          let first = {
            let (q0, q1) = (Vector(arrays[2]), Vector(arrays[3]))
            return sumcheck_fraction_round_leaves(
              n0.pointer, n1.pointer, q0.c, q1.c, lambda.c, wide, 2 * quarter, 0, doubled.count)
          }()
          #expect(coefficients(first) == Self.round(leaves, lambda, firstWeights), "\(path)")
          let layer = Layer(leaves)
          expectSecondRound(of: leaves, in: layer) {
            sumcheck_fraction_fold_round_leaves(
              layer.c, n0.pointer, n1.pointer, layer.c.q0, layer.c.q1, lambda.c, r.c, eq, quarter,
              $0, $1)
          }
        }
      }
    }
  }
}
