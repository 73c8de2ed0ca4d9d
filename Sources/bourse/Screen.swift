import Foundation
import Synchronization

/// The terminal while it is watched: the books above, the latest events below, on the terminal's
/// second screen, so that the first is as it was when this ends. Elsewhere lines are just printed.
final class Screen: Sendable {
  /// Prices of each side that are shown.
  static let levels: UInt32 = 5

  private struct State {
    var isOpen = false
    var book = ""
    var lines: [String] = []
  }

  let isOn: Bool
  private let state = Mutex(State())

  init(isOn: Bool) {
    self.isOn = isOn
    guard isOn else { return }
    // The second screen, without a cursor.
    print("\u{1B}[?1049h\u{1B}[?25l", terminator: "")
    state.withLock { $0.isOpen = true }
  }

  func show(book: String) {
    state.withLock { state in
      state.book = book
      draw(state)
    }
  }

  func show(line: String) {
    guard isOn else { return print(line) }
    state.withLock { state in
      state.lines.append(line)
      if state.lines.count > 500 { state.lines.removeFirst() }
      draw(state)
    }
  }

  /// The first screen again. May be called more than once, from any thread.
  func close() {
    state.withLock { state in
      guard state.isOpen else { return }
      state.isOpen = false
      print("\u{1B}[?25h\u{1B}[?1049l", terminator: "")
      fflush(nil)
    }
  }

  private func draw(_ state: State) {
    guard state.isOpen else { return }
    var size = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_row > 0
    let (rows, columns) = isKnown ? (Int(size.ws_row), Int(size.ws_col)) : (24, 80)
    // At most half of the screen for the books.
    var lines = state.book.split(
      separator: "\n", omittingEmptySubsequences: false
    ).prefix(rows / 2).map(String.init)
    lines.append("")
    lines += state.lines.suffix(max(0, rows - lines.count - 1)).map { String($0.prefix(columns)) }
    // Home, each line cleared behind its end, everything below cleared.
    let text = lines.joined(separator: "\u{1B}[K\r\n")
    print("\u{1B}[H\(text)\u{1B}[K\u{1B}[J", terminator: "")
    fflush(nil)
  }
}
