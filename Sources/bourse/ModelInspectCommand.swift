import ArgumentParser
import ModelGraph
import Quantization

extension ModelCommand {
  struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a model is made of and whether it can be used.",
      discussion: """
        Every node with its shapes, parameters and multiplications, whether it can be run as \
        floats and as the integers that provers compute, and what to do where it cannot. Needs no \
        sample inputs. Fails with 1 where the model cannot be run at all.

        EXAMPLES
          bourse model inspect Models/digits_lenet5.onnx
          bourse model inspect Models/digits_lenet5.onnx --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      struct Value: Encodable {
        let name: String
        let type: String
        let shape: [Int]
      }

      struct Node: Encodable {
        let name: String
        let `operator`: String
        /// Of the operands that are no constants.
        let inputs: [[Int]]
        let shape: [Int]
        let parameters: Int
        let multiplications: Int
        let share: Double
      }

      struct Unsupported: Encodable {
        let name: String
        let `operator`: String
        /// `floats` where the node cannot be run at all, `integers` where it cannot be sliced.
        let lacks: String
        /// Why, and what to do.
        let reason: String
      }

      let name: String
      var opset: Int64?
      var inputs: [Value] = []
      var outputs: [Value] = []
      var nodes: [Node] = []
      var parameters = 0
      var multiplications = 0
      let unsupported: [Unsupported]
    }

    func run() async throws {
      let model = try readModel(file)
      let unknown = model.unsupportedNodes
      if let first = unknown.first {
        try show(
          Report(
            name: model.name,
            unsupported: unknown.map {
              .init(
                name: $0.name, operator: $0.operatorName, lacks: "floats",
                reason: "\($0.operatorName) is no operator that is known; export without it")
            }))
        throw ModelError(.unsupportedOperator(first.operatorName), at: first.name)
      }
      try show(report(try Graph(model)))
    }

    private func report(_ graph: Graph) throws -> Report {
      func values(_ indices: [Int]) -> [Report.Value] {
        indices.map { index in
          let value = graph.values[index]
          return Report.Value(
            name: value.name, type: describe(type: value.type), shape: value.shape)
        }
      }
      let total = graph.nodes.reduce(0) { $0 + graph.multiplications(of: $1) }
      let nodes = graph.nodes.map { node in
        let multiplications = graph.multiplications(of: node)
        return Report.Node(
          name: node.name, operator: node.operatorName,
          inputs: node.inputs.map { graph.values[$0] }.filter { !$0.isConstant }.map(\.shape),
          shape: graph.values[node.output].shape, parameters: graph.parameterCount(of: node),
          multiplications: multiplications,
          share: total == 0 ? 0 : Double(multiplications) / Double(total))
      }
      let refusals = try Quantizer.refusals(in: try graph.simplified())
      return Report(
        name: graph.name, opset: graph.opset, inputs: values(graph.inputs),
        outputs: values(graph.outputs), nodes: nodes,
        parameters: nodes.reduce(0) { $0 + $1.parameters }, multiplications: total,
        unsupported: refusals.map {
          .init(
            name: $0.node, operator: $0.operatorName, lacks: "integers",
            reason: $0.error.sentence)
        })
    }

    private func show(_ report: Report) throws {
      output.json ? try printJSON(report) : print(text(report))
    }

    private func text(_ report: Report) -> String {
      var parts: [String] = []
      if let opset = report.opset {
        var values = Table([("model", .left), (report.name, .left)])
        values.append(["opset", "\(opset)"])
        for (role, list) in [("input", report.inputs), ("output", report.outputs)] {
          for value in list {
            values.append([role, "\(value.name), \(value.type) \(describe(shape: value.shape))"])
          }
        }
        parts.append(values.text)
        var table = Table([
          ("node", .left), ("operator", .left), ("takes", .left), ("gives", .left),
          ("parameters", .right), ("multiplications", .right), ("share", .right),
        ])
        for node in report.nodes {
          table.append([
            node.name, node.operator, node.inputs.map(describe(shape:)).joined(separator: ", "),
            describe(shape: node.shape), "\(node.parameters)", "\(node.multiplications)",
            describe(share: node.share),
          ])
        }
        table.append(["total", "", "", "", "\(report.parameters)", "\(report.multiplications)", ""])
        parts.append(table.text)
      }
      if report.unsupported.isEmpty {
        parts.append("Every node runs as floats and as integers.")
      } else {
        var table = Table([
          ("cannot run", .left), ("operator", .left), ("as", .left), ("why, and what to do", .left),
        ])
        for node in report.unsupported {
          table.append([node.name, node.operator, node.lacks, node.reason])
        }
        parts.append(table.text)
      }
      return parts.joined(separator: "\n\n")
    }
  }
}

/// As NumPy and ONNX's own tools name it.
private func describe(type: NumericType) -> String {
  switch type {
  case .float: "float32"
  case .double: "float64"
  default: "\(type)"
  }
}
