package import Foundation
package import ModelGraph

/// Reads what a model takes from a file: numbers as JSON or `.npy`, or a PNG, PGM or PPM picture.
/// The first bytes tell which, not the file's name.
package struct TensorFile: Sendable {
  /// Of a file of pictures or arrays.
  package static let byteLimit = 1 << 28
  /// Of a JSON file, whose numbers cost many times their text while it is read.
  package static let jsonByteLimit = 1 << 26

  /// What the model takes.
  package let shape: [Int]
  package let treatment: ImageTreatment

  package init(shape: [Int], treatment: ImageTreatment = ImageTreatment()) {
    (self.shape, self.treatment) = (shape, treatment)
  }

  /// One tensor of the model's shape. Numbers may lie flat, or in the model's shape with or
  /// without its leading axes of 1; a picture is treated by `treatment`.
  package func tensor(at path: String) throws(TensorFileError) -> FloatTensor {
    try inFile(path) { bytes throws(TensorFileError.Problem) in try tensor(bytes) }
  }

  /// One tensor, or as many as an array's further first axis.
  package func tensors(at path: String) throws(TensorFileError) -> [FloatTensor] {
    try inFile(path) { bytes throws(TensorFileError.Problem) in
      guard bytes.starts(with: NumpyArray.magic) else { return [try tensor(bytes)] }
      let array = try NumpyArray(bytes, elementLimit: Self.byteLimit)
      if isFitting(array.shape) { return [try finite(array.values)] }
      guard let count = array.shape.first, count > 0, isFitting(Array(array.shape.dropFirst()))
      else {
        throw .shape("it is of shape \(array.shape) and the model takes \(shape), or many of them")
      }
      let size = array.values.count / count
      return try (0..<count).map { index throws(TensorFileError.Problem) in
        try finite(Array(array.values[index * size..<(index + 1) * size]), from: index * size)
      }
    }
  }

  /// A file's bytes, where it is no larger than `limit`.
  package static func bytes(
    _ path: String, limit: Int = byteLimit
  ) throws(TensorFileError) -> Data {
    let data: Data
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      // One byte more than the limit tells a file that is longer, of whatever kind it is. Nil is
      // the end of an empty one.
      data = try handle.read(upToCount: limit + 1) ?? Data()
    } catch {
      throw TensorFileError(path: path, .unreadable)
    }
    guard data.count <= limit else {
      throw TensorFileError(path: path, .tooLarge("at most \(limit) bytes are read"))
    }
    return data
  }

  private func inFile<Result>(
    _ path: String, _ body: (Data) throws(TensorFileError.Problem) -> Result
  ) throws(TensorFileError) -> Result {
    let bytes = try Self.bytes(path)
    do {
      return try body(bytes)
    } catch {
      throw TensorFileError(path: path, error)
    }
  }

  private func tensor(_ bytes: Data) throws(TensorFileError.Problem) -> FloatTensor {
    if bytes.starts(with: PixelImage.pngSignature) {
      return try treatment.tensor(PixelImage(png: bytes), shape: shape)
    }
    if PixelImage.isNetpbm(bytes) {
      return try treatment.tensor(PixelImage(netpbm: bytes), shape: shape)
    }
    if bytes.starts(with: NumpyArray.magic) {
      let array = try NumpyArray(bytes, elementLimit: Self.byteLimit)
      guard isFitting(array.shape) else {
        throw .shape("it is of shape \(array.shape) and the model takes \(shape)")
      }
      return try finite(array.values)
    }
    guard bytes.count <= Self.jsonByteLimit else {
      throw .tooLarge("at most \(Self.jsonByteLimit) bytes of JSON are read; save it as .npy")
    }
    guard let numbers = try? JSONDecoder().decode(NestedNumbers.self, from: bytes) else {
      throw .malformed("it is no JSON array of numbers, no .npy array, and no PNG, PGM or PPM")
    }
    let count = shape.reduce(1, *)
    guard numbers.values.count == count else {
      throw .shape(
        "\(numbers.values.count) numbers came and the model takes \(count), of shape \(shape)")
    }
    return try finite(numbers.values)
  }

  /// Whether numbers in `other` are those of the model's shape in the same order.
  private func isFitting(_ other: [Int]) -> Bool {
    other == [shape.reduce(1, *)] || other.drop { $0 == 1 } == shape.drop { $0 == 1 }
  }

  private func finite(
    _ values: [Float], from start: Int = 0
  ) throws(TensorFileError.Problem) -> FloatTensor {
    if let element = values.firstIndex(where: { !$0.isFinite }) {
      throw .notFinite(element: start + element)
    }
    return FloatTensor(shape: shape, values: values)
  }
}

/// A JSON array of numbers, or of such arrays to any depth, in reading order.
private struct NestedNumbers: Decodable {
  let values: [Float]

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let flat = try? container.decode([Float].self) {
      values = flat
    } else {
      values = try container.decode([NestedNumbers].self).flatMap(\.values)
    }
  }
}
