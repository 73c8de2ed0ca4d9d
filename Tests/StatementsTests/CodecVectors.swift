import Foundation
import Primitives

/// The table of test vectors in docs/codec.md, so that the page and the code cannot part.
enum CodecVectors {
  struct Missing: Error { let name: String }

  static func bytes(_ name: String) throws -> [UInt8] {
    let page = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/codec.md").standardizedFileURL
    for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
      let cells = line.split(separator: "|").map { cell in
        cell.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
      }
      if cells.count == 3, cells[0] == name, let bytes = Hexadecimal.bytes(cells[2]) {
        return bytes
      }
    }
    throw Missing(name: name)
  }
}
