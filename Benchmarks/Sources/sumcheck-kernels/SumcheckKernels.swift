// Measures each kernel of the sumcheck prover on one core, on each path that this processor has,
// beside what its arithmetic needs at least: `swift run --package-path Benchmarks -c release
// sumcheck-kernels`. Times are of the thread, so that other programs disturb them less; each is the
// least of several runs.

import CSumcheckKernels
import Foundation

/// Vectors in memory of their own, filled with elements; never freed, as the program is short.
private func vector(_ count: Int) -> sumcheck_vector {
  func elements() -> UnsafeMutablePointer<UInt64> {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 8 * count + 64, alignment: 64)
    let elements = memory.bindMemory(to: UInt64.self, capacity: count)
    var state: UInt64 = 1
    for index in 0..<count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // Below p, which has 32 ones above.
      elements[index] = state & ~(1 << 63)
    }
    return elements
  }
  return sumcheck_vector(c0: elements(), c1: elements())
}

private func integers(_ count: Int) -> UnsafeMutablePointer<Int32> {
  let integers = UnsafeMutablePointer<Int32>.allocate(capacity: count)
  for index in 0..<count { integers[index] = Int32(Int16(truncatingIfNeeded: index &* 7919)) }
  return integers
}

extension sumcheck_vector {
  fileprivate func from(_ index: Int) -> sumcheck_vector {
    sumcheck_vector(c0: c0 + index, c1: c1 + index)
  }
}

private func threadNanoseconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

private func least(_ runs: Int, _ body: () -> Void) -> Double {
  (0..<runs).map { _ in
    let start = threadNanoseconds()
    body()
    return threadNanoseconds() - start
  }.min() ?? 0
}

/// Keeps results from being thought unused.
nonisolated(unsafe) private var sink: UInt64 = 1

/// From a chain of dependent multiplications and additions, four cycles each step on current
/// processors.
private let nanosecondsPerCycle: Double = {
  let steps = 1_000_000
  return least(5) {
    var x = sink
    for _ in 0..<steps { x = x &* x &+ 3 }
    sink = x
  } / Double(4 * steps)
}()

private struct Kernel {
  let name: String
  let unit: String
  /// Units of one run.
  let units: Int
  /// The least that a unit needs on a core that does two 256-bit products of 32 bits, or four other
  /// 256-bit operations, in a cycle.
  let cycles: Double
  let run: () -> Void

  /// `products` of 32 bits a unit.
  init(_ name: String, _ unit: String, _ units: Int, products: Double, _ run: @escaping () -> Void)
  {
    (self.name, self.unit, self.units, self.run) = (name, unit, units, run)
    cycles = products / 8
  }

  init(
    _ name: String, _ unit: String, _ units: Int, operations: Double, _ run: @escaping () -> Void
  ) {
    (self.name, self.unit, self.units, self.run) = (name, unit, units, run)
    cycles = operations / 4
  }
}

private func kernels() -> [Kernel] {
  let count = 1 << 12
  let (a, b, out) = (vector(count), vector(count), vector(count))
  let (r, scale) = (sumcheck_extension(c0: 3, c1: 5), sumcheck_extension(c0: 1 << 62, c1: 7))
  let small = integers(1 << 20)
  let half = count / 2
  let tensor = sumcheck_tensor(low: a, high: b, low_count: 256)
  return [
    // A product is four products of 32 bits; with a fixed factor's limbs it is six.
    Kernel("multiply, base field", "product", count, products: 4) {
      sumcheck_base_multiply(out.c0, a.c0, b.c0, count)
    },
    Kernel("multiply, extension", "product", count, products: 16) {
      sumcheck_extension_multiply(out, a, b, count)
    },
    Kernel("scale, extension", "element", count, products: 16) {
      sumcheck_extension_scale(out, a, scale, count)
    },
    Kernel("fold, extension", "result", half, products: 16) {
      sumcheck_fold_extension(out, a, half, r, 0, half)
    },
    Kernel("fold, integers", "result", half, products: 8) {
      sumcheck_fold_int32(out, small, half, r, 0, half)
    },
    Kernel("equality of 12 variables", "value", count, products: 16) {
      sumcheck_equality(out, [sumcheck_extension](repeating: r, count: 12), 12, scale)
    },
    Kernel("inner product, integers", "value", count, products: 4) {
      sink &+= sumcheck_evaluate_int32(small, tensor, 0, count / 256).c0
    },
    Kernel("inner product, extension", "value", count, products: 16) {
      sink &+= sumcheck_inner_extension(a, b, count).c0
    },
    Kernel("row combination, 512 rows", "integer", 512 << 10, products: 4) {
      sumcheck_combine_rows_int32(out, small, 1 << 10, a, 512, 0, 1 << 10)
    },
  ] + [productSumcheck(), lookups()] + commitments(small)
}

