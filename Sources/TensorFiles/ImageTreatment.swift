package import ModelGraph
import Primitives

/// How pixels become the numbers that a model was trained on:
///
///     value = (pixel · scale - mean) / deviation
///
/// where pixel runs from 0 to 255 whatever the file's depth, and mean and deviation may differ
/// between channels. The arithmetic is in float64 and rounded once to float32.
package struct ImageTreatment: Sendable, Equatable {
  package enum Resizing: String, Sendable, CaseIterable {
    /// The pixel whose area holds the centre of the new one.
    case nearest
    /// Between the four pixels around the centre of the new one, the border repeated: PyTorch's
    /// `interpolate` with `align_corners=False`, without antialiasing.
    case bilinear
  }

  package var scale = 1.0 / 255
  /// One for all channels, or one each.
  package var means = [0.0]
  package var deviations = [1.0]
  /// Nil refuses a picture of another size than the model's.
  package var resizing: Resizing?

  package init() {}

  /// `MEAN/STD`, each one number or one per channel with commas: `0.5/0.25`,
  /// `0.485,0.456,0.406/0.229,0.224,0.225`.
  package mutating func setNormalization(_ text: String) throws(ImageTreatmentError) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    let parsed = halves.map { half in
      half.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    }
    guard parsed.count == 2 else { throw .normalization(text) }
    let (means, deviations) = (parsed[0].compactMap(\.self), parsed[1].compactMap(\.self))
    guard means.count == parsed[0].count, deviations.count == parsed[1].count,
      [1, 3].contains(means.count), [1, 3].contains(deviations.count),
      means.allSatisfy(\.isFinite), deviations.allSatisfy({ $0.isFinite && $0 > 0 })
    else { throw .normalization(text) }
    (self.means, self.deviations) = (means, deviations)
  }

  /// A positive number or a fraction of two: `1`, `1/255`.
  package mutating func setScale(_ text: String) throws(ImageTreatmentError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
    guard (1...2).contains(parts.count), let numerator = parts[0],
      let denominator = parts.count == 2 ? parts[1] : 1, denominator > 0,
      (numerator / denominator).isFinite, numerator > 0
    else { throw .scale(text) }
    scale = numerator / denominator
  }

  /// The picture as a tensor of `shape`: [1, C, H, W] or, with 1 or 3 channels as the last axis
  /// only, [1, H, W, C]; without the leading 1 as well; [H, W]; or flat, where the picture is
  /// taken in its own size and must have as many pixels, grey or times three colours.
  package func tensor(
    _ image: PixelImage, shape: [Int]
  ) throws(TensorFileError.Problem) -> FloatTensor {
    guard let layout = Layout(shape, image) else {
      throw .shape(
        "a picture of \(image.width) × \(image.height) pixels came and the model takes \(shape)")
    }
    guard layout.width == image.width && layout.height == image.height || resizing != nil else {
      throw .shape(
        "it has \(image.width) × \(image.height) pixels and the model takes "
          + "\(layout.width) × \(layout.height); scale it, or ask with --resize")
    }
    guard means.count == 1 || means.count == layout.channels,
      deviations.count == 1 || deviations.count == layout.channels
    else {
      throw .shape(
        "--normalize names \(max(means.count, deviations.count)) channels "
          + "and the model takes \(layout.channels)")
    }
    let image = image.converted(toChannels: layout.channels)
    let columns = steps(from: image.width, to: layout.width)
    let rows = steps(from: image.height, to: layout.height)
    let toByte = 255 / Double(image.maximum)
    var values = [Float](repeating: 0, count: layout.channels * layout.height * layout.width)
    for channel in 0..<layout.channels {
      let mean = means.count == 1 ? means[0] : means[channel]
      let deviation = deviations.count == 1 ? deviations[0] : deviations[channel]
      func sample(_ row: Int, _ column: Int) -> Double {
        Double(image.samples[(row * image.width + column) * image.channels + channel])
      }
      for (y, row) in rows.enumerated() {
        for (x, column) in columns.enumerated() {
          let upper = row.blend(
            column.blend(sample(row.lower, column.lower), sample(row.lower, column.upper)),
            column.blend(sample(row.upper, column.lower), sample(row.upper, column.upper)))
          values[layout.index(channel, y, x)] = Float((upper * toByte * scale - mean) / deviation)
        }
      }
    }
    return FloatTensor(shape: shape, values: values)
  }

  /// Where one new row or column lies among the old ones.
  private struct Step {
    let lower: Int
    let upper: Int
    /// Weight of `upper`, within 0..<1.
    let share: Double

    func blend(_ low: Double, _ high: Double) -> Double { low + (high - low) * share }
  }

  /// Centres of new pixels, at (x + 1/2) · from / to - 1/2 in the old picture.
  private func steps(from old: Int, to new: Int) -> [Step] {
    (0..<new).map { position in
      let nearest = (2 * position + 1) * old / (2 * new)
      guard resizing == .bilinear, old != new else {
        return Step(lower: nearest, upper: nearest, share: 0)
      }
      let centre = max((Double(position) + 0.5) * Double(old) / Double(new) - 0.5, 0)
      let lower = min(Int(centre), old - 1)
      return Step(lower: lower, upper: min(lower + 1, old - 1), share: centre - Double(lower))
    }
  }

  /// Where a tensor's shape has its channels, rows and columns.
  private struct Layout {
    let channels: Int
    let height: Int
    let width: Int
    private let isChannelLast: Bool

    /// Nil where the shape is that of no picture.
    init?(_ shape: [Int], _ image: PixelImage) {
      let axes = shape.count == 4 && shape[0] == 1 ? Array(shape.dropFirst()) : shape
      let count = shape.reduce(1, *)
      switch axes.count {
      case 3 where [1, 3].contains(axes[0]):
        (channels, height, width, isChannelLast) = (axes[0], axes[1], axes[2], false)
      case 3 where [1, 3].contains(axes[2]):
        (channels, height, width, isChannelLast) = (axes[2], axes[0], axes[1], true)
      case 2 where axes[0] > 1:
        (channels, height, width, isChannelLast) = (1, axes[0], axes[1], false)
      case 0...2 where count == image.width * image.height * image.channels:
        // As it would lie in [C, H, W].
        (channels, height, width) = (image.channels, image.height, image.width)
        isChannelLast = false
      case 0...2 where count == image.width * image.height:
        (channels, height, width, isChannelLast) = (1, image.height, image.width, false)
      default: return nil
      }
    }

    func index(_ channel: Int, _ row: Int, _ column: Int) -> Int {
      isChannelLast
        ? (row * width + column) * channels + channel
        : (channel * height + row) * width + column
    }
  }
}

package enum ImageTreatmentError: CodedError, Equatable {
  case normalization(String)
  case scale(String)

  package var code: String { "image-treatment" }

  package var sentence: String {
    switch self {
    case .normalization(let text):
      "'\(text)' is no normalisation; write MEAN/STD, each one number or three with commas: 0.5/0.25."
    case .scale(let text): "'\(text)' is no scale; write a positive number or a fraction: 1/255."
    }
  }
}
