import FixedPoint
import Statements

/// Runs a sliced model: every slice as soon as all it consumes is there, side by side on the
/// processor's cores. Bytes and errors are the same however the slices interleave.
package struct SlicedExecutor: Sendable {
  let manifest: Manifest
  private let executors: [Executor]
  private let consumers: [[Int]]

  package init(_ model: SlicedModel) throws(SlicingError) {
    manifest = model.manifest
    var executors: [Executor] = []
    var consumers = [[Int]](repeating: [], count: model.manifest.slices.count)
    for slice in model.manifest.slices.indices {
      executors.append(Executor(program: try model.program(of: slice)))
      for producer in model.manifest.producers(of: slice) { consumers[producer].append(slice) }
    }
    (self.executors, self.consumers) = (executors, consumers)
  }

  /// Boundary bytes of the model's inputs in, of its answer out. Where slices fail, the error is
  /// that of the lowest, as if they had run in order.
  package func run(_ inputs: [[UInt8]]) async throws -> [[UInt8]] {
    guard inputs.count == manifest.inputs.count else {
      throw ExecutionError.inputCount(expected: manifest.inputs.count, got: inputs.count)
    }
    var results = [[[UInt8]]](repeating: [], count: executors.count)
    var waiting = manifest.slices.indices.map { manifest.producers(of: $0).count }
    var failure: (slice: Int, error: any Error)?
    try await withThrowingTaskGroup(
      of: (slice: Int, outcome: Result<[[UInt8]], any Error>).self
    ) { group in
      func start(_ slice: Int) {
        let tensors = manifest.slices[slice].sources.map { bytes(of: $0, inputs, results) }
        group.addTask {
          (slice, Result { try executors[slice].run(tensors) })
        }
      }
      for slice in executors.indices where waiting[slice] == 0 { start(slice) }
      while let (slice, outcome) = try await group.next() {
        try Task.checkCancellation()
        switch outcome {
        case .success(let tensors):
          results[slice] = tensors
          for consumer in consumers[slice] {
            waiting[consumer] -= 1
            // What comes after the failure so far cannot be the lowest.
            if waiting[consumer] == 0, consumer < failure?.slice ?? .max { start(consumer) }
          }
        case .failure(let error):
          if slice < failure?.slice ?? .max { failure = (slice, error) }
        }
      }
    }
    if let failure { throw failure.error }
    return manifest.outputs.map { bytes(of: $0, inputs, results) }
  }

  /// Every slice's output tensors, one slice after the other.
  func trace(_ inputs: [[UInt8]]) throws(ExecutionError) -> [[[UInt8]]] {
    var results: [[[UInt8]]] = []
    for slice in executors.indices { results.append(try run(slice, inputs, results)) }
    return results
  }

  /// The trace with other outputs of one slice and all that follows from them; what does not depend
  /// on the slice is not computed again.
  func retrace(
    _ trace: [[[UInt8]]], _ inputs: [[UInt8]], slice: Int, outputs: [[UInt8]]
  ) throws(ExecutionError) -> [[[UInt8]]] {
    var results = trace
    results[slice] = outputs
    for dependent in dependents(of: slice) {
      results[dependent] = try run(dependent, inputs, results)
    }
    return results
  }

  /// Slices that depend on `slice`, ascending.
  func dependents(of slice: Int) -> [Int] {
    var reached: Set<Int> = [slice]
    // Consumers come after their producers.
    for candidate in executors.indices.dropFirst(slice) where reached.contains(candidate) {
      reached.formUnion(consumers[candidate])
    }
    return reached.subtracting([slice]).sorted()
  }

  func bytes(
    of source: Manifest.Source, _ inputs: [[UInt8]], _ results: [[[UInt8]]]
  ) -> [UInt8] {
    switch source {
    case .input(let index): inputs[index]
    case .slice(let slice, let output): results[slice][output]
    }
  }

  private func run(
    _ slice: Int, _ inputs: [[UInt8]], _ results: [[[UInt8]]]
  ) throws(ExecutionError) -> [[UInt8]] {
    try executors[slice].run(
      manifest.slices[slice].sources.map { bytes(of: $0, inputs, results) })
  }
}
