import ArgumentParser
import ModelGraph
import Primitives
import Slicing

/// Where a model is cut. All of them combine.
struct CuttingOptions: ParsableArguments {
  @Option(help: "How many slices, of like cost. Alone and by default: 4, or as many as there are.")
  var slices: Int?
  @Option(help: "Cost units that no slice may exceed; as few slices as there can be.")
  var maxCost: UInt64?
  @Option(
    name: .customLong("at"),
    help: ArgumentHelp(
      "Cut after this node or value, or before:NAME. Commas between several.", valueName: "name"))
  var places: [String] = []
  @Option(
    help: ArgumentHelp(
      "Divide a convolution's image into rows and columns: 2x2 of the dearest, or NODE=2x2.",
      valueName: "[node=]RxC"))
  var tiles: [String] = []
  @Option(
    help: ArgumentHelp(
      "Divide a convolution's output channels into runs: 4 of the dearest, or NODE=4.",
      valueName: "[node=]K"))
  var channels: [String] = []

  func validate() throws { _ = try rules() }

  func rules() throws -> SlicingRules {
    var rules = SlicingRules(count: slices, maxCost: maxCost.map { Cost(units: $0) })
    rules.places = places.flatMap(items).map { name in
      let prefix = "before:"
      return name.hasPrefix(prefix) ? .before(String(name.dropFirst(prefix.count))) : .after(name)
    }
    for item in tiles.flatMap(items) {
      let (node, value) = assignment(item)
      let numbers = value.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
      guard numbers.count == 2, let rows = numbers[0], let columns = numbers[1], rows > 0,
        columns > 0
      else {
        throw ValidationError("'\(item)' is not RxC or NODE=RxC; write --tiles conv1=2x2.")
      }
      rules.divisions.append(
        .init(node: node, split: ConvolutionSplit(rows: rows, columns: columns)))
    }
    for item in channels.flatMap(items) {
      let (node, value) = assignment(item)
      guard let count = Int(value), count > 0 else {
        throw ValidationError("'\(item)' is not K or NODE=K; write --channels conv1=4.")
      }
      rules.divisions.append(.init(node: node, split: ConvolutionSplit(channels: count)))
    }
    return rules
  }

  private func items(_ list: String) -> [String] { list.split(separator: ",").map(String.init) }

  /// "conv1=2x2" as its node and its value; a name may hold equals signs.
  private func assignment(_ item: String) -> (node: String?, value: Substring) {
    guard let sign = item.lastIndex(of: "=") else { return (nil, item[...]) }
    return (String(item[..<sign]), item[item.index(after: sign)...])
  }
}
