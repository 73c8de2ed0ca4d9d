import FixedPoint
import ModelGraph
import Primitives
import Quantization

/// Which nodes become which slice: the rules, applied to a quantised graph.
struct SlicePlan {
  /// That of the graph in which convolutions were divided.
  let quantizer: Quantizer
  /// Nodes of each slice; every slice after all that it consumes.
  let slices: [[Int]]

  init(_ quantizer: Quantizer, _ rules: SlicingRules) throws(SlicingError) {
    let whole = quantizer.graph
    let splits = try rules.splits(of: whole)
    let split = try Self.divide(whole, splits)
    self.quantizer = splits.isEmpty ? quantizer : quantizer.following(split)
    let graph = split.graph
    let links = ValueLinks(graph)
    var (after, before): (Set<Int>, Set<Int>) = ([], [])
    for place in rules.places {
      let node = try Self.node(place.name, graph, split, whole)
      switch place {
      case .after where links.readers(of: graph.nodes[node].output).isEmpty:
        throw .nothingAfter(place.name)
      case .before where links.inputs(of: [node]).allSatisfy({ links.giver(of: $0) == nil }):
        throw .nothingBefore(place.name)
      case .after: after.insert(node)
      case .before: before.insert(node)
      }
    }
    let alone = Set(split.parts.values.joined().compactMap { links.giver(of: $0) })
    let blocks = NodeBlocks(graph, links: links, after: after, before: before, alone: alone)
    var costs: [Int] = []
    do {
      for block in blocks.blocks {
        let program = try self.quantizer.program(
          nodes: block, inputs: links.inputs(of: block), outputs: links.outputs(of: block))
        costs.append(Int(program.cost.units))
      }
    } catch {
      throw SlicingError(error)
    }
    slices = try CutPlan(graph, links: links, blocks: blocks, costs: costs).runs(rules).map {
      blocks.blocks[$0].flatMap(\.self).sorted()
    }
  }

  private static func divide(
    _ graph: Graph, _ splits: [Int: ConvolutionSplit]
  ) throws(SlicingError) -> SplitGraph {
    do {
      return try graph.splitting(splits)
    } catch {
      throw SlicingError(error)
    }
  }

  /// The node of a name. After a convolution that was divided comes the node that joins its parts,
  /// before it the parts.
  private static func node(
    _ name: String, _ graph: Graph, _ split: SplitGraph, _ whole: Graph
  ) throws(SlicingError) -> Int {
    guard let old = try? whole.node(named: name), let join = split.joins[old] else {
      return try graph.node(named: name)
    }
    return join
  }
}
