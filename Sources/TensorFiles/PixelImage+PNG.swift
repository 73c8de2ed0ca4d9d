import CPNG
import Foundation

extension PixelImage {
  static let pngSignature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// Every kind of PNG, by libpng, as 8-bit samples in sRGB.
  init(png bytes: Data) throws(TensorFileError.Problem) {
    let outcome = bytes.withUnsafeBytes { buffer in
      Result { () throws(TensorFileError.Problem) in try Self.decode(buffer) }
    }
    self = try outcome.get()
  }

  private static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(TensorFileError.Problem) -> PixelImage {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    // Also releases what a call that failed has left.
    defer { png_image_free(&image) }
    guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0 else {
      throw .malformed(message(image))
    }
    let (width, height) = (Int(image.width), Int(image.height))
    try check(width: width, height: height)
    // 16-bit samples without a stated gamma are taken for sRGB, as those of 8 bits are.
    image.flags |= png_uint_32(PNG_IMAGE_FLAG_16BIT_sRGB)
    // Asking for alpha keeps libpng from blending with a background of its choice.
    let isColour = image.format & png_uint_32(PNG_FORMAT_FLAG_COLOR) != 0
    image.format =
      png_uint_32(PNG_FORMAT_FLAG_ALPHA) | (isColour ? png_uint_32(PNG_FORMAT_FLAG_COLOR) : 0)
    let channels = isColour ? 3 : 1
    var pixels = [UInt8](repeating: 0, count: width * height * (channels + 1))
    guard png_image_finish_read(&image, nil, &pixels, 0, nil) != 0 else {
      throw .malformed(message(image))
    }
    var samples: [UInt16] = []
    samples.reserveCapacity(width * height * channels)
    for pixel in stride(from: 0, to: pixels.count, by: channels + 1) {
      for channel in 0..<channels { samples.append(UInt16(pixels[pixel + channel])) }
    }
    return PixelImage(
      width: width, height: height, channels: channels, maximum: 255, samples: samples)
  }

  /// What libpng says is wrong; never from the file itself.
  private static func message(_ image: png_image) -> String {
    withUnsafeBytes(of: image.message) { bytes in
      "libpng says '\(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))'"
    }
  }
}
