import Foundation

/// Columns for people: text to the left, numbers to the right.
struct Table {
  enum Alignment { case left, right }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []

  init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

  /// `cells` are as many as the columns.
  mutating func append(_ cells: [String]) {
    precondition(cells.count == columns.count)
    rows.append(cells)
  }

  /// The title line, set off by colour on a terminal, then the rows.
  var text: String {
    let widths = columns.indices.map { column in
      (rows.map { $0[column].count } + [columns[column].title.count]).max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return columns[column].alignment == .left ? cell + padding : padding + cell
      }
      let joined = padded.joined(separator: "  ")
      return String(joined.reversed().drop { $0 == " " }.reversed())
    }
    return ([Style.bold(line(columns.map(\.title)))] + rows.map(line)).joined(separator: "\n")
  }
}

/// Colour, on a terminal only and never where NO_COLOR is set.
enum Style {
  private static let isOn =
    isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil

  static func bold(_ text: String) -> String { isOn ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
  static func red(_ text: String) -> String { isOn ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
  static func green(_ text: String) -> String { isOn ? "\u{1B}[32m\(text)\u{1B}[0m" : text }
}

/// One JSON object with sorted keys, for programs.
func printJSON(
  _ value: some Encodable, keys: JSONEncoder.KeyEncodingStrategy = .useDefaultKeys
) throws {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = keys
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// A value that JSON shows as null, rather than not at all, where there is none.
struct OrNull<Value: Encodable>: Encodable {
  let value: Value?

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

/// "[1, 6, 28, 28]" as "1×6×28×28"; a scalar as "scalar".
func describe(shape: [Int]) -> String {
  shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "×")
}

/// Four significant digits.
func describe(number: Double) -> String { String(format: "%.4g", number) }

/// A share of the whole, such as "61.5 %".
func describe(share: Double) -> String { String(format: "%.1f %%", share * 100) }
