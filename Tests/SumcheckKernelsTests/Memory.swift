import CSumcheckKernels

/// A vector over the extension in memory of its own.
final class Vector {
  let count: Int
  let c: sumcheck_vector

  init(_ values: [Extension]) {
    count = values.count
    c = sumcheck_vector(c0: .allocate(capacity: count + 1), c1: .allocate(capacity: count + 1))
    for (i, value) in values.enumerated() {
      c.c0[i] = value.c0.value
      c.c1[i] = value.c1.value
    }
  }

  convenience init(count: Int) { self.init([Extension](repeating: .zero, count: count)) }

  deinit {
    c.c0.deallocate()
    c.c1.deallocate()
  }

  /// What it holds; an element that is not canonical stops the test.
  var values: [Extension] {
    (0..<count).map { i in
      precondition(c.c0[i] < Element.modulus && c.c1[i] < Element.modulus)
      return Extension(Element(c.c0[i]), Element(c.c1[i]))
    }
  }
}

/// Runs the body once on each path that this processor has.
func onEachPath(_ body: (sumcheck_path) throws -> Void) rethrows {
  for path in [SUMCHECK_PORTABLE, SUMCHECK_AVX2] where sumcheck_path_select(path) {
    try body(path)
  }
  _ = sumcheck_path_select(sumcheck_path_best())
}

extension [Int32]? {
  /// A copy that lives as long as the process: null has a meaning of its own to the kernels, and a
  /// test is short.
  var pointer: UnsafePointer<Int32>? {
    guard let self else { return nil }
    let copy = UnsafeMutablePointer<Int32>.allocate(capacity: self.count)
    copy.initialize(from: self, count: self.count)
    return UnsafePointer(copy)
  }
}
