import Foundation

/// What must be undone where Ctrl-C, or a request to end, ends the program.
enum Interruption {
  /// Runs `cleanUp` on the signal and exits with 128 + its number, for as long as the caller keeps
  /// what is returned.
  static func handle(_ cleanUp: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        cleanUp()
        exit(128 + number)
      }
      source.resume()
      return source
    }
  }
}