/// A whole product sumcheck over integers and a functional.
private func productSumcheck() -> Kernel {
  let log = 18
  let count = 1 << log
  let (f, w, folded) = (integers(count), vector(count), vector(count / 2))
  let r = sumcheck_extension(c0: 3, c1: 5)
  // First round 2 products with integers a pair; then 2 folds and 2 products for each of what is
  // left, the first fold from integers: 2 + (8 + 16 + 16) + (32 + 16) products a value in all.
  return Kernel("product sumcheck, 2^18", "value", count, products: 8 + 20 + 24) {
    sink &+= sumcheck_product_round_int32(f, w, count / 2, 0, count / 2).at_zero.c0
    sink &+= sumcheck_product_fold_round_int32(folded, f, w, count / 4, r, 0, count / 4).leading.c0
    var quarter = count / 8
    while quarter >= 1 {
      sink &+= sumcheck_product_fold_round_extension(folded, w, quarter, r, 0, quarter).leading.c0
      quarter /= 2
    }
  }
}

/// All layers of a tree whose numerators are ones: sums from the leaves up, rounds from the root
/// down.
private func lookups() -> Kernel {
  let log = 18
  let count = 1 << log
  let (q, low, high) = (vector(count), vector(512), vector(1 << 9))
  let numerators = UnsafeMutablePointer<Int32>.allocate(capacity: count)
  numerators.initialize(repeating: 1, count: count)
  let layers = (0..<log).map { (p: vector(1 << $0), q: vector(1 << $0)) }
  let folded = (
    p0: vector(count / 4), p1: vector(count / 4), q0: vector(count / 4), q1: vector(count / 4)
  )
  let (lambda, r) = (sumcheck_extension(c0: 1 << 40, c1: 9), sumcheck_extension(c0: 3, c1: 5))
  func equality(_ pairs: Int) -> (tensor: sumcheck_tensor, high: Int) {
    let lowCount = min(512, pairs)
    return (sumcheck_tensor(low: low, high: high, low_count: lowCount), pairs / lowCount)
  }
  func rounds(_ layer: sumcheck_fractions, quarter first: Int) {
    var quarter = first
    while quarter >= 1 {
      let (eq, blocks) = equality(quarter)
      sink &+= sumcheck_fraction_fold_round(layer, r, eq, quarter, 0, blocks).leading.c0
      quarter /= 2
    }
  }
  func split(_ p: sumcheck_vector, _ q: sumcheck_vector, _ half: Int) -> sumcheck_fractions {
    sumcheck_fractions(p0: p, p1: p.from(half), q0: q, q1: q.from(half))
  }
  // Sums: a product a leaf's pair at first, then three a node. Rounds: at the leaves 2·2 products
  // and 3·2 folds a pair of two rounds, above 2·3 and 4·2; three products a pair for the first
  // round.
  return Kernel("LogUp-GKR, 2^18 leaves", "leaf", count, products: 16 * (0.5 + 1.5 + 4 + 7)) {
    sumcheck_fraction_sum_leaves(
      layers[log - 1].p, layers[log - 1].q, numerators, numerators + count / 2, q,
      q.from(count / 2), 0, count / 2)
    for level in (0..<log - 1).reversed() {
      let below = split(layers[level + 1].p, layers[level + 1].q, 1 << level)
      sumcheck_fraction_sum(layers[level].p, layers[level].q, below, 0, 1 << level)
    }
    for level in 1..<log - 1 {
      let layer = split(layers[level + 1].p, layers[level + 1].q, 1 << level)
      let (eq, blocks) = equality(1 << (level - 1))
      sink &+= sumcheck_fraction_round(layer, lambda, eq, 1 << (level - 1), 0, blocks).leading.c0
      rounds(layer, quarter: (1 << level) / 4)
    }
    let half = count / 4
    let (p0, p1, q1) = (numerators, numerators + count / 2, q.from(count / 2))
    var (eq, blocks) = equality(half)
    sink &+=
      sumcheck_fraction_round_leaves(p0, p1, q, q1, lambda, eq, half, 0, blocks).leading.c0
    let layer = sumcheck_fractions(p0: folded.p0, p1: folded.p1, q0: folded.q0, q1: folded.q1)
    (eq, blocks) = equality(half / 2)
    sink &+=
      sumcheck_fraction_fold_round_leaves(
        layer, p0, p1, q, q1, lambda, r, eq, half / 2, 0, blocks
      ).leading.c0
    rounds(layer, quarter: half / 4)
  }
}

