import CSumcheckKernels

/// A vector over E as the kernels take it: one array per coefficient.
final class ExtensionVector {
  let count: Int
  /// From the first coefficients to the second. Not a power of two where both are long: then they,
  /// and those of other vectors, would share the same few lines of the first-level cache.
  private let distance: Int
  private let memory: Allocation

  /// With any elements, for what is written before it is read.
  init(unfilled count: Int) {
    self.count = count
    distance = count < 1 << 9 ? count : count + 288
    memory = Allocation(byteCount: 8 * (distance + count))
  }

  /// Zero at first.
  convenience init(count: Int) {
    self.init(unfilled: count)
    memory.start.initializeMemory(as: UInt64.self, repeating: 0, count: distance + count)
  }

  convenience init(_ elements: some Collection<Extension>) {
    self.init(unfilled: elements.count)
    for (index, element) in elements.enumerated() { self[index] = element }
  }

  /// Makes all elements zero.
  func clear(_ parallel: Parallel) throws(Cancelled) {
    try parallel.forEachPart(of: count, cost: 2) { part in
      for start in [part.lowerBound, distance + part.lowerBound] {
        (words + start).initialize(repeating: 0, count: part.count)
      }
    }
  }

  private var words: UnsafeMutablePointer<UInt64> {
    memory.start.assumingMemoryBound(to: UInt64.self)
  }

  var view: sumcheck_vector { view(from: 0) }

  func view(from start: Int) -> sumcheck_vector {
    sumcheck_vector(c0: words + start, c1: words + distance + start)
  }

  subscript(index: Int) -> Extension {
    get {
      Extension(
        Goldilocks(canonical: words[index]), Goldilocks(canonical: words[distance + index]))
    }
    set { (words[index], words[distance + index]) = (newValue.c0.value, newValue.c1.value) }
  }

  static func equality(_ point: some Collection<Extension>) -> ExtensionVector {
    let result = ExtensionVector(unfilled: 1 << point.count)
    sumcheck_equality(result.view, point.map(\.kernel), point.count, Extension.one.kernel)
    return result
  }

  var elements: [Extension] { (0..<count).map { self[$0] } }
}

/// Elements in memory of their own, of any value until they are written.
final class Memory<Element: BitwiseCopyable> {
  let count: Int
  let values: UnsafeMutablePointer<Element>
  private let memory: Allocation

  init(unfilled count: Int) {
    self.count = count
    memory = Allocation(byteCount: MemoryLayout<Element>.stride * count)
    values = memory.start.bindMemory(to: Element.self, capacity: count)
  }

  var buffer: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: values, count: count) }
}

/// int32 values of a padded block.
typealias IntegerVector = Memory<Int32>

extension IntegerVector {
  /// Zeros.
  convenience init(count: Int, _ parallel: Parallel) throws(Cancelled) {
    self.init(unfilled: count)
    try parallel.forEachPart(of: count, cost: 0.5) { part in
      (values + part.lowerBound).initialize(repeating: 0, count: part.count)
    }
  }
}

extension Extension {
  init(_ kernel: sumcheck_extension) {
    self.init(Goldilocks(canonical: kernel.c0), Goldilocks(canonical: kernel.c1))
  }

  var kernel: sumcheck_extension { sumcheck_extension(c0: c0.value, c1: c1.value) }
}

/// eq(point, ·) as a tensor product of two tables, which loses its first variables one by one.
struct EqualityTable {
  private var high: ExtensionVector
  private var low: ExtensionVector

  init(_ point: some Collection<Extension>) {
    let point = Array(point)
    // A low table that stays in the first cache.
    let split = point.count - min(point.count, 8)
    high = .equality(point[..<split])
    low = .equality(point[split...])
  }

  var highCount: Int { high.count }
  var lowCount: Int { low.count }

  var tensor: sumcheck_tensor {
    sumcheck_tensor(low: low.view, high: high.view, low_count: lowCount)
  }

  /// Leaves the first variable out: both its values together weigh 1.
  mutating func dropFirst() {
    if high.count > 1 { high = Self.halved(high) } else { low = Self.halved(low) }
  }

  private static func halved(_ table: ExtensionVector) -> ExtensionVector {
    let half = table.count / 2
    let result = ExtensionVector(unfilled: half)
    sumcheck_extension_add(result.view, table.view, table.view(from: half), half)
    return result
  }
}
