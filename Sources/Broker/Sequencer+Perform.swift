import Logging
import Market
import Primitives
import Statements
import Wire

extension Sequencer {
  /// A command of the broker's own. What the market rejects has been overtaken by another event.
  func perform(
    _ command: Command, network: NetworkID, signedBy key: SigningKey, _ logger: Logger
  ) async {
    let envelope = Envelope(
      network: network, nonce: .random(), expiry: clock().advanced(by: 60_000),
      body: command.canonicalBytes, signedBy: key)
    switch await submit(envelope, command) {
    case .failure(let error): logger.critical("\(error)")
    case .success(let bytes):
      if let rejection = (try? Acknowledgement(canonicalBytes: bytes))?.rejection {
        logger.debug("\(command.name): \(rejection)")
      }
    }
  }
}
