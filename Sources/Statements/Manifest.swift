package import Primitives

/// The canonical record that lists a model's slices. Its digest is the model's id.
///
/// Slices stand in an order in which every slice comes after all that it consumes, so that the
/// order itself proves the graph acyclic.
package struct Manifest: Hashable, Sendable, CanonicalCodable {
  package static let sliceLimit = 4096
  package static let boundaryLimit = 256
  /// UTF-8 bytes in the name of a model or of a slice.
  package static let nameLimit = 256
  private static let semanticsLimit = 64
  /// The first byte of a manifest: this form of it, and no other, is read and written.
  package static let version: UInt8 = 2
  /// A manifest is a command's body, so it stays below `Envelope.bodyLimit`.
  package static let byteLimit = 1 << 19

  /// Where a slice, or the answer, takes a tensor from.
  package enum Source: Hashable, Sendable {
    /// The request's input of this index.
    case input(Int)
    /// The output of this index of an earlier slice.
    case slice(Int, output: Int)
  }

  package struct Slice: Hashable, Sendable {
    package let name: String
    /// Blob of the slice's ONNX sub-model.
    package let onnx: Digest
    /// Blob of the slice's `fixed16/1` program.
    package let program: Digest
    /// Where each input comes from, and what the slice takes it to be.
    package let sources: [Source]
    package let inputs: [BoundarySpecification]
    package let outputs: [BoundarySpecification]
    /// That of the program (`docs/slicing.md`): who has the program can compute it.
    package let cost: Cost
    /// The part of the slice's criticality (`Manifest.criticalities`) that had to be measured.
    package let influence: Influence

    package init(
      name: String, onnx: Digest, program: Digest, sources: [Source],
      inputs: [BoundarySpecification], outputs: [BoundarySpecification], cost: Cost,
      influence: Influence = .unmeasured
    ) {
      self.name = name
      self.onnx = onnx
      self.program = program
      self.sources = sources
      self.inputs = inputs
      self.outputs = outputs
      self.cost = cost
      self.influence = influence
    }
  }

  package let name: String
  /// Which exact integer meaning the programs have: `fixed16/1`.
  package let semantics: String
  package let inputs: [BoundarySpecification]
  package let slices: [Slice]
  /// The answer's tensors.
  package let outputs: [Source]

  /// Throws unless every name and count is within its limit, and every source exists, comes before
  /// its consumer, and links to it by an equal specification.
  package init(
    name: String, semantics: String, inputs: [BoundarySpecification], slices: [Slice],
    outputs: [Source]
  ) throws(ManifestError) {
    self.name = name
    self.semantics = semantics
    self.inputs = inputs
    self.slices = slices
    self.outputs = outputs
    try validate()
  }

  package var id: ModelID { Digest.of(self, domain: .manifest) }

  package var totalCost: Cost { Cost(units: slices.reduce(0) { $0 + $1.cost.units }) }

  /// What the source supplies.
  package func specification(of source: Source) -> BoundarySpecification {
    switch source {
    case .input(let index): inputs[index]
    case .slice(let slice, let output): slices[slice].outputs[output]
    }
  }

  /// Indices of the slices that consume an output of `slice`, ascending.
  package func consumers(of slice: Int) -> [Int] {
    slices.indices.filter { consumer in
      slices[consumer].sources.contains { source in
        if case .slice(slice, _) = source { true } else { false }
      }
    }
  }

  /// Indices of the slices whose outputs `slice` consumes, ascending, each once.
  package func producers(of slice: Int) -> [Int] {
    var producers: [Int] = []
    for case .slice(let producer, _) in slices[slice].sources where !producers.contains(producer) {
      producers.append(producer)
    }
    return producers.sorted()
  }

  private func validate() throws(ManifestError) {
    try Self.checkName(name, limit: Self.nameLimit)
    try Self.checkName(semantics, limit: Self.semanticsLimit)
    guard !slices.isEmpty, slices.count <= Self.sliceLimit else {
      throw ManifestError.countOutOfRange("slices", slices.count, limit: Self.sliceLimit)
    }
    try Self.checkCount("inputs", inputs.count)
    try Self.checkCount("outputs", outputs.count)
    for (index, slice) in slices.enumerated() {
      try Self.checkName(slice.name, limit: Self.nameLimit)
      try Self.checkCount("inputs of slice '\(slice.name)'", slice.inputs.count)
      try Self.checkCount("outputs of slice '\(slice.name)'", slice.outputs.count)
      guard slice.cost.units > 0, slice.cost <= .maximum else {
        throw ManifestError.costOutOfRange(slice: slice.name, slice.cost)
      }
      guard slice.influence.flips <= slice.influence.trials else {
        throw ManifestError.influenceOutOfRange(slice: slice.name, slice.influence)
      }
      guard slice.sources.count == slice.inputs.count else {
        throw ManifestError.sourcesMismatch(slice: slice.name)
      }
      for (source, input) in zip(slice.sources, slice.inputs) {
        guard exists(source, before: index), specification(of: source).links(to: input) else {
          throw ManifestError.sourceUnusable(slice: slice.name, input: input.name)
        }
      }
    }
    for output in outputs where !exists(output, before: slices.count) {
      throw ManifestError.sourceUnusable(slice: "(answer)", input: "\(output)")
    }
  }

  private func exists(_ source: Source, before limit: Int) -> Bool {
    switch source {
    case .input(let index): inputs.indices.contains(index)
    case .slice(let slice, let output):
      slice >= 0 && slice < limit && slices[slice].outputs.indices.contains(output)
    }
  }

  private static func checkName(_ name: String, limit: Int) throws(ManifestError) {
    guard name.utf8.count <= limit else {
      throw ManifestError.nameTooLong(name, limit: limit)
    }
  }

  private static func checkCount(_ what: String, _ count: Int) throws(ManifestError) {
    guard count >= 1, count <= boundaryLimit else {
      throw ManifestError.countOutOfRange(what, count, limit: boundaryLimit)
    }
  }
}

