import Foundation

/// One line of progress on a terminal's standard error, once a command has taken a second.
final class Progress {
  private let isOn: Bool
  private let start = ContinuousClock.now
  private var isShown = false

  init(isShown: Bool) { isOn = isShown && isatty(STDERR_FILENO) == 1 }

  func show(_ text: String) {
    guard isOn, isShown || ContinuousClock.now - start > .seconds(1) else { return }
    isShown = true
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
  }

  func finish() {
    if isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
