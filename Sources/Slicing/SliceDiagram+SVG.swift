import Primitives
import Statements

extension SliceDiagram {
  private static let margin = 28.0
  private static let headerHeight = 64.0
  private static let textLimit = 40

  /// A page of its own: scalable, without scripts or references to anything outside.
  package var svg: String {
    let sizes = boxes.indices.map { box in
      // Every tensor's label stands beside its line, before the next.
      let labels = tensors.filter { $0.giver == box && !$0.readers.isEmpty }.map(\.label.count)
      let room = Double((labels.max() ?? 0) * 7 + 16) * Double(labels.count + 1)
      let size = Self.size(boxes[box])
      return (width: labels.count > 1 ? max(size.width, room) : size.width, height: size.height)
    }
    let layout = DiagramLayout(self, sizes: sizes, margin: Self.margin)
    let width = max(layout.width, 560)
    let shift = (width - layout.width) / 2
    let height = layout.height + Self.headerHeight
    let left = Self.number(Self.margin)
    var parts = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Self.number(width))\" height=\"\(Self.number(height))\" viewBox=\"0 0 \(Self.number(width)) \(Self.number(height))\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#1e293b\">",
      "<title>\(Self.escape(title))</title>",
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#64748b\"/></marker></defs>",
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
      "<text x=\"\(left)\" y=\"34\" font-size=\"18\" font-weight=\"bold\">\(Self.escape(Self.short(title)))</text>",
      "<text x=\"\(left)\" y=\"54\" fill=\"#475569\">\(Self.escape(subtitle))</text>",
    ]
    parts.append(Self.legend(right: width - Self.margin))
    parts.append(
      "<g transform=\"translate(\(Self.number(shift)),\(Self.number(Self.headerHeight)))\">")
    let ports = Ports(self, layout, sizes)
    for (place, route) in layout.routes.enumerated() {
      parts.append(Self.path(ports.exits[route.tensor], route.points, ports.entries[place]))
    }
    for (box, centre) in zip(boxes.indices, layout.centres) {
      parts.append(Self.draw(boxes[box], centre, sizes[box]))
    }
    for (index, tensor) in tensors.enumerated() where !tensor.readers.isEmpty {
      let exit = ports.exits[index]
      parts.append(
        "<text x=\"\(Self.number(exit.x + 5))\" y=\"\(Self.number(exit.y + 15))\" font-size=\"11\" fill=\"#334155\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">\(tensor.label)</text>"
      )
    }
    return (parts + ["</g>", "</svg>", ""]).joined(separator: "\n")
  }

  // MARK: Pieces

  private static func lines(_ box: Box) -> [String] {
    switch box {
    case .input(let name): [short(name)]
    case .answer: ["answer"]
    case .slice(let name, let nodes, let criticality):
      [
        short(name), short(nodes),
        "cost \(percent(criticality.costShare)) · criticality \(percent(criticality.combined))",
      ]
    }
  }

  private static func size(_ box: Box) -> (width: Double, height: Double) {
    let longest = Double(lines(box).map(\.count).max() ?? 0)
    return switch box {
    case .input, .answer: (max(70, longest * 7.2 + 28), 30)
    case .slice: (max(150, longest * 6.6 + 28), 74)
    }
  }

  private static func draw(
    _ box: Box, _ centre: DiagramLayout.Point, _ size: (width: Double, height: Double)
  ) -> String {
    let (left, top) = (centre.x - size.width / 2, centre.y - size.height / 2)
    let lines = lines(box)
    func text(_ line: Int, _ y: Double, _ style: String) -> String {
      "<text x=\"\(number(centre.x))\" y=\"\(number(y))\" text-anchor=\"middle\" \(style)>\(escape(lines[line]))</text>"
    }
    let frame =
      "x=\"\(number(left))\" y=\"\(number(top))\" width=\"\(number(size.width))\" height=\"\(number(size.height))\""
    guard case .slice(_, _, let criticality) = box else {
      return
        "<rect \(frame) rx=\"15\" fill=\"#f1f5f9\" stroke=\"#94a3b8\"/>\n"
        + text(0, centre.y + 4, "font-weight=\"bold\"")
    }
    let share = Double(criticality.costShare.parts) / 1_000_000 * (size.width - 24)
    return [
      "<rect \(frame) rx=\"8\" fill=\"\(colour(criticality.combined))\" stroke=\"#475569\"/>",
      text(0, top + 20, "font-weight=\"bold\" font-size=\"13\""),
      text(1, top + 37, "font-family=\"Menlo, Consolas, monospace\" font-size=\"11\""),
      text(2, top + 54, "font-size=\"11\""),
      "<rect x=\"\(number(left + 12))\" y=\"\(number(top + 62))\" width=\"\(number(size.width - 24))\" height=\"5\" rx=\"2.5\" fill=\"#ffffff\" stroke=\"#94a3b8\" stroke-width=\"0.5\"/>",
      "<rect x=\"\(number(left + 12))\" y=\"\(number(top + 62))\" width=\"\(number(max(share, 1)))\" height=\"5\" rx=\"2.5\" fill=\"#334155\"/>",
    ].joined(separator: "\n")
  }

  private static func legend(right: Double) -> String {
    let steps = (0...10).map { step in
      "<rect x=\"\(number(right - 132 + Double(step) * 12))\" y=\"24\" width=\"12\" height=\"10\" fill=\"\(colour(PartsPerMillion(clamping: UInt32(step) * 100_000)))\"/>"
    }
    return
      (steps + [
        "<text x=\"\(number(right - 140))\" y=\"33\" text-anchor=\"end\" font-size=\"11\" fill=\"#475569\">criticality 0 to 100 %</text>",
        "<rect x=\"\(number(right - 132))\" y=\"45\" width=\"132\" height=\"5\" rx=\"2.5\" fill=\"#ffffff\" stroke=\"#94a3b8\" stroke-width=\"0.5\"/>",
        "<rect x=\"\(number(right - 132))\" y=\"45\" width=\"50\" height=\"5\" rx=\"2.5\" fill=\"#334155\"/>",
        "<text x=\"\(number(right - 140))\" y=\"51\" text-anchor=\"end\" font-size=\"11\" fill=\"#475569\">share of cost</text>",
      ]).joined(separator: "\n")
  }

  /// Straight where it leaves, beside its label, and where it enters; vertical in each layer that
  /// it passes.
  private static func path(
    _ start: DiagramLayout.Point, _ passed: [DiagramLayout.Point], _ end: DiagramLayout.Point
  ) -> String {
    let knees = (
      DiagramLayout.Point(x: start.x, y: start.y + 22), DiagramLayout.Point(x: end.x, y: end.y - 14)
    )
    var path = "M\(number(start.x)),\(number(start.y)) V\(number(knees.0.y))"
    var last = knees.0
    for point in passed + [knees.1] {
      let middle = (last.y + point.y) / 2
      path +=
        " C\(number(last.x)),\(number(middle)) \(number(point.x)),\(number(middle)) \(number(point.x)),\(number(point.y))"
      last = point
    }
    path += " V\(number(end.y))"
    return
      "<path d=\"\(path)\" fill=\"none\" stroke=\"#64748b\" stroke-width=\"1.4\" marker-end=\"url(#arrow)\"/>"
  }

  /// From pale blue over yellow to orange.
  private static func colour(_ share: PartsPerMillion) -> String {
    let stops = [(0xe0, 0xf2, 0xfe), (0xfe, 0xf3, 0xc7), (0xfb, 0x92, 0x3c)]
    let place = Int(share.parts) * 2
    let (lower, part) = (min(place / 1_000_000, 1), place - min(place / 1_000_000, 1) * 1_000_000)
    func mix(_ a: Int, _ b: Int) -> String {
      let value = a + (b - a) * part / 1_000_000
      return (value < 16 ? "0" : "") + String(value, radix: 16)
    }
    let (a, b) = (stops[lower], stops[lower + 1])
    return "#" + mix(a.0, b.0) + mix(a.1, b.1) + mix(a.2, b.2)
  }

  /// To a tenth: finer is not seen.
  private static func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    let sign = tenths < 0 ? "-" : ""
    let rest = tenths.magnitude % 10
    return "\(sign)\(tenths.magnitude / 10)" + (rest == 0 ? "" : ".\(rest)")
  }

  private static func short(_ text: String) -> String {
    text.count <= textLimit
      ? text : "\(text.prefix(textLimit / 2 - 1))…\(text.suffix(textLimit / 2 - 1))"
  }

  /// Names come from models: nothing in them may become markup, or a character that XML forbids.
  private static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": escaped += "\u{FFFD}"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}

