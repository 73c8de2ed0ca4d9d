import ArgumentParser
import ModelGraph

extension ModelCommand {
  struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a model is made of and whether it can be used.",
      discussion: """
        EXAMPLES
          bourse model inspect Models/digits_lenet5.onnx
          bourse model inspect Models/digits_lenet5.onnx --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
      struct Node: Encodable {
        let name: String
        let `operator`: String
        let shape: [Int]
        let parameters: Int
        let multiplications: Int
        let share: Double
      }

      struct Unsupported: Encodable {
        let name: String
        let `operator`: String
      }

      let name: String
      let nodes: [Node]
      let parameters: Int
      let multiplications: Int
      let unsupported: [Unsupported]
    }

    func run() async throws {
      let model = try readModel(file)
      let unsupported = model.unsupportedNodes.map {
        Report.Unsupported(name: $0.name, operator: $0.operatorName)
      }
      guard unsupported.isEmpty else { return try refuse(model, unsupported) }
      let graph = try Graph(model)
      let total = graph.nodes.reduce(0) { $0 + graph.multiplications(of: $1) }
      let nodes = graph.nodes.map { node in
        let multiplications = graph.multiplications(of: node)
        return Report.Node(
          name: node.name, operator: node.operatorName, shape: graph.values[node.output].shape,
          parameters: graph.parameterCount(of: node), multiplications: multiplications,
          share: total == 0 ? 0 : Double(multiplications) / Double(total))
      }
      let report = Report(
        name: graph.name, nodes: nodes, parameters: nodes.reduce(0) { $0 + $1.parameters },
        multiplications: total, unsupported: [])
      if json { return try printJSON(report) }
      var table = Table([
        ("node", .left), ("operator", .left), ("output", .left), ("parameters", .right),
        ("multiplications", .right), ("share", .right),
      ])
      for node in nodes {
        table.append([
          node.name, node.operator, describe(shape: node.shape), "\(node.parameters)",
          "\(node.multiplications)", describe(share: node.share),
        ])
      }
      table.append(["total", "", "", "\(report.parameters)", "\(total)", ""])
      print(table.text)
      print("Every operator is supported.")
    }

    /// What is missing, node by node, and then the first as an error.
    private func refuse(_ model: ModelFile, _ unsupported: [Report.Unsupported]) throws {
      if json {
        try printJSON(
          Report(
            name: model.name, nodes: [], parameters: 0, multiplications: 0,
            unsupported: unsupported))
      } else {
        var table = Table([("node", .left), ("unsupported operator", .left)])
        for node in unsupported { table.append([node.name, node.operator]) }
        print(table.text)
      }
      throw ModelError(.unsupportedOperator(unsupported[0].operator), at: unsupported[0].name)
    }
  }
}
