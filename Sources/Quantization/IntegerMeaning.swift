package import ModelGraph

extension Quantizer {
  /// A node that the float evaluator runs and that has no form in integers.
  package struct Refusal: Sendable {
    package let node: String
    package let operatorName: String
    package let error: QuantizationError
  }

  /// The nodes of a simplified graph that have no integer meaning, found without any sample: every
  /// value is taken to have magnitude 1, and each node is lowered alone. What only a value's real
  /// magnitude can tell, such as a weight too large for its result, is not looked for.
  package static func refusals(in graph: Graph) throws(QuantizationError) -> [Refusal] {
    let quantizer = try Quantizer(
      graph, magnitudes: [Float](repeating: 1, count: graph.values.count), settings: Settings())
    var refusals: [Refusal] = []
    for (index, node) in graph.nodes.enumerated() {
      do {
        _ = try quantizer.program(
          nodes: [index], inputs: quantizer.computedInputs(of: index),
          outputs: [node.output])
      } catch .unrepresentable {
        continue
      } catch {
        refusals.append(Refusal(node: node.name, operatorName: node.operatorName, error: error))
      }
    }
    return refusals
  }

  /// The values that node `index` reads and that are no constants, each once.
  func computedInputs(of index: Int) -> [Int] {
    var seen: Set<Int> = []
    return graph.nodes[index].inputs.filter {
      !graph.values[$0].isConstant && seen.insert($0).inserted
    }
  }
}
