import FixedPoint
import Primitives
import Quantization
package import Statements

/// Measures how often a changed output of a slice changes the answer (`docs/slicing.md`), in
/// integers throughout, so that everyone measures the same.
///
/// For each sample and each slice, every element of the slice's outputs gets independent noise of
/// up to half of its tensor's largest magnitude, and what depends on it is computed again. A
/// flip is another top class, or a range fault.
package struct InfluenceMeasurement: Sendable {
  package static let sampleLimit = 32
  /// Cost units of all that is computed; fewer samples are taken where it would be more.
  package static let workLimit: UInt64 = 1 << 33

  private let executor: SlicedExecutor
  private let sampleCount: Int

  package init(_ model: SlicedModel) throws(SlicingError) {
    executor = try SlicedExecutor(model)
    let slices = model.manifest.slices
    // One run of the whole, and one of all that depends on each slice.
    var work = model.manifest.totalCost.units
    for slice in slices.indices {
      for dependent in executor.dependents(of: slice) { work += slices[dependent].cost.units }
    }
    sampleCount = Int(min(max(Self.workLimit / work, 1), UInt64(Self.sampleLimit)))
  }

  /// Of every slice, in order. Samples on which the model itself leaves its range do not count.
  ///
  /// - Parameters:
  ///   - samples: Boundary bytes of the model's inputs; the first so many are taken.
  ///   - onSample: Told how many are done, and of how many.
  package func run(
    _ samples: [[[UInt8]]], onSample: (Int, Int) -> Void = { _, _ in }
  ) async throws -> [Influence] {
    let samples = samples.prefix(sampleCount)
    var flips = [UInt32](repeating: 0, count: executor.manifest.slices.count)
    var trials: UInt32 = 0
    try await withThrowingTaskGroup(of: [Bool]?.self) { group in
      for (index, sample) in samples.enumerated() {
        group.addTask { self.flips(of: sample, index: index) }
      }
      var done = 0
      while let flipped = try await group.next() {
        try Task.checkCancellation()
        done += 1
        onSample(done, samples.count)
        guard let flipped else { continue }
        trials += 1
        for (slice, flip) in flipped.enumerated() where flip { flips[slice] += 1 }
      }
    }
    return flips.map { Influence(flips: $0, trials: trials) }
  }

  /// By slice; nil where the sample cannot be used.
  private func flips(of sample: [[UInt8]], index: Int) -> [Bool]? {
    guard let trace = try? executor.trace(sample) else { return nil }
    let top = topClass(sample, trace)
    return trace.indices.map { slice in
      guard !Task.isCancelled else { return false }
      let outputs = trace[slice].enumerated().map { output, bytes in
        Self.perturbed(bytes, seed: UInt64(index) << 32 | UInt64(slice) << 16 | UInt64(output))
      }
      let changed = try? executor.retrace(trace, sample, slice: slice, outputs: outputs)
      return changed.map { topClass(sample, $0) != top } ?? true
    }
  }

  /// Index of the largest element of the answer's first tensor, the first where several are equal;
  /// of a single element, whether it is positive.
  private func topClass(_ inputs: [[UInt8]], _ trace: [[[UInt8]]]) -> Int? {
    let answer = executor.bytes(of: executor.manifest.outputs[0], inputs, trace)
    let integers = Self.integers(answer)
    guard integers.count > 1 else { return integers.first.map { $0 > 0 ? 1 : 0 } }
    return integers.indices.max {
      (integers[$0], $1) < (integers[$1], $0)
    }
  }

  /// x + n, clamped to int16, where n is uniform within ±max(1, largest magnitude / 2): the
  /// remainder of SplitMix64's next word by their count.
  package static func perturbed(_ bytes: [UInt8], seed: UInt64) -> [UInt8] {
    let integers = Self.integers(bytes)
    let reach = max(1, (integers.map { abs(Int($0)) }.max() ?? 0) / 2)
    var random = SplitMix64(state: seed)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    for integer in integers {
      let noise = Int(random.next() % UInt64(2 * reach + 1)) - reach
      let value = UInt16(bitPattern: Int16(clamping: Int(integer) + noise))
      result.append(UInt8(truncatingIfNeeded: value))
      result.append(UInt8(truncatingIfNeeded: value >> 8))
    }
    return result
  }

  private static func integers(_ bytes: [UInt8]) -> [Int16] {
    stride(from: 0, to: bytes.count - 1, by: 2).map {
      Int16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
    }
  }
}
