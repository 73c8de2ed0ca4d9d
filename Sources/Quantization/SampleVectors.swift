import Foundation
package import ModelGraph
import Primitives
package import TensorFiles

/// Sample inputs of a model of one input, with labels and float outputs where they are known.
package struct SampleVectors: Sendable {
  /// Files in a folder of samples.
  package static let fileLimit = 1 << 16
  /// Elements of all samples together.
  package static let elementLimit = 1 << 27

  package let inputShape: [Int]
  /// Row-major, of `inputShape` each.
  package let inputs: [[Float]]
  package let outputs: [[Float]]?
  package let labels: [Int]?

  /// A JSON file: `input_shape`, `inputs` (flat), and, where they are known, `outputs` and
  /// `labels`.
  package init(path: String) throws(SampleVectorsError) {
    let bytes: Data
    do {
      bytes = try TensorFile.bytes(path, limit: TensorFile.jsonByteLimit)
    } catch {
      throw SampleVectorsError(path: path, problem: "it cannot be read or is above 64 MB")
    }
    guard let file = try? JSONDecoder().decode(JSONVectors.self, from: bytes) else {
      throw SampleVectorsError(path: path, problem: "it is not JSON with input_shape and inputs")
    }
    let count = Shape.elementCount(file.inputShape)
    guard !file.inputs.isEmpty, file.inputs.allSatisfy({ $0.count == count }),
      file.outputs.map({ $0.count == file.inputs.count }) ?? true,
      file.labels.map({ $0.count == file.inputs.count }) ?? true
    else {
      throw SampleVectorsError(
        path: path, problem: "its inputs, outputs and labels do not fit input_shape and each other")
    }
    (inputShape, inputs) = (file.inputShape, file.inputs)
    (outputs, labels) = (file.outputs, file.labels)
  }

  /// Whatever holds samples: a JSON file of vectors, an `.npy` array whose first axis counts them,
  /// a single input, or a folder of inputs. A folder's files are taken in the order of their
  /// names; where they lie in sub-folders, each sub-folder is a class: by its name's place among
  /// `classes`, else by its name as a number, else by its place among the sub-folders.
  package init(path: String, as file: TensorFile, classes: ClassNames? = nil) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      self = try Self.folder(path, file, classes)
    } else if try TensorFile.bytes(path, limit: TensorFile.byteLimit)
      .first(where: { $0 > UInt8(ascii: " ") }) == UInt8(ascii: "{")
    {
      self = try SampleVectors(path: path)
      // Leading axes of 1 make no difference to the numbers' order.
      guard inputShape != file.shape,
        inputShape.drop(while: { $0 == 1 }) == file.shape.drop(while: { $0 == 1 })
      else { return }
      self = SampleVectors(shape: file.shape, inputs: inputs, outputs: outputs, labels: labels)
    } else {
      let tensors = try file.tensors(at: path)
      self.init(shape: file.shape, inputs: tensors.map(\.values))
    }
  }

  private init(shape: [Int], inputs: [[Float]], outputs: [[Float]]? = nil, labels: [Int]? = nil) {
    (inputShape, self.inputs, self.outputs, self.labels) = (shape, inputs, outputs, labels)
  }

  private static func folder(
    _ path: String, _ file: TensorFile, _ classes: ClassNames?
  ) throws -> SampleVectors {
    let (files, folders) = try contents(of: path)
    guard files.isEmpty || folders.isEmpty else {
      throw SampleVectorsError(path: path, problem: "it holds both inputs and folders of them")
    }
    var (inputs, labels): ([[Float]], [Int]) = ([], [])
    var elements = 0
    func append(_ path: String, label: Int?) throws {
      for tensor in try file.tensors(at: path) {
        elements += tensor.values.count
        guard elements <= elementLimit else {
          throw SampleVectorsError(
            path: path, problem: "with it there are more than \(elementLimit) numbers")
        }
        inputs.append(tensor.values)
        if let label { labels.append(label) }
      }
    }
    for name in files { try append(path + "/" + name, label: nil) }
    for (place, name) in folders.enumerated() {
      let label = classes?.names.firstIndex(of: name) ?? Int(name) ?? place
      for file in try contents(of: path + "/" + name).files {
        try append(path + "/" + name + "/" + file, label: label)
      }
    }
    guard !inputs.isEmpty else {
      throw SampleVectorsError(path: path, problem: "it holds no inputs")
    }
    return SampleVectors(
      shape: file.shape, inputs: inputs, labels: folders.isEmpty ? nil : labels)
  }

  /// Names in order, those that begin with a dot left out.
  private static func contents(
    of path: String
  ) throws(SampleVectorsError) -> (files: [String], folders: [String]) {
    guard let all = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw SampleVectorsError(path: path, problem: "it cannot be read")
    }
    let names = all.filter { !$0.hasPrefix(".") }.sorted()
    guard names.count <= fileLimit else {
      throw SampleVectorsError(path: path, problem: "it holds more than \(fileLimit) files")
    }
    let folders = names.filter { name in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder)
        && isFolder.boolValue
    }
    return (names.filter { !folders.contains($0) }, folders)
  }

  package func tensor(_ index: Int) -> FloatTensor {
    FloatTensor(shape: inputShape, values: inputs[index])
  }

  /// Samples for `Calibration`: a model of one input.
  package func samples(_ range: Range<Int>) -> [[FloatTensor]] { range.map { [tensor($0)] } }
}

private struct JSONVectors: Decodable {
  let inputShape: [Int]
  let inputs: [[Float]]
  let outputs: [[Float]]?
  let labels: [Int]?

  private enum CodingKeys: String, CodingKey {
    case inputShape = "input_shape"
    case inputs, outputs, labels
  }
}

package struct SampleVectorsError: CodedError, Equatable {
  package let path: String
  package let problem: String

  package var code: String { "unusable-vectors" }
  package var sentence: String {
    "The vectors in '\(path)' cannot be used: \(problem); docs/requester.md says what is read."
  }
}
