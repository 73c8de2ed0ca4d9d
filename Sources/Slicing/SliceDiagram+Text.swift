extension SliceDiagram {
  /// Boxes from top to bottom, each tensor a rail from its giver to its last reader.
  package var text: String {
    var rails = Rails()
    var rows: [(rails: String, words: String)] = []
    let given = Dictionary(grouping: tensors.indices) { tensors[$0].giver }
    let read = boxes.indices.map { box in
      tensors.indices.filter { tensors[$0].readers.contains(box) }
    }
    for (index, box) in boxes.enumerated() {
      let ending = read[index].filter { tensors[$0].readers.last == index }
      let outputs = (given[index] ?? []).filter { !tensors[$0].readers.isEmpty }
      let shapes = outputs.map { tensors[$0].label }.joined(separator: ", ")
      let (mark, words): (Character, String) =
        switch box {
        case .input(let name): ("○", "\(name)  → \(shapes)")
        case .slice(let name, let nodes, _): ("■", "\(name)  \(nodes)  → \(shapes)")
        case .answer: ("●", "answer")
        }
      rows.append((rails.place(mark, reading: read[index], ending: ending), words))
      if let fork = rails.give(outputs) { rows.append((fork, "")) }
    }
    let width = rows.map(\.rails.count).max() ?? 0
    return rows.map { row in
      let line = row.rails + String(repeating: " ", count: width - row.rails.count) + "  "
      return String((line + row.words).reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}

/// Which tensor runs in which column of a text drawing.
private struct Rails {
  private var columns: [Int?] = []
  /// Where the latest box stands.
  private var latest = 0

  /// The row of a box: it takes the first rail that ends at it, or a free column.
  mutating func place(_ mark: Character, reading: [Int], ending: [Int]) -> String {
    let touched = columns.indices.filter { columns[$0].map(reading.contains) ?? false }
    let ends = Set(columns.indices.filter { columns[$0].map(ending.contains) ?? false })
    latest = ends.min() ?? free(beside: touched)
    let row = row(touched + [latest]) { column, isLeftmost, isRightmost in
      if column == latest { return mark }
      if ends.contains(column) { return isRightmost ? "┘" : "┴" }
      return isRightmost ? "┤" : isLeftmost ? "├" : "┼"
    }
    for column in ends { columns[column] = nil }
    return row
  }

  /// Lets the latest box's outputs run on: the first below it, the others beside it. The row in
  /// which they part, where there are several.
  mutating func give(_ outputs: [Int]) -> String? {
    guard let first = outputs.first else { return nil }
    columns[latest] = first
    var parted = [latest]
    for output in outputs.dropFirst() {
      let column = free(beside: parted)
      columns[column] = output
      parted.append(column)
    }
    guard parted.count > 1 else { return nil }
    return row(parted) { column, isLeftmost, isRightmost in
      if column == latest { return isLeftmost ? "├" : isRightmost ? "┤" : "┼" }
      return isLeftmost ? "┌" : isRightmost ? "┐" : "┬"
    }
  }

  /// The first column without a rail to the right of `others`, made where there is none.
  private mutating func free(beside others: [Int]) -> Int {
    let start = others.max().map { $0 + 1 } ?? 0
    if let column = columns.indices.dropFirst(start).first(where: { columns[$0] == nil }) {
      return column
    }
    while columns.count < start { columns.append(nil) }
    columns.append(nil)
    return columns.count - 1
  }

  private func row(
    _ touched: [Int], _ sign: (_ column: Int, _ isLeftmost: Bool, _ isRightmost: Bool) -> Character
  ) -> String {
    let (left, right) = (touched.min() ?? 0, touched.max() ?? 0)
    var text = ""
    for column in columns.indices {
      let isBetween = column > left && column < right
      if touched.contains(column) {
        text.append(sign(column, column == left, column == right))
      } else if columns[column] != nil {
        text.append(isBetween ? "┼" : "│")
      } else {
        text.append(isBetween ? "─" : " ")
      }
      text.append(column >= left && column < right ? "─" : " ")
    }
    return text
  }
}
