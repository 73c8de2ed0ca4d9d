package import FixedPoint
package import ModelGraph
package import Primitives
package import Quantization
package import Statements

/// A model cut into slices: its manifest, and the blobs that the manifest names by digest.
package struct SlicedModel: Sendable {
  package let manifest: Manifest
  /// Every slice's ONNX sub-model and program, by the plain SHA-256 of the bytes.
  package let blobs: [Digest: [UInt8]]

  /// Throws unless every blob that the manifest names is there, is what its name says, and every
  /// program has its slice's boundaries and cost.
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

  /// Cuts `quantizer`'s graph as `rules` say. Each slice has its own program and its own ONNX
  /// sub-model; together they compute the integers of the whole.
  package init(
    name: String, quantizer: Quantizer, rules: SlicingRules
  ) throws(SlicingError) {
    let plan = try SlicePlan(quantizer, rules)
    try self.init(name: name, quantizer: plan.quantizer, slices: plan.slices)
  }

  /// Makes each set of nodes of `quantizer`'s graph a slice. Throws unless the sets share out all
  /// nodes and no slice waits for its own result.
  package init(
    name: String, quantizer: Quantizer, slices: [[Int]]
  ) throws(SlicingError) {
    let graph = quantizer.graph
    let links = ValueLinks(graph)
    let order = try Partition(graph, links, slices).order
    var sources: [Int: Manifest.Source] = [:]
    for (index, input) in graph.inputs.enumerated() { sources[input] = .input(index) }
    var blobs: [Digest: [UInt8]] = [:]
    var built: [Manifest.Slice] = []
    do {
      for (index, nodes) in order.enumerated() {
        let (inputs, outputs) = (links.inputs(of: nodes), links.outputs(of: nodes))
        let program = try quantizer.program(nodes: nodes, inputs: inputs, outputs: outputs)
        let programBytes = program.canonicalBytes
        let sliceName = "slice-\(index)"
        let onnx = try graph.onnxBytes(
          nodes: nodes, inputs: inputs, outputs: outputs, name: sliceName)
        blobs[Digest.of(programBytes)] = programBytes
        blobs[Digest.of(onnx)] = onnx
        built.append(
          Manifest.Slice(
            name: sliceName, onnx: Digest.of(onnx), program: Digest.of(programBytes),
            sources: inputs.compactMap { sources[$0] }, inputs: program.inputs,
            outputs: program.outputs, cost: program.cost))
        for (output, value) in outputs.enumerated() {
          sources[value] = .slice(index, output: output)
        }
      }
      var inputs: [BoundarySpecification] = []
      for input in graph.inputs { inputs.append(try quantizer.boundary(input)) }
      manifest = try Manifest(
        name: name, semantics: Program.semantics, inputs: inputs, slices: built,
        outputs: graph.outputs.compactMap { sources[$0] })
      self.blobs = blobs
    } catch {
      throw SlicingError(error)
    }
  }

  private init(_ manifest: Manifest, _ blobs: [Digest: [UInt8]]) {
    (self.manifest, self.blobs) = (manifest, blobs)
  }

  /// The same slices with what was measured of each (`InfluenceMeasurement`).
  package func with(_ influences: [Influence]) throws(SlicingError) -> SlicedModel {
    let slices = zip(manifest.slices, influences).map { slice, influence in
      Manifest.Slice(
        name: slice.name, onnx: slice.onnx, program: slice.program, sources: slice.sources,
        inputs: slice.inputs, outputs: slice.outputs, cost: slice.cost, influence: influence)
    }
    do {
      return SlicedModel(
        try Manifest(
          name: manifest.name, semantics: manifest.semantics, inputs: manifest.inputs,
          slices: slices, outputs: manifest.outputs), blobs)
    } catch {
      throw SlicingError(error)
    }
  }

  /// A sample of the model's inputs as the bytes of its boundary tensors; throws where a number
  /// does not fit.
  package func boundaryBytes(_ sample: [FloatTensor]) throws(SlicingError) -> [[UInt8]] {
    do {
      return try zip(sample, manifest.inputs).map { try BoundaryValues.bytes($0.values, as: $1) }
    } catch {
      throw SlicingError(error)
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
}
