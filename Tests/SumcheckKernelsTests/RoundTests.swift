import CSumcheckKernels
import Testing

extension KernelTests {
  struct RoundTests {
    /// The round of the sum of f * w, by its definition.
    private static func productRound(_ f: [Extension], _ w: [Extension]) -> [Extension] {
      quadratic { x in zip(fold(f, x), fold(w, x)).map(*).sum() }
    }

    private static func add(_ a: [Extension], _ b: [Extension]) -> [Extension] {
      zip(a, b).map(+)
    }

    @Test(arguments: [1, 2, 4, 21, 64])
    func foldsAndGivesTheRoundOfAProduct(quarter: Int) {
      let count = 4 * quarter
      var numbers = Numbers(seed: UInt64(quarter))
      let (f, w) = (numbers.extensions(count), numbers.extensions(count))
      let int16s: [Int16] = numbers.integers(count)
      let int32s: [Int32] = numbers.integers(count)
      let base = numbers.elements(count)
      let r = numbers.extensions(1)[0]
      let (half, cut) = (2 * quarter, quarter / 3)

      onEachPath { path in
        /// `first` gives the first round, `second` folds and gives the second; each by ranges.
        func expect(
          _ f: [Extension],
          fold foldOnly: (sumcheck_vector, Int, Int) -> Void,
          first: (sumcheck_vector, Int, Int) -> sumcheck_quadratic,
          second: (sumcheck_vector, sumcheck_vector, Int, Int) -> sumcheck_quadratic
        ) {
          let (vf, vw, out) = (Vector(f), Vector(w), Vector(count: half))
          foldOnly(out.c, 0, cut)
          foldOnly(out.c, cut, half)
          #expect(out.values == fold(f, r), "\(path)")
          let firstRound = Self.add(
            coefficients(first(vw.c, 0, cut)), coefficients(first(vw.c, cut, half)))
          #expect(firstRound == Self.productRound(f, w), "\(path)")
          let secondRound = Self.add(
            coefficients(second(vf.c, vw.c, 0, cut)), coefficients(second(vf.c, vw.c, cut, quarter))
          )
          #expect(secondRound == Self.productRound(fold(f, r), fold(w, r)), "\(path)")
          #expect(Array(vf.values[..<half]) == fold(f, r), "\(path)")
          #expect(Array(vw.values[..<half]) == fold(w, r), "\(path)")
        }
        let vf = Vector(f)
        expect(
          f, fold: { sumcheck_fold_extension($0, vf.c, half, r.c, $1, $2) },
          first: { sumcheck_product_round_extension(vf.c, $0, half, $1, $2) },
          second: { sumcheck_product_fold_round_extension($0, $1, quarter, r.c, $2, $3) })
        expect(
          int16s.map { Extension(Element(integer: $0)) },
          fold: { sumcheck_fold_int16($0, int16s, half, r.c, $1, $2) },
          first: { sumcheck_product_round_int16(int16s, $0, half, $1, $2) },
          second: { sumcheck_product_fold_round_int16($0, int16s, $1, quarter, r.c, $2, $3) })
        expect(
          int32s.map { Extension(Element(integer: $0)) },
          fold: { sumcheck_fold_int32($0, int32s, half, r.c, $1, $2) },
          first: { sumcheck_product_round_int32(int32s, $0, half, $1, $2) },
          second: { sumcheck_product_fold_round_int32($0, int32s, $1, quarter, r.c, $2, $3) })
        let values = base.map(\.value)
        expect(
          base.map { Extension($0) }, fold: { sumcheck_fold_base($0, values, half, r.c, $1, $2) },
          first: { sumcheck_product_round_base(values, $0, half, $1, $2) },
          second: { sumcheck_product_fold_round_base($0, values, $1, quarter, r.c, $2, $3) })
      }
    }

    @Test(arguments: [(0, 0), (0, 3), (2, 1), (4, 2), (5, 0)])
    func foldsAndGivesTheRoundWithAnEquality(lowVariables: Int, highVariables: Int) {
      let quarter = 1 << (lowVariables + highVariables)
      var numbers = Numbers(seed: UInt64(quarter))
      let (f, h) = (numbers.extensions(4 * quarter), numbers.extensions(4 * quarter))
      let r = numbers.extensions(1)[0]
      let low = equality(numbers.extensions(lowVariables))
      let high = equality(numbers.extensions(highVariables))
      let doubled = equality(numbers.extensions(highVariables + 1))
      func round(_ f: [Extension], _ h: [Extension], _ high: [Extension]) -> [Extension] {
        let weights = high.flatMap { x in low.map { x * $0 } }
        return quadratic { x in
          zip(weights, zip(fold(f, x), fold(h, x)).map(*)).map(*).sum()
        }
      }
      onEachPath { path in
        let (vf, vh, vl) = (Vector(f), Vector(h), Vector(low))
        let (vHigh, vDoubled) = (Vector(high), Vector(doubled))
        let wide = sumcheck_tensor(low: vl.c, high: vDoubled.c, low_count: low.count)
        let first = sumcheck_equality_round(
          vf.c, vh.c, wide, 2 * quarter, 0, doubled.count)
        #expect(coefficients(first) == round(f, h, doubled), "\(path)")
        let eq = sumcheck_tensor(low: vl.c, high: vHigh.c, low_count: low.count)
        let middle = high.count / 2
        let parts = [(0, middle), (middle, high.count)].map {
          coefficients(sumcheck_equality_fold_round(vf.c, vh.c, eq, quarter, r.c, $0, $1))
        }
        #expect(Self.add(parts[0], parts[1]) == round(fold(f, r), fold(h, r), high), "\(path)")
        #expect(Array(vf.values[..<(2 * quarter)]) == fold(f, r), "\(path)")
        #expect(Array(vh.values[..<(2 * quarter)]) == fold(h, r), "\(path)")
      }
    }

    @Test(arguments: [(1, 0, 1), (2, 2, 1), (4, 3, 0), (9, 2, 2)])
    func givesTheRoundOfManyFactors(factorCount: Int, lowVariables: Int, highVariables: Int) {
      let half = 1 << (lowVariables + highVariables)
      var numbers = Numbers(seed: UInt64(factorCount))
      let factors = (0..<factorCount).map { _ in numbers.extensions(2 * half) }
      let low = equality(numbers.extensions(lowVariables))
      let high = equality(numbers.extensions(highVariables))
      let weights = high.flatMap { x in low.map { x * $0 } }
      var expected = [Extension](repeating: .zero, count: factorCount + 1)
      for index in 0..<half {
        var product = [weights[index]]
        for factor in factors {
          let (start, step) = (factor[index], factor[half + index] - factor[index])
          let raised = [.zero] + product.map { $0 * step }
          product = zip(product.map { $0 * start } + [.zero], raised).map(+)
        }
        expected = zip(expected, product).map(+)
      }
      onEachPath { path in
        let vectors = factors.map(Vector.init)
        let (vl, vh) = (Vector(low), Vector(high))
        let eq = sumcheck_tensor(low: vl.c, high: vh.c, low_count: low.count)
        let parts = [(0, high.count / 2), (high.count / 2, high.count)].map { part in
          var coefficients = [sumcheck_extension](
            repeating: sumcheck_extension(c0: 1, c1: 1), count: factorCount + 1)
          sumcheck_factors_round(
            &coefficients, vectors.map(\.c), factorCount, eq, half, part.0, part.1)
          return coefficients.map(Extension.init)
        }
        #expect(zip(parts[0], parts[1]).map(+) == expected, "\(path)")
      }
    }
  }
}
