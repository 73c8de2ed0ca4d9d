import Foundation
import ModelGraph
import Primitives
import TensorFiles
import Testing

/// Bytes in a file that is gone after the test.
private func withFile<Result>(_ bytes: Data, _ body: (String) throws -> Result) throws -> Result {
  let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
  try bytes.write(to: file)
  defer { try? FileManager.default.removeItem(at: file) }
  return try body(file.path())
}

private func read(
  _ bytes: Data, as shape: [Int], _ treatment: ImageTreatment = ImageTreatment()
) throws -> [Float] {
  try withFile(bytes) { try TensorFile(shape: shape, treatment: treatment).tensor(at: $0).values }
}

private func refusal(_ bytes: Data, as shape: [Int]) throws -> TensorFileError? {
  try withFile(bytes) { path -> TensorFileError? in
    do throws(TensorFileError) {
      _ = try TensorFile(shape: shape).tensor(at: path)
      return nil
    } catch {
      return error
    }
  }
}

/// An `.npy` file as NumPy writes it.
private func numpy(
  _ header: String, _ data: [UInt8] = [], version: UInt8 = 1, length: Int? = nil
) -> Data {
  let text = Array((header + "\n").utf8)
  let count = length ?? text.count
  let size = (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
  return Data([0x93] + Array("NUMPY".utf8) + [version, 0] + size + text + data)
}

private func header(_ type: String, _ shape: String, fortran: String = "False") -> String {
  "{'descr': '\(type)', 'fortran_order': \(fortran), 'shape': \(shape), }"
}

private func littleEndian<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
  values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}

@Suite struct NumpyArrayTests {
  @Test(arguments: [
    ("<f4", littleEndian([Float(1.5).bitPattern, Float(-2).bitPattern])),
    ("<f8", littleEndian([Double(1.5).bitPattern, Double(-2).bitPattern])),
  ])
  func readsFloats(type: String, data: [UInt8]) throws {
    for version in 1...3 as ClosedRange<UInt8> {
      let file = numpy(header(type, "(1, 2)"), data, version: version)
      #expect(try read(file, as: [1, 2]) == [1.5, -2])
    }
  }

  @Test(arguments: [
    ("|i1", littleEndian([7, -3] as [Int8])), ("<i2", littleEndian([7, -3] as [Int16])),
    ("<i4", littleEndian([7, -3] as [Int32])), ("<i8", littleEndian([7, -3] as [Int64])),
  ])
  func readsIntegers(type: String, data: [UInt8]) throws {
    #expect(try read(numpy(header(type, "(2,)"), data), as: [1, 2]) == [7, -3])
  }

  @Test func readsUnsignedIntegersAndBooleans() throws {
    #expect(try read(numpy(header("|u1", "(2,)"), [200, 1]), as: [2]) == [200, 1])
    #expect(try read(numpy(header("|b1", "(2,)"), [0, 1]), as: [2]) == [0, 1])
  }

  @Test func turnsFortranOrderIntRowMajor() throws {
    let file = numpy(header("|u1", "(2, 3)", fortran: "True"), [1, 4, 2, 5, 3, 6])
    #expect(try read(file, as: [1, 2, 3]) == [1, 2, 3, 4, 5, 6])
  }

  @Test func leadingAxesOfOneMayBeLeftOut() throws {
    let data: [UInt8] = [1, 2, 3, 4]
    for shape in ["(2, 2)", "(1, 2, 2)", "(1, 1, 2, 2)", "(4,)"] {
      #expect(try read(numpy(header("|u1", shape), data), as: [1, 1, 2, 2]) == [1, 2, 3, 4])
    }
    let error = try refusal(numpy(header("|u1", "(4, 1)"), data), as: [1, 1, 2, 2])
    #expect(error?.code == "input-wrong-shape")
  }

