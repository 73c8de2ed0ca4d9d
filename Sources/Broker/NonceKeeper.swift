import Logging
import Market
import Primitives
import Statements

/// The broker's part in the seeds of audits: it commits to a nonce for every request with attested
/// slices, and reveals it once the request is answered. The nonces follow from the broker's key and
/// the request, so none is ever lost.
struct NonceKeeper: Sendable {
  let network: NetworkID
  let sequencer: Sequencer
  let key: SigningKey
  let logger: Logger

  /// Does what a broker that stopped has left undone.
  func catchUp() async {
    let requests = await sequencer.read { market in
      market.requests.filter { $0.terms.isAttested && !$0.state.isFinal }.map(\.id)
    }
    for request in requests { await act(on: request) }
  }

  /// Does what is due for the request now, if anything.
  func act(on id: RequestID) async {
    guard let request = await sequencer.read({ $0.requests[id] }), request.terms.isAttested else {
      return
    }
    let nonce = AuditNonce(for: id, from: key)
    if request.state == .open, request.brokerCommitment == nil {
      await perform(.commitNonce(id, nonce.commitment(by: key.publicKey)))
    } else if request.isRevealing, request.reveals?.broker == nil {
      await perform(.revealNonce(.broker(id), nonce))
    }
  }

  private func perform(_ command: Command) async {
    await sequencer.perform(command, network: network, signedBy: key, logger)
  }
}