private func commitments(_ small: UnsafeMutablePointer<Int32>) -> [Kernel] {
  let (messageLog, rateLog) = (11, 1)
  let (length, code) = (1 << messageLog, 1 << (messageLog + rateLog))
  let rows = 128
  guard let encoder = sumcheck_encoder_create(UInt32(messageLog), UInt32(rateLog)),
    let columns = vector(rows * code).c0
  else { return [] }
  let scratch = UnsafeMutableRawPointer.allocate(
    byteCount: sumcheck_encoder_scratch_size(encoder), alignment: 64)
  let hashes = UnsafeMutablePointer<UInt8>.allocate(capacity: 32 * code)
  let bytes = UnsafeRawPointer(columns).assumingMemoryBound(to: UInt8.self)
  let size = 8 * rows * code
  return [
    // Eleven layers of half a product a position, two positions an element, one coset's shift.
    Kernel("Reed-Solomon, rate 1/2, 2^11", "element", rows * length, products: 4 * (11 + 1)) {
      sumcheck_encode_int32(encoder, columns, rows, small, length, 0, rows, scratch)
    },
    // Of a block of 64 bytes: 7 rounds of 8 steps of 6 additions, 4 xors, 8 for rotations, for
    // eight inputs at once.
    Kernel("BLAKE3, columns of 1 KiB", "byte", size, operations: 7 * 8 * 18 / 512.0) {
      sumcheck_blake3_many(hashes, bytes, 8 * rows, 8 * rows, nil, 0, code)
    },
    Kernel("BLAKE3, one input", "byte", size, operations: 7 * 8 * 18 / 512.0) {
      sumcheck_blake3(hashes, bytes, size, nil)
    },
  ]
}

@main
private enum SumcheckKernels {
  static func main() {
    let paths = [("portable", SUMCHECK_PORTABLE), ("AVX2", SUMCHECK_AVX2)].filter {
      sumcheck_path_select($0.1)
    }
    let kernels = kernels()
    print(String(format: "%.2f GHz; nanoseconds a unit", 1 / nanosecondsPerCycle))
    print(row("kernel", "unit", paths.map(\.0) + ["at least"]))
    for kernel in kernels {
      let times = paths.map { path in
        _ = sumcheck_path_select(path.1)
        return least(9, kernel.run) / Double(kernel.units)
      }
      let figures = (times + [kernel.cycles * nanosecondsPerCycle]).map {
        String(format: "%.3f", $0)
      }
      print(row(kernel.name, kernel.unit, figures))
    }
  }

  private static func row(_ name: String, _ unit: String, _ figures: [String]) -> String {
    func pad(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(1, width - text.count))
    }
    return figures.reduce(pad(name, 32) + pad(unit, 10)) { line, figure in
      line + String(repeating: " ", count: max(1, 10 - figure.count)) + figure
    }
  }
}