/// Where tensors leave and enter boxes: side by side, in the order in which they come and go.
private struct Ports {
  /// By tensor.
  let exits: [DiagramLayout.Point]
  /// By route.
  let entries: [DiagramLayout.Point]

  init(
    _ diagram: SliceDiagram, _ layout: DiagramLayout, _ sizes: [(width: Double, height: Double)]
  ) {
    var exits = diagram.tensors.map { layout.centres[$0.giver] }
    for box in diagram.boxes.indices {
      let given = diagram.tensors.indices.filter {
        diagram.tensors[$0].giver == box && !diagram.tensors[$0].readers.isEmpty
      }
      let heading = given.map { tensor in
        let routes = layout.routes.filter { $0.tensor == tensor }
        return routes.reduce(0) { sum, route in
          sum + (route.points.first ?? layout.centres[route.reader]).x
        } / Double(routes.count)
      }
      let order = given.indices.sorted { (heading[$0], $0) < (heading[$1], $1) }
      for (position, place) in order.enumerated() {
        exits[given[place]].x += Self.offset(position, of: order.count, within: sizes[box].width)
        exits[given[place]].y += sizes[box].height / 2
      }
    }
    self.exits = exits
    var entries = layout.routes.map { layout.centres[$0.reader] }
    for box in diagram.boxes.indices {
      let routes = layout.routes.indices.filter { layout.routes[$0].reader == box }
      let coming = routes.map {
        (layout.routes[$0].points.last ?? exits[layout.routes[$0].tensor]).x
      }
      let order = routes.indices.sorted { (coming[$0], $0) < (coming[$1], $1) }
      for (position, place) in order.enumerated() {
        entries[routes[place]].x += Self.offset(position, of: order.count, within: sizes[box].width)
        entries[routes[place]].y -= sizes[box].height / 2
      }
    }
    self.entries = entries
  }

  private static func offset(_ position: Int, of count: Int, within width: Double) -> Double {
    width * (Double(position + 1) / Double(count + 1) - 0.5)
  }
}
