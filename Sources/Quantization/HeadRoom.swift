import Foundation
import ModelGraph

/// How far a value of the model may grow beyond what calibration saw.
package struct HeadRoom: Sendable, Encodable {
  /// The value, as the ONNX file names it.
  package let value: String
  /// What calibration found.
  package let magnitude: Double
  /// The largest that fits in int16 at the value's exponent.
  package let limit: Double
  /// log2(limit / magnitude): a bit is a factor of two. Nil where calibration saw only zeros.
  package let bits: Double?
  package let exponent: Int8
}

extension Quantizer {
  /// The head-room of a value that is no constant.
  package func headRoom(of value: Int) -> HeadRoom {
    let limit = 32767 * PowerOfTwo.value(-Int(exponents[value]))
    let magnitude = Double(magnitudes[value])
    return HeadRoom(
      value: graph.values[value].name, magnitude: magnitude, limit: limit,
      bits: magnitude > 0 ? log2(limit / magnitude) : nil, exponent: exponents[value])
  }

  /// Of the model's inputs and every node's result, least head-room first.
  package var headRooms: [HeadRoom] {
    let values = graph.inputs + graph.nodes.map(\.output)
    return values.map(headRoom).sorted { ($0.bits ?? .infinity) < ($1.bits ?? .infinity) }
  }
}