  @Test func aFurtherFirstAxisIsManyTensors() throws {
    let file = TensorFile(shape: [1, 2])
    let many = try withFile(numpy(header("|u1", "(3, 2)"), [1, 2, 3, 4, 5, 6])) {
      try file.tensors(at: $0)
    }
    #expect(many.map(\.values) == [[1, 2], [3, 4], [5, 6]])
    #expect(many.allSatisfy { $0.shape == [1, 2] })
  }

  @Test(arguments: [
    (numpy(header("<f4", "(1000000000,)")), "input-too-large"),
    (numpy(header("<f4", "(65536, 65536, 65536, 65536)")), "input-too-large"),
    (numpy(header("<f4", "(9223372036854775807, 3)")), "input-too-large"),
    (numpy(header("<f4", "(99999999999999999999,)")), "input-malformed"),
    (numpy(header("<f4", "(-2,)"), [0, 0]), "input-malformed"),
    (numpy(header("<f4", "(2,)"), [0, 0, 0]), "input-malformed"),
    (numpy(header("<f4", "(2,)"), [UInt8](repeating: 0, count: 9)), "input-malformed"),
    (numpy(header("<f4", "(" + String(repeating: "1,", count: 500) + ")")), "input-unsupported"),
    (numpy(header(">f4", "(2,)"), [UInt8](repeating: 0, count: 8)), "input-unsupported"),
    (numpy(header("|O", "(2,)")), "input-unsupported"),
    (numpy(header("<c8", "(2,)")), "input-unsupported"),
    (
      numpy(header("<f4", "(2,)"), [UInt8](repeating: 0, count: 8), version: 9),
      "input-unsupported"
    ),
    (numpy("{'descr': '<f4'}"), "input-malformed"),
    (numpy("{'descr': '<f4', 'descr': '<f4', 'shape': ()}"), "input-malformed"),
    (numpy("{'descr': '<f4"), "input-malformed"),
    (numpy(header("<f4", "(2,)"), [], version: 2, length: 1 << 30), "input-too-large"),
    (numpy(header("<f4", "(2,)"), [], length: 60000), "input-malformed"),
    (numpy("").prefix(7), "input-malformed"),
    (numpy("").prefix(9), "input-malformed"),
    (numpy("").prefix(10), "input-malformed"),
  ])
  func refusesHostileHeaders(file: Data, code: String) throws {
    #expect(try refusal(file, as: [2])?.code == code)
  }

  @Test func refusesWhatIsNotFinite() throws {
    for value in [Float.nan, .infinity, -.infinity] {
      let file = numpy(header("<f4", "(2,)"), littleEndian([0, value.bitPattern]))
      let error = try refusal(file, as: [2])
      #expect(error?.problem == .notFinite(element: 1))
    }
    // Finite in float64 only.
    let file = numpy(header("<f8", "(1,)"), littleEndian([Double(1e300).bitPattern]))
    #expect(try refusal(file, as: [1])?.problem == .notFinite(element: 0))
  }

  /// Cut anywhere, a file gives a typed error and never a tensor.
  @Test func refusesEveryTruncation() throws {
    let file = numpy(header("|u1", "(2, 2)"), [1, 2, 3, 4])
    for length in 0..<file.count {
      #expect(try refusal(file.prefix(length), as: [2, 2])?.code == "input-malformed")
    }
  }
}

@Suite struct NumbersTests {
  @Test(arguments: ["[1,2,3,4]", "[[1,2],[3,4]]", " [[[[1],[2]],[[3],[4]]]]\n"])
  func readsFlatAndNestedNumbers(text: String) throws {
    #expect(try read(Data(text.utf8), as: [1, 1, 2, 2]) == [1, 2, 3, 4])
  }

