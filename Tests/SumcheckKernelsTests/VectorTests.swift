import CSumcheckKernels
import Testing

extension KernelTests {
  struct VectorTests {
    @Test(arguments: [0, 1, 3, 4, 7, 64, 129])
    func computesElementByElement(count: Int) {
      var numbers = Numbers(seed: UInt64(count))
      let (a, b) = (numbers.extensions(count), numbers.extensions(count))
      let scale = numbers.extensions(1)[0]
      let (int16s, int32s): ([Int16], [Int32]) = (numbers.integers(count), numbers.integers(count))
      let base = numbers.elements(count)
      onEachPath { path in
        let (va, vb) = (Vector(a), Vector(b))
        func expect(_ values: [Extension], _ body: (sumcheck_vector) -> Void) {
          let out = Vector(b)
          body(out.c)
          #expect(out.values == values, "\(path)")
        }
        expect(zip(a, b).map(+)) { sumcheck_extension_add($0, va.c, vb.c, count) }
        expect(zip(a, b).map(-)) { sumcheck_extension_subtract($0, va.c, vb.c, count) }
        expect(zip(a, b).map(*)) { sumcheck_extension_multiply($0, va.c, vb.c, count) }
        expect(a.map { $0 * scale }) { sumcheck_extension_scale($0, va.c, scale.c, count) }
        expect(zip(a, base).map { $0 * Extension($1) }) {
          sumcheck_extension_multiply_base($0, va.c, base.map(\.value), count)
        }
        expect(zip(a, b).map { $1 + scale * $0 }) {
          sumcheck_extension_add_scaled($0, va.c, scale.c, count)
        }
        expect(zip(base, b).map { $1 + scale * Extension($0) }) {
          sumcheck_extension_add_scaled_base($0, base.map(\.value), scale.c, count)
        }
        expect(zip(int16s, b).map { $1 + scale * Extension(Element(integer: $0)) }) {
          sumcheck_extension_add_scaled_int16($0, int16s, scale.c, count)
        }
        expect(zip(int32s, b).map { $1 + scale * Extension(Element(integer: $0)) }) {
          sumcheck_extension_add_scaled_int32($0, int32s, scale.c, count)
        }
      }
    }

    @Test(arguments: [0, 1, 5, 8, 131])
    func computesInTheBaseField(count: Int) {
      var numbers = Numbers(seed: UInt64(count))
      let (a, b) = (numbers.elements(count), numbers.elements(count))
      let (int16s, int32s): ([Int16], [Int32]) = (numbers.integers(count), numbers.integers(count))
      let (ua, ub) = (a.map(\.value), b.map(\.value))
      onEachPath { path in
        func expect(_ values: [Element], _ body: (inout [UInt64]) -> Void) {
          var out = [UInt64](repeating: 0, count: count)
          body(&out)
          #expect(out == values.map(\.value), "\(path)")
        }
        expect(zip(a, b).map(+)) { sumcheck_base_add(&$0, ua, ub, count) }
        expect(zip(a, b).map(-)) { sumcheck_base_subtract(&$0, ua, ub, count) }
        expect(zip(a, b).map(*)) { sumcheck_base_multiply(&$0, ua, ub, count) }
        expect(int16s.map(Element.init)) { sumcheck_base_from_int16(&$0, int16s, count) }
        expect(int32s.map(Element.init)) { sumcheck_base_from_int32(&$0, int32s, count) }
      }
    }

    /// Every pair of the values at which a carry, a borrow or a reduction changes.
    @Test func multipliesTheExtremes() {
      let p = Element.modulus
      let edges: [UInt64] = [
        0, 1, 2, 0xffff_fffe, 0xffff_ffff, 1 << 32, (1 << 32) + 1, 1 << 63, p >> 1, (p >> 1) + 1,
        p - (1 << 32), p - (1 << 32) - 1, p - 2, p - 1,
      ]
      let a = edges.flatMap { edge in edges.map { _ in edge } }
      let b = edges.flatMap { _ in edges }
      let products = zip(a, b).map { (Element($0) * Element($1)).value }
      onEachPath { path in
        var out = [UInt64](repeating: 0, count: a.count)
        sumcheck_base_multiply(&out, a, b, a.count)
        #expect(out == products, "\(path)")
      }
    }