package enum ManifestError: CodedError, Equatable {
  case nameTooLong(String, limit: Int)
  case countOutOfRange(String, Int, limit: Int)
  case costOutOfRange(slice: String, Cost)
  case influenceOutOfRange(slice: String, Influence)
  case sourcesMismatch(slice: String)
  case sourceUnusable(slice: String, input: String)

  package var code: String { "invalid-manifest" }
  package var sentence: String {
    switch self {
    case .nameTooLong(let name, let limit):
      "The name '\(name.prefix(32))...' has \(name.utf8.count) bytes and may have \(limit); choose a shorter one."
    case .countOutOfRange(let what, let count, let limit):
      "The manifest has \(count) \(what) and must have 1 to \(limit); slice the model again."
    case .costOutOfRange(let slice, let cost):
      "Slice '\(slice)' costs \(cost) units and must cost 1 to 2^40; slice the model again."
    case .influenceOutOfRange(let slice, let influence):
      "Slice '\(slice)' has \(influence.flips) flips in \(influence.trials) trials; slice the model again."
    case .sourcesMismatch(let slice):
      "Slice '\(slice)' must name one source per input; slice the model again."
    case .sourceUnusable(let slice, let input):
      "Input '\(input)' of slice '\(slice)' has no earlier source of equal specification; slice the model again."
    }
  }
}

extension Manifest.Source: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .input(let index):
      encoder.append(UInt8(1))
      encoder.append(UInt32(index))
    case .slice(let slice, let output):
      encoder.append(UInt8(2))
      encoder.append(UInt32(slice))
      encoder.append(UInt32(output))
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .input(Int(try decoder.integer(UInt32.self)))
    case 2:
      let slice = Int(try decoder.integer(UInt32.self))
      self = .slice(slice, output: Int(try decoder.integer(UInt32.self)))
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Source"), at: start)
    }
  }
}

extension Manifest.Slice: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(name)
    encoder.append(onnx)
    encoder.append(program)
    encoder.append(sources)
    encoder.append(inputs)
    encoder.append(outputs)
    encoder.append(cost)
    encoder.append(influence)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    name = try decoder.text(limit: Manifest.nameLimit)
    onnx = try decoder.record()
    program = try decoder.record()
    sources = try decoder.list(limit: Manifest.boundaryLimit, elementSize: 5)
    inputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: 10)
    outputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: 10)
    cost = try decoder.record()
    influence = try decoder.record()
  }
}

extension Manifest {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(Self.version)
    encoder.append(name)
    encoder.append(semantics)
    encoder.append(inputs)
    encoder.append(slices)
    encoder.append(outputs)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let version = try decoder.integer(UInt8.self)
    guard version == Self.version else {
      throw decoder.failure(
        .invalid("the manifest is of version \(version) and \(Self.version) is read here"),
        at: start)
    }
    let name = try decoder.text(limit: Self.nameLimit)
    let semantics = try decoder.text(limit: Self.semanticsLimit)
    let inputs = try decoder.list(
      of: BoundarySpecification.self, limit: Self.boundaryLimit, elementSize: 10)
    let slices = try decoder.list(of: Slice.self, limit: Self.sliceLimit, elementSize: 96)
    let outputs = try decoder.list(of: Source.self, limit: Self.boundaryLimit, elementSize: 5)
    do {
      try self.init(
        name: name, semantics: semantics, inputs: inputs, slices: slices, outputs: outputs)
    } catch {
      throw decoder.failure(.invalid(error.sentence), at: start)
    }
  }
}
