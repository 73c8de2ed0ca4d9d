/// A run of a circuit's program that keeps every tensor, as a witness needs them.
package struct RetainedRun: Sendable {
  /// The integers of every tensor, row-major, by number.
  package let tensors: [[Int16]]
  package let outputs: [[UInt8]]
}
