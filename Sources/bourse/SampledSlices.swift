import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Primitives
import ProverHost
import Quantization
import Slicing
import Statements

/// A model in slices, and what enters each of them for a few samples.
struct SampledSlices {
  struct Slice {
    let name: String
    let bundle: SliceBundle
    /// The raw bytes of every sample's input tensors.
    let samples: [[[UInt8]]]
  }

  /// Samples that calibrate, at most.
  private static let calibrationLimit = 64

  let name: String
  let slices: [Slice]

  /// - Parameter vectors: A file of samples; without one, inputs are drawn from a seed.
  init(
    file: String, vectors: String?, slices count: Int, samples sampleCount: Int,
    _ quantization: QuantizationOptions, _ options: InputOptions
  ) throws {
    let graph = try Graph(try readModel(file))
    let samples: [[FloatTensor]]
    if let vectors {
      let read = try options.vectors(vectors, for: graph)
      samples = read.samples(0..<min(read.inputs.count, Self.calibrationLimit))
    } else {
      var seeded = SeededInputs(graph, seed: 1, range: -1...1)
      samples = (0..<8).map { _ in seeded.next() }
    }
    let quantizer = try quantization.quantizer(for: graph, samples: samples)
    name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    let model = try SlicedModel(
      name: name, quantizer: quantizer, rules: SlicingRules(count: count))
    let inputs = try (0..<sampleCount).map { number in
      try zip(samples[number % samples.count], model.manifest.inputs).map {
        try BoundaryValues.bytes($0.values, as: $1)
      }
    }
    slices = try Self.slices(of: model, inputs)
  }

  /// Runs the slices one after the other, for what each gives to those behind it.
  private static func slices(of model: SlicedModel, _ inputs: [[[UInt8]]]) throws -> [Slice] {
    // By slice and sample.
    var results: [[[[UInt8]]]] = []
    var slices: [Slice] = []
    for slice in model.manifest.slices {
      let samples = inputs.indices.map { number in
        slice.sources.map { source in
          switch source {
          case .input(let place): inputs[number][place]
          case .slice(let slice, output: let place): results[slice][number][place]
          }
        }
      }
      guard let onnx = model.blobs[slice.onnx], let bytes = model.blobs[slice.program] else {
        throw SlicingError.missingBlob(slice.program)
      }
      let executor = Executor(program: try Program(canonicalBytes: bytes))
      results.append(try samples.map { try executor.run($0) })
      let isWhole = model.manifest.slices.count == 1
      slices.append(
        Slice(
          name: isWhole ? model.manifest.name : "\(model.manifest.name)/\(slice.name)",
          bundle: SliceBundle(
            onnx: onnx, program: bytes,
            boundaries: Boundaries(inputs: slice.inputs, outputs: slice.outputs)),
          samples: samples))
    }
    return slices
  }
}

/// A plugin to open: a file of its own, or the one that the tool comes with for a backend.
struct PluginFile {
  let path: String
  let digest: Digest

  /// The bytes that are there now are the ones that are pinned.
  init(path: String) throws {
    self.path = path
    guard let stream = fopen(path, "rb") else {
      throw BackendError.pluginUnusable(
        .missing, "\(path) cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { fclose(stream) }
    var hasher = SHA256()
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while case let count = fread(&chunk, 1, chunk.count, stream), count > 0 {
      hasher.update(chunk[..<count])
    }
    digest = hasher.finalize()
  }

  func configuration(_ files: InstalledFiles, backend: BackendID?) -> Backend.Configuration {
    Backend.Configuration(
      host: files.proverHost, plugin: path, digest: digest, backend: backend)
  }
}
