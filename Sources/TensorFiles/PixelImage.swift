/// Pixels of a picture, grey or colour; what a file says of transparency is left out.
package struct PixelImage: Sendable, Equatable {
  /// 4096 × 4096.
  package static let pixelLimit = 1 << 24

  package let width: Int
  package let height: Int
  /// 1 (grey) or 3 (red, green, blue).
  package let channels: Int
  /// The sample that means full brightness: 255 for one byte each.
  package let maximum: UInt16
  /// Row by row from the top, the channels of a pixel together.
  package let samples: [UInt16]

  init(width: Int, height: Int, channels: Int, maximum: UInt16, samples: [UInt16]) {
    (self.width, self.height, self.channels) = (width, height, channels)
    (self.maximum, self.samples) = (maximum, samples)
  }

  /// Throws where a header asks for more pixels than are read, before anything is allocated.
  static func check(width: Int, height: Int) throws(TensorFileError.Problem) {
    guard width > 0, height > 0 else { throw .malformed("it has no pixels") }
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, pixels <= pixelLimit else {
      throw .tooLarge("it has \(width) × \(height) pixels and at most \(pixelLimit) are read")
    }
  }

  /// The same picture in `count` channels. Grey becomes colour by repetition; colour becomes grey
  /// by its luma, (299 R + 587 G + 114 B + 500) / 1000 rounded down (ITU-R BT.601), whose integer
  /// arithmetic gives the same sample everywhere.
  package func converted(toChannels count: Int) -> PixelImage {
    guard count != channels else { return self }
    var converted: [UInt16] = []
    converted.reserveCapacity(width * height * count)
    if count == 1 {
      for pixel in stride(from: 0, to: samples.count, by: 3) {
        let luma =
          299 * UInt32(samples[pixel]) + 587 * UInt32(samples[pixel + 1])
          + 114 * UInt32(samples[pixel + 2])
        converted.append(UInt16((luma + 500) / 1000))
      }
    } else {
      for sample in samples { for _ in 0..<count { converted.append(sample) } }
    }
    return PixelImage(
      width: width, height: height, channels: count, maximum: maximum, samples: converted)
  }
}
