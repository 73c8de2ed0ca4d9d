import Foundation
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements
import Testing

@Suite struct DiagramTests {
  /// A stem whose result two branches read and a residual sum takes up, by one slice each.
  private static func residual(named name: String = "stem") throws -> SlicedModel {
    var random = Seeded(state: 5)
    var builder = ModelBuilder(input: [1, 2, 4, 4])
    func convolve(_ name: String, _ operand: String) -> String {
      builder.convolution(
        of: (operand, [1, 2, 4, 4]), channels: 2, kernel: [1, 1], named: name, &random)!
    }
    let stem = convolve(name, "x")
    let (left, right) = (convolve("left", stem), convolve("right", stem))
    let sum = builder.node("Add", [left, right], named: "sum", giving: [1, 2, 4, 4])
    let end = builder.node("Add", [sum, stem], named: "end", giving: [1, 2, 4, 4])
    let quantizer = try builder.quantized(outputs: [end]).quantizer
    return try SlicedModel(
      name: "a <b> & \"c\"", quantizer: quantizer, slices: (0..<5).map { [$0] })
  }

  @Test func tensorsAreRailsFromGiverToLastReader() throws {
    let text = try SliceDiagram(Self.residual()).text
    #expect(
      text == """
        ○       x  → 1×2×4×4
        ■       slice-0  stem  → 1×2×4×4
        ├─■     slice-1  left  → 1×2×4×4
        ├─┼─■   slice-2  right  → 1×2×4×4
        │ ■─┘   slice-3  sum  → 1×2×4×4
        ■─┘     slice-4  end  → 1×2×4×4
        ●       answer
        """)
  }

  /// Nothing that a model is called becomes markup, and the page is well formed.
  @Test func theDrawingIsWellFormed() throws {
    let hostile = "<script>\u{1}&\"'" + String(repeating: "é", count: 60)
    let svg = try SliceDiagram(Self.residual(named: hostile)).svg
    #expect(!svg.contains("<script") && !svg.contains("\u{1}"))
    #expect(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"))
    var open: [Substring] = []
    for tag in svg.split(separator: "<") {
      let name = tag.prefix { !" />\n".contains($0) }
      if tag.hasPrefix("/") {
        #expect(open.popLast() == tag.dropFirst().prefix { $0 != ">" })
      } else if tag.prefix(while: { $0 != ">" }).last != "/" {
        open.append(name)
      }
    }
    #expect(open.isEmpty)
    // Seven boxes, and eight lines between them.
    #expect(svg.components(separatedBy: "marker-end").count - 1 == 8)
    #expect(svg.components(separatedBy: "text-anchor=\"middle\"").count - 1 == 2 + 5 * 3)
  }

  @Test func boxesDoNotOverlap() throws {
    let svg = try SliceDiagram(Self.residual()).svg
    let frames = svg.matches(of: /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="74"/)
      .map { (x: Double($0.1)!, y: Double($0.2)!, width: Double($0.3)!) }
    #expect(frames.count == 5)
    for (index, box) in frames.enumerated() {
      for other in frames[..<index] where other.y == box.y {
        #expect(other.x + other.width < box.x || box.x + box.width < other.x)
      }
    }
    // Two branches stand side by side.
    #expect(Set(frames.map(\.y)).count == 4)
  }

  @Test func theSameModelIsDrawnTheSame() throws {
    #expect(try SliceDiagram(Self.residual()).svg == SliceDiagram(Self.residual()).svg)
  }
}