    @Test(arguments: 0...7)
    func expandsAnEquality(variables: Int) {
      var numbers = Numbers(seed: UInt64(variables))
      let point = numbers.extensions(variables)
      let scale = numbers.extensions(1)[0]
      let table = equality(point).map { scale * $0 }
      onEachPath { path in
        let out = Vector(count: table.count)
        sumcheck_equality(out.c, point.map(\.c), variables, scale.c)
        #expect(out.values == table, "\(path)")
      }
    }

    @Test(arguments: [0, 1, 2, 31])
    func raisesToPowers(count: Int) {
      var numbers = Numbers(seed: UInt64(count))
      let (start, x) = (numbers.extensions(1)[0], numbers.extensions(1)[0])
      var powers: [Extension] = []
      for i in 0..<count { powers.append(i == 0 ? start : powers[i - 1] * x) }
      onEachPath { path in
        let out = Vector(count: count)
        sumcheck_extension_powers(out.c, start.c, x.c, count)
        #expect(out.values == powers, "\(path)")
      }
    }

    @Test func multipliesTensors() {
      var numbers = Numbers(seed: 1)
      let (a, b) = (numbers.extensions(5) + [.zero], numbers.extensions(9))
      let outer = a.flatMap { x in b.map { x * $0 } }
      let before = numbers.extensions(outer.count)
      onEachPath { path in
        let (va, vb, out) = (Vector(a), Vector(b), Vector(before))
        sumcheck_extension_outer_add(out.c, va.c, a.count, vb.c, b.count)
        #expect(out.values == zip(before, outer).map(+), "\(path)")
        sumcheck_extension_outer(out.c, va.c, a.count, vb.c, b.count)
        #expect(out.values == outer, "\(path)")
      }
    }

