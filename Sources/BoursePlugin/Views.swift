import CBourseProver
import FixedPoint
import Primitives
import Statements

// Borrowed C views to Swift values, and Swift values to sinks.

extension [UInt8] {
  init(_ bytes: bourse_bytes) {
    self.init(UnsafeBufferPointer(start: bytes.data, count: bytes.length))
  }
}

extension Program {
  init(_ bytes: bourse_bytes) throws(Refusal) {
    do {
      self = try Program(canonicalBytes: [UInt8](bytes))
    } catch {
      throw Refusal(BOURSE_BAD_KEY, error.sentence)
    }
  }

  /// Refuses a key that was compiled from another slice than the one of the session.
  func requireBoundary(_ options: bourse_session_options) throws(Refusal) {
    guard
      BoundarySpecification.agree(inputs, options.inputs, count: options.input_count),
      BoundarySpecification.agree(outputs, options.outputs, count: options.output_count)
    else {
      throw Refusal(
        BOURSE_BAD_KEY,
        "The key's program has other boundary tensors than the slice; compile it again.")
    }
  }
}

extension BoundarySpecification {
  fileprivate static func agree(
    _ specifications: [BoundarySpecification],
    _ boundaries: UnsafePointer<UnsafePointer<bourse_boundary>?>?, count: UInt32
  ) -> Bool {
    specifications.count == Int(count)
      && specifications.enumerated().allSatisfy { index, specification in
        guard let boundary = boundaries?[index]?.pointee else { return false }
        return boundary.element_type == specification.elementType.rawValue
          && boundary.exponent == specification.exponent
          && UnsafeBufferPointer(start: boundary.shape, count: Int(boundary.rank)).map { Int($0) }
            == specification.shape
      }
  }
}

extension Inference {
  /// `context`: BOURSE_CONTEXT_LENGTH bytes.
  init(_ view: bourse_inference, context: UnsafePointer<UInt8>) {
    inputs = Self.tensors(view.inputs, count: view.input_count)
    outputs = Self.tensors(view.outputs, count: view.output_count)
    self.context = Array(
      UnsafeBufferPointer(start: context, count: Int(BOURSE_CONTEXT_LENGTH)))
  }

  static func tensors(
    _ views: UnsafePointer<UnsafePointer<bourse_tensor>?>?, count: UInt32
  ) -> [[UInt8]] {
    (0..<Int(count)).map { index in
      guard let view = views?[index]?.pointee else { return [] }
      return Array(UnsafeBufferPointer(start: view.data, count: view.byte_length))
    }
  }
}

extension UnsafePointer<bourse_sink>? {
  func write(_ bytes: [UInt8]) throws(Refusal) {
    let status = bytes.withUnsafeBufferPointer { buffer in
      self?.pointee.write(self, buffer.baseAddress, buffer.count) ?? BOURSE_MALFORMED
    }
    guard status == BOURSE_OK else { throw Refusal(status, "The host takes no more bytes.") }
  }
}

/// The options of `compile`: pairs `key=value`, separated by spaces.
enum Options {
  static func parse(_ text: String, keys: [String]) throws(Refusal) -> [String: String] {
    var options: [String: String] = [:]
    for pair in text.split(separator: " ") {
      let parts = pair.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else {
        throw Refusal(BOURSE_MALFORMED, "The option '\(pair)' is no pair 'key=value'.")
      }
      let (key, value) = (String(parts[0]), String(parts[1]))
      guard keys.contains(key) else {
        let known = keys.isEmpty ? "it takes none" : "it takes \(keys.joined(separator: ", "))"
        throw Refusal(BOURSE_UNSUPPORTED, "The backend has no option '\(key)'; \(known).")
      }
      guard options.updateValue(value, forKey: key) == nil else {
        throw Refusal(BOURSE_MALFORMED, "The option '\(key)' is given twice.")
      }
    }
    return options
  }
}
