package import FixedPoint
import ModelGraph
package import Primitives
package import Quantization
package import Statements

/// A model cut into slices: its manifest, and the blobs that the manifest names by digest.
package struct SlicedModel: Sendable {
  package let manifest: Manifest
  /// Every slice's ONNX sub-model and program, by the plain SHA-256 of the bytes.
  package let blobs: [Digest: [UInt8]]

  /// Throws unless every blob that the manifest names is there, is what its name says, and every
  /// program has its slice's boundaries.
  package init(manifest: Manifest, blobs: [Digest: [UInt8]]) throws(SlicingError) {
    self.manifest = manifest
    self.blobs = blobs
    for slice in manifest.slices {
      for digest in [slice.onnx, slice.program] {
        guard let bytes = blobs[digest] else { throw .missingBlob(digest) }
        guard Digest.of(bytes) == digest else { throw .corruptBlob(digest) }
      }
      let program = try Self.decode(slice, blobs)
      guard program.inputs.count == slice.inputs.count,
        program.outputs.count == slice.outputs.count,
        zip(program.inputs, slice.inputs).allSatisfy({ $0.links(to: $1) }),
        zip(program.outputs, slice.outputs).allSatisfy({ $0.links(to: $1) })
      else {
        throw .boundariesDiffer(slice: slice.name)
      }
      guard program.cost == slice.cost else {
        throw .costDiffers(slice: slice.name, expected: program.cost, got: slice.cost)
      }
    }
  }

  package func program(of slice: Int) throws(SlicingError) -> Program {
    try Self.decode(manifest.slices[slice], blobs)
  }

  private static func decode(
    _ slice: Manifest.Slice, _ blobs: [Digest: [UInt8]]
  ) throws(SlicingError) -> Program {
    guard let bytes = blobs[slice.program] else { throw .missingBlob(slice.program) }
    do {
      return try Program(canonicalBytes: bytes)
    } catch {
      throw .unusableProgram(slice: slice.name, error.sentence)
    }
  }

  /// Cuts `quantizer`'s graph into `count` slices of like cost. Each slice has its own program and
  /// its own ONNX sub-model; together they compute the integers of the whole.
  package init(
    name: String, quantizer: Quantizer, count: Int
  ) throws(SlicingError) {
    let graph = quantizer.graph
    let links = ValueLinks(graph)
    do {
      var costs: [Int] = []
      for (index, node) in graph.nodes.enumerated() {
        let program = try quantizer.program(
          nodes: index..<index + 1, inputs: links.inputs(of: index..<index + 1),
          outputs: [node.output])
        costs.append(Int(program.cost.units))
      }
      let crossing = graph.nodes.indices.map { links.crossing(before: $0) }
      guard let ranges = CutPlan.ranges(costs: costs, crossing: crossing, count: count) else {
        throw SlicingError.tooFewPieces(
          asked: count, possible: 1 + crossing.dropFirst().count { $0 != nil })
      }
      try self.init(name: name, quantizer: quantizer, links: links, ranges: ranges)
    } catch let error as any CodedError {
      throw SlicingError(error)
    } catch {
      throw .unwritable("\(error)")
    }
  }

  private init(
    name: String, quantizer: Quantizer, links: ValueLinks, ranges: [Range<Int>]
  ) throws {
    let graph = quantizer.graph
    var sources: [Int: Manifest.Source] = [:]
    for (index, input) in graph.inputs.enumerated() { sources[input] = .input(index) }
    var blobs: [Digest: [UInt8]] = [:]
    var slices: [Manifest.Slice] = []
    for (index, range) in ranges.enumerated() {
      let inputs = links.inputs(of: range)
      let outputs = links.outputs(of: range)
      let program = try quantizer.program(nodes: range, inputs: inputs, outputs: outputs)
      let programBytes = program.canonicalBytes
      let sliceName = "slice-\(index)"
      let onnx = try graph.onnxBytes(
        nodes: range, inputs: inputs, outputs: outputs, name: sliceName)
      blobs[Digest.of(programBytes)] = programBytes
      blobs[Digest.of(onnx)] = onnx
      slices.append(
        Manifest.Slice(
          name: sliceName, onnx: Digest.of(onnx), program: Digest.of(programBytes),
          sources: inputs.compactMap { sources[$0] }, inputs: program.inputs,
          outputs: program.outputs, cost: program.cost))
      for (output, value) in outputs.enumerated() { sources[value] = .slice(index, output: output) }
    }
    var inputs: [BoundarySpecification] = []
    for input in graph.inputs { inputs.append(try quantizer.boundary(input)) }
    let manifest = try Manifest(
      name: name, semantics: Program.semantics, inputs: inputs, slices: slices,
      outputs: graph.outputs.compactMap { sources[$0] })
    try self.init(manifest: manifest, blobs: blobs)
  }

  /// Runs every slice in order on boundary bytes of the model's inputs.
  package func run(_ inputs: [[UInt8]]) throws -> [[UInt8]] {
    guard inputs.count == manifest.inputs.count else {
      throw ExecutionError.inputCount(expected: manifest.inputs.count, got: inputs.count)
    }
    var results: [[[UInt8]]] = []
    func bytes(_ source: Manifest.Source) -> [UInt8] {
      switch source {
      case .input(let index): inputs[index]
      case .slice(let slice, let output): results[slice][output]
      }
    }
    for index in manifest.slices.indices {
      let executor = Executor(program: try program(of: index))
      results.append(try executor.run(manifest.slices[index].sources.map(bytes)))
    }
    return manifest.outputs.map(bytes)
  }
}