  @Test(arguments: [
    ("[1,2,3]", "input-wrong-shape"), ("[1,2,3,4,5]", "input-wrong-shape"),
    ("[]", "input-wrong-shape"), ("", "input-malformed"), ("{}", "input-malformed"),
    ("[1,2,\"3\",4]", "input-malformed"), ("[1,2,NaN,4]", "input-malformed"),
    ("[1,2,1e999,4]", "input-malformed"), ("[1,2,1e39,4]", "input-malformed"),
    ("[1,2,[3],4]", "input-malformed"), ("[1,2,3,4", "input-malformed"),
    (String(repeating: "[", count: 100_000), "input-malformed"),
  ])
  func refusesOtherText(text: String, code: String) throws {
    #expect(try refusal(Data(text.utf8), as: [4])?.code == code)
  }

  @Test func refusesWhatCannotBeRead() {
    let error = #expect(throws: TensorFileError.self) {
      try TensorFile(shape: [1]).tensor(at: "/nonexistent/input.json")
    }
    #expect(error?.code == "input-unreadable")
    let folder = #expect(throws: TensorFileError.self) {
      try TensorFile(shape: [1]).tensor(at: FileManager.default.temporaryDirectory.path())
    }
    #expect(folder?.code == "input-unreadable")
  }

  @Test func readsNoMoreThanTheLimit() throws {
    try withFile(Data(count: 101)) { path in
      let error = #expect(throws: TensorFileError.self) {
        try TensorFile.bytes(path, limit: 100)
      }
      #expect(error?.code == "input-too-large")
      let whole = try TensorFile.bytes(path, limit: 101)
      #expect(whole.count == 101)
    }
  }
}

@Suite struct ImageTests {
  /// Made by hand from the PNG specification with an independent encoder.
  private enum PNG {
    static let palette =
      "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAMAAADD/I+4AAAABlBMVEX/AAAAAP9sof2OAAAAAnRSTlP/AOW3MEoAAAALSURBVHjaY2BgBAAABAACLN5IrQAAAABJRU5ErkJggg=="
    static let gray16 =
      "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABEAAAAACB2fwVAAAADUlEQVR42mNgYGhoAAABhQEB2jBPJgAAAABJRU5ErkJggg=="
    static let bits =
      "iVBORw0KGgoAAAANSUhEUgAAAAgAAAABAQAAAADLe9LuAAAACklEQVR42mPYAAAAsgCx+IKSpwAAAABJRU5ErkJggg=="
    static let rgba =
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAACCAYAAACZgbYnAAAAEklEQVR42mPgEpFjYNAwsvkPAASDAdJ0vO+MAAAAAElFTkSuQmCC"
    /// Nearly a million pixels square, in 69 bytes.
    static let bomb =
      "iVBORw0KGgoAAAANSUhEUgAPQj8AD0I/CAIAAAAuOc4rAAAADElEQVR42mNgoD0AAABkAAG4me+ZAAAAAElFTkSuQmCC"
    /// One column above the limit.
    static let tooLarge =
      "iVBORw0KGgoAAAANSUhEUgAAEAEAABAACAAAAAA4ChD1AAAADElEQVR42mNgoD0AAABkAAG4me+ZAAAAAElFTkSuQmCC"

    static func bytes(_ text: String) throws -> Data {
      try #require(Data(base64Encoded: text))
    }
  }

  /// Pixels as they are, so that a test sees them.
  private static let raw: ImageTreatment = {
    var treatment = ImageTreatment()
    treatment.scale = 1
    return treatment
  }()