    @Test(arguments: [0, 1, 6, 32, 133, 1000])
    func sumsInnerProducts(count: Int) {
      var numbers = Numbers(seed: UInt64(count))
      let weights = numbers.extensions(count)
      let (int16s, int32s): ([Int16], [Int32]) = (numbers.integers(count), numbers.integers(count))
      let (base, values) = (numbers.elements(count), numbers.extensions(count))
      func sum(_ values: [Element]) -> Extension {
        zip(values, weights).map { Extension($0) * $1 }.sum()
      }
      onEachPath { path in
        let (w, v) = (Vector(weights), Vector(values))
        #expect(
          Extension(sumcheck_inner_int16(int16s, w.c, count)) == sum(int16s.map(Element.init)),
          "\(path)")
        #expect(
          Extension(sumcheck_inner_int32(int32s, w.c, count)) == sum(int32s.map(Element.init)),
          "\(path)")
        #expect(
          Extension(sumcheck_inner_base(base.map(\.value), w.c, count)) == sum(base), "\(path)")
        #expect(
          Extension(sumcheck_inner_extension(v.c, w.c, count))
            == zip(values, weights).map(*).sum(), "\(path)")
      }
    }

    /// Long enough that a sum whose reduction is delayed has to be reduced on the way.
    @Test func sumsLongInnerProductsOfExtremes() {
      let count = 70_000
      let largest = Extension(Element(Element.modulus - 1), Element(Element.modulus - 1))
      let negative = Extension(Element(integer: Int32.min))
      onEachPath { path in
        let w = Vector([Extension](repeating: largest, count: count))
        let total = Extension(Element(integer: count)) * largest
        #expect(
          Extension(
            sumcheck_inner_int32([Int32](repeating: Int32.min, count: count), w.c, count))
            == total * negative, "\(path)")
        #expect(
          Extension(
            sumcheck_inner_int16([Int16](repeating: Int16.min, count: count), w.c, count))
            == total * Extension(Element(integer: Int16.min)), "\(path)")
        #expect(Extension(sumcheck_inner_extension(w.c, w.c, count)) == total * largest, "\(path)")
      }
    }

    @Test(arguments: [1, 2, 8, 32])
    func evaluatesByTwoTables(lowCount: Int) {
      var numbers = Numbers(seed: UInt64(lowCount))
      let (low, high) = (numbers.extensions(lowCount), numbers.extensions(6))
      let weights = high.flatMap { h in low.map { h * $0 } }
      let (int16s, int32s): ([Int16], [Int32]) = (
        numbers.integers(weights.count), numbers.integers(weights.count)
      )
      let values = numbers.extensions(weights.count)
      let base = numbers.elements(weights.count)
      func sum(_ values: [Extension]) -> Extension { zip(values, weights).map(*).sum() }
      onEachPath { path in
        let (vl, vh, v) = (Vector(low), Vector(high), Vector(values))
        let tensor = sumcheck_tensor(low: vl.c, high: vh.c, low_count: lowCount)
        func expect(_ value: Extension, _ body: (Int, Int) -> sumcheck_extension) {
          #expect(Extension(body(0, 2)) + Extension(body(2, 6)) == value, "\(path)")
        }
        expect(sum(values)) { sumcheck_evaluate_extension(v.c, tensor, $0, $1) }
        expect(sum(base.map { Extension($0) })) {
          sumcheck_evaluate_base(base.map(\.value), tensor, $0, $1)
        }
        expect(sum(int16s.map { Extension(Element(integer: $0)) })) {
          sumcheck_evaluate_int16(int16s, tensor, $0, $1)
        }
        expect(sum(int32s.map { Extension(Element(integer: $0)) })) {
          sumcheck_evaluate_int32(int32s, tensor, $0, $1)
        }
      }
    }

    @Test(arguments: [1, 5, 64, 300])
    func combinesRows(rowCount: Int) {
      let (columns, stride) = (27, 30)
      var numbers = Numbers(seed: UInt64(rowCount))
      let weights = numbers.extensions(rowCount)
      let int16s: [Int16] = numbers.integers(rowCount * stride)
      let int32s: [Int32] = numbers.integers(rowCount * stride)
      let base = numbers.elements(rowCount * stride)
      func combine(_ element: (Int) -> Element) -> [Extension] {
        (0..<columns).map { j in
          (0..<rowCount).map { weights[$0] * Extension(element($0 * stride + j)) }.sum()
        }
      }
      onEachPath { path in
        let w = Vector(weights)
        func expect(_ values: [Extension], _ body: (sumcheck_vector, Int, Int) -> Void) {
          let out = Vector(count: columns)
          body(out.c, 0, 10)
          body(out.c, 10, columns)
          #expect(out.values == values, "\(path)")
        }
        expect(combine { Element(integer: int16s[$0]) }) {
          sumcheck_combine_rows_int16($0, int16s, stride, w.c, rowCount, $1, $2)
        }
        expect(combine { Element(integer: int32s[$0]) }) {
          sumcheck_combine_rows_int32($0, int32s, stride, w.c, rowCount, $1, $2)
        }
        expect(combine { base[$0] }) {
          sumcheck_combine_rows_base($0, base.map(\.value), stride, w.c, rowCount, $1, $2)
        }
      }
    }

    @Test func countsValues() {
      let int16s: [Int16] = [0, 5, -32768, 32767, 5, 5, -1]
      var counts = [UInt32](repeating: 0, count: 1 << 16)
      counts[32768] = 7
      sumcheck_histogram_int16(&counts, int16s, int16s.count)
      #expect(counts[32768] == 8)
      #expect(counts[32773] == 3)
      #expect(counts[0] == 1 && counts[65535] == 1 && counts[32767] == 1)
      #expect(counts.reduce(0, +) == 14)

      var few = [UInt32](repeating: 0, count: 4)
      let int32s: [Int32] = [0, 3, 3, 4, -1, Int32.min, Int32.max]
      #expect(sumcheck_histogram_int32(&few, few.count, int32s, int32s.count) == 4)
      #expect(few == [1, 0, 0, 2])
    }

    @Test(arguments: [(1, 1, 5), (4, 16, 9), (7, 33, 12), (9, 56, 27)])
    func slidesAWindow(rowCount: Int, width: Int, columns: Int) {
      var numbers = Numbers(seed: UInt64(width))
      let weights: [Int16] = numbers.integers(rowCount * columns)
      let operand: [Int16] = numbers.integers(500)
      let offsets = (0..<columns).map { _ in UInt32(numbers.next() % 400) }
      let stride = width + 3
      onEachPath { path in
        var sums = [Int32](repeating: -1, count: rowCount * stride)
        sumcheck_slide_int16(
          &sums, stride, operand, offsets, weights, columns, rowCount, width)
        for row in 0..<rowCount {
          for x in 0..<stride {
            let sum = (0..<columns).reduce(UInt16(0)) { sum, k in
              sum &+ UInt16(truncatingIfNeeded: weights[row * columns + k])
                &* UInt16(truncatingIfNeeded: operand[Int(offsets[k]) + min(x, width)])
            }
            #expect(sums[row * stride + x] == (x < width ? Int32(sum) : -1), "\(path)")
          }
        }
      }
    }
  }
}
