import FixedPoint
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements
import Testing

/// However a random graph is cut, it computes the bytes of its whole program.
@Suite struct RandomGraphTests {
  private struct Case {
    var random: Seeded
    let quantizer: Quantizer
    let inputs: [[UInt8]]
    let answers: [[[UInt8]]]

    init(seed: Int) throws {
      random = Seeded(state: UInt64(seed))
      let (builder, outputs) = ModelBuilder.random(&random)
      let samples: [[FloatTensor]]
      (quantizer, samples) = try builder.quantized(outputs: outputs, seed: UInt64(seed))
      let whole = Executor(program: try quantizer.program())
      inputs = try samples.map {
        try BoundaryValues.bytes($0[0].values, as: whole.program.inputs[0])
      }
      answers = try inputs.map { try whole.run([$0]) }
    }

    func expectSameBytes(_ model: SlicedModel, _ note: String) async throws {
      let executor = try SlicedExecutor(model)
      for (input, answer) in zip(inputs, answers) {
        #expect(try await executor.run([input]) == answer, "\(note)")
      }
    }

    var convolutions: [Graph.Node] {
      quantizer.graph.nodes.filter { if case .convolution = $0.layer { true } else { false } }
    }
  }

  @Test(arguments: 1...30) func slicedOrWholeGivesIdenticalBytes(seed: Int) async throws {
    let subject = try Case(seed: seed)
    for count in 1...5 {
      do {
        let sliced = try SlicedModel(
          name: "random", quantizer: subject.quantizer, rules: SlicingRules(count: count))
        #expect(sliced.manifest.slices.count == count)
        try await subject.expectSameBytes(sliced, "\(count) slices")
      } catch SlicingError.tooFewPieces(let asked, let possible) {
        #expect(asked == count && possible < count)
      }
    }
  }

  /// Any sets of nodes: where no slice waits for its own result they are slices, otherwise the
  /// cycle is named.
  @Test(arguments: 1...30) func anyAcyclicPartitionGivesIdenticalBytes(seed: Int) async throws {
    var subject = try Case(seed: seed)
    let graph = subject.quantizer.graph
    for attempt in 0..<4 {
      // A node's slice is that of its latest operand, or the next.
      var slices: [[Int]] = [[]]
      var owners: [Int: Int] = [:]
      for (index, node) in graph.nodes.enumerated() {
        let latest = node.inputs.compactMap { owners[$0] }.max() ?? 0
        let owner = latest + (Int.random(in: 0..<3, using: &subject.random) == 0 ? 1 : 0)
        while slices.count <= owner { slices.append([]) }
        slices[owner].append(index)
        owners[node.output] = owner
      }
      slices.removeAll(where: \.isEmpty)
      slices.shuffle(using: &subject.random)
      let sliced = try SlicedModel(name: "r", quantizer: subject.quantizer, slices: slices)
      try await subject.expectSameBytes(sliced, "partition \(attempt): \(slices)")

      // The giver of a value and its reader together, and what lies between them apart.
      guard let (giver, between, reader) = detour(in: graph) else { continue }
      let rest = graph.nodes.indices.filter { ![giver, between, reader].contains($0) }
      let error = #expect(throws: SlicingError.self) {
        try SlicedModel(
          name: "r", quantizer: subject.quantizer,
          slices: [[giver, reader], [between]] + rest.map { [$0] })
      }
      guard case .cycle(let names) = error else { throw try #require(error) }
      #expect(names.first == names.last && names.count >= 3)
    }
  }

  private func detour(in graph: Graph) -> (Int, Int, Int)? {
    for (reader, node) in graph.nodes.enumerated() {
      for (between, other) in graph.nodes[..<reader].enumerated()
      where node.inputs.contains(other.output) {
        for giver in graph.nodes[..<between].indices
        where other.inputs.contains(graph.nodes[giver].output) {
          return (giver, between, reader)
        }
      }
    }
    return nil
  }

  @Test(arguments: 1...30) func dividedOrWholeGivesIdenticalBytes(seed: Int) async throws {
    var subject = try Case(seed: seed)
    for attempt in 0..<4 {
      guard let node = subject.convolutions.randomElement(using: &subject.random),
        case .convolution(let layer) = node.layer
      else { return }
      let shape = subject.quantizer.graph.values[node.output].shape
      let split = ConvolutionSplit(
        channels: .random(
          in: 1...(layer.groups == 1 ? shape[1] : layer.groups), using: &subject.random),
        rows: .random(in: 1...min(shape[2], 4), using: &subject.random),
        columns: .random(in: 1...min(shape[3], 4), using: &subject.random))
      var rules = SlicingRules(
        divisions: [SlicingRules.Division(node: node.name, split: split)])
      do {
        let divided = try SlicedModel(name: "r", quantizer: subject.quantizer, rules: rules)
        let parts = split.channels * split.rows * split.columns
        #expect(divided.manifest.slices.count >= parts)
        try await subject.expectSameBytes(divided, "\(attempt): \(split)")
        rules.count = divided.manifest.slices.count + 1
        let further = try SlicedModel(name: "r", quantizer: subject.quantizer, rules: rules)
        try await subject.expectSameBytes(further, "\(attempt): \(split), and once more")
      } catch SlicingError.tooFewPieces {
      } catch let error as SlicingError where error.code == "indivisible" {
        #expect(error.sentence.contains("nothing but padding"))
      }
    }
  }
}