  @Test func readsEveryKindOfPNG() throws {
    #expect(
      try read(PNG.bytes(PNG.palette), as: [1, 3, 1, 2], Self.raw) == [255, 0, 0, 0, 0, 255])
    #expect(try read(PNG.bytes(PNG.gray16), as: [1, 1, 1, 2], Self.raw) == [0, 128])
    #expect(
      try read(PNG.bytes(PNG.bits), as: [1, 1, 1, 8], Self.raw)
        == [255, 0, 255, 255, 0, 0, 0, 0])
  }

  /// The colour under a transparent pixel is the file's own, as training pipelines take it.
  @Test func leavesTransparencyOut() throws {
    #expect(
      try read(PNG.bytes(PNG.rgba), as: [1, 3, 2, 1], Self.raw) == [10, 40, 20, 50, 30, 60])
    #expect(
      try read(PNG.bytes(PNG.rgba), as: [1, 2, 1, 3], Self.raw) == [10, 20, 30, 40, 50, 60])
  }

  @Test func colourBecomesGreyByItsLumaAndGreyColourByRepetition() throws {
    // (299·10 + 587·20 + 114·30 + 500) / 1000 = 18, (299·40 + 587·50 + 114·60 + 500) / 1000 = 48.
    #expect(try read(PNG.bytes(PNG.rgba), as: [1, 1, 2, 1], Self.raw) == [18, 48])
    #expect(
      try read(PNG.bytes(PNG.gray16), as: [1, 3, 1, 2], Self.raw) == [0, 128, 0, 128, 0, 128])
  }

  @Test func refusesHostilePNG() throws {
    #expect(try refusal(PNG.bytes(PNG.bomb), as: [1, 1, 1, 1])?.code == "input-too-large")
    #expect(try refusal(PNG.bytes(PNG.tooLarge), as: [1, 1, 1, 1])?.code == "input-too-large")
    let good = try PNG.bytes(PNG.rgba)
    // Nothing after the pixels has to be there: a cut in the last chunk goes unnoticed.
    for length in 8..<good.count - 20 {
      #expect(try refusal(good.prefix(length), as: [1, 3, 2, 1])?.code == "input-malformed")
    }
    for position in 8..<good.count - 12 {
      var damaged = good
      damaged[position] ^= 0x55
      // Whatever a changed byte does, the outcome is a tensor or a typed error.
      if let error = try refusal(damaged, as: [1, 3, 2, 1]) {
        #expect(error.code.hasPrefix("input-"))
      }
    }
  }

  @Test(arguments: [
    "P2 # a comment\n2 2 # another\n4\n0 1\n2 4\n", "P5 2 2\n4\n\u{0}\u{1}\u{2}\u{4}",
  ])
  func readsGreyNetpbmOfAnyMaximum(text: String) throws {
    var treatment = ImageTreatment()
    treatment.scale = 4.0 / 255
    #expect(try read(Data(text.utf8), as: [1, 1, 2, 2], treatment) == [0, 1, 2, 4])
  }

  @Test func readsColourNetpbmAndTwoByteSamples() throws {
    let words = Data("P3 1 1 255 1 2 3".utf8)
    #expect(try read(words, as: [1, 3, 1, 1], Self.raw) == [1, 2, 3])
    let wide = Data("P6 1 1 65535\n".utf8) + Data([0, 0, 0x01, 0x01, 0xFF, 0xFF])
    #expect(try read(wide, as: [1, 3, 1, 1], Self.raw) == [0, 1, 255])
  }

  @Test(arguments: [
    ("P5 1000000 1000000 255\n", "input-too-large"), ("P5 99999999999 1 255\n", "input-too-large"),
    ("P5 0 1 255\n", "input-malformed"), ("P5 2 2 0\n....", "input-malformed"),
    ("P5 2 2 70000\n........", "input-malformed"), ("P5 2 2 255\n...", "input-malformed"),
    ("P5 2 2 9\n....", "input-malformed"), ("P2 2 2 255 1 2 3", "input-malformed"),
    ("P2 2 2 255 1 2 3 x", "input-malformed"), ("P5", "input-malformed"),
    ("P5 # never ends", "input-malformed"), ("P4 8 1\n.", "input-malformed"),
  ])
  func refusesHostileNetpbm(text: String, code: String) throws {
    let error = try refusal(Data(text.utf8), as: [1, 1, 2, 2])
    #expect(error?.code == code, "\(String(describing: error))")
  }

  @Test func normalisesEachChannel() throws {
    var treatment = ImageTreatment()
    try treatment.setNormalization("0.5,0.25,0/0.5")
    let file = Data("P3 1 1 255 255 255 51".utf8)
    #expect(try read(file, as: [1, 3, 1, 1], treatment) == [1, 1.5, 0.4])
    // Three channels are named and the model takes one.
    _ = try withFile(Data("P2 1 1 255 7".utf8)) { path in
      #expect(throws: TensorFileError.self) {
        try TensorFile(shape: [1, 1, 1, 1], treatment: treatment).tensor(at: path)
      }
    }
  }

  @Test(arguments: ["", "0.5", "0.5/0", "a/1", "1/2/3", "1,2/1", "0/-1", "nan/1", "0,/1", "0/inf"])
  func refusesOtherNormalisations(text: String) {
    var treatment = ImageTreatment()
    #expect(throws: ImageTreatmentError.normalization(text)) {
      try treatment.setNormalization(text)
    }
  }

  @Test func scalesAreNumbersOrFractions() throws {
    var treatment = ImageTreatment()
    try treatment.setScale("1/16")
    #expect(treatment.scale == 0.0625)
    try treatment.setScale("2")
    #expect(treatment.scale == 2)
    for text in ["", "0", "-1", "1/0", "1/2/3", "x"] {
      #expect(throws: ImageTreatmentError.scale(text)) { try treatment.setScale(text) }
    }
  }

  @Test func refusesAnotherSizeUnlessAsked() throws {
    let file = Data("P2 2 2 255 0 100 100 200".utf8)
    let error = try refusal(file, as: [1, 1, 4, 4])
    #expect(error?.code == "input-wrong-shape")
    #expect(error?.sentence.contains("--resize") == true)
    var treatment = Self.raw
    treatment.resizing = .nearest
    #expect(
      try read(file, as: [1, 1, 4, 4], treatment)
        == [0, 0, 100, 100, 0, 0, 100, 100, 100, 100, 200, 200, 100, 100, 200, 200])
    treatment.resizing = .bilinear
    // Centres at -0.25 (held at the border), 0.25, 0.75 and 1.25 (held).
    #expect(
      try read(file, as: [1, 1, 4, 4], treatment).prefix(8)
        == [0, 25, 75, 100, 25, 50, 100, 125])
    #expect(try read(file, as: [1, 1, 1, 1], treatment) == [100])
  }

  /// The sample models' 28 × 28 digits are the 8 × 8 ones, interpolated by PyTorch.
  @Test func bilinearIsThatOfTheFrameworkThatTrained() throws {
    let models = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Models")
    struct Vectors: Decodable { let inputs: [[Float]] }
    func inputs(_ name: String) throws -> [[Float]] {
      let file = try Data(contentsOf: models.appending(path: "\(name).vectors.json"))
      let vectors = try JSONDecoder().decode(Vectors.self, from: file)
      return vectors.inputs
    }
    let (small, large) = (try inputs("digits_mlp"), try inputs("digits_lenet5"))
    var treatment = ImageTreatment()
    treatment.resizing = .bilinear
    for index in 0..<8 {
      let pixels = small[index].map { "\(Int($0 * 16))" }.joined(separator: " ")
      let file = Data("P2 8 8 16 \(pixels)".utf8)
      #expect(try read(file, as: [1, 64], treatment) == small[index])
      let resized = try read(file, as: [1, 1, 28, 28], treatment)
      let error = zip(resized, large[index]).map { abs($0 - $1) }.max() ?? 1
      // The vectors are written down to four decimals.
      #expect(error <= 0.000051, "\(error)")
    }
  }

  @Test func refusesAPictureForATensorThatIsNone() throws {
    let file = Data("P2 2 2 255 0 100 100 200".utf8)
    for shape in [[1, 5], [2, 1, 2, 2], [1, 2, 2, 2], [1, 1, 1, 2, 2]] {
      #expect(try refusal(file, as: shape)?.code == "input-wrong-shape")
    }
  }
}
