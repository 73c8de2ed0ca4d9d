/// What the market keeps about a key that has placed a bid.
package struct Prover: Sendable, Hashable {
  /// Bids that are not closed.
  package var openBids: UInt32 = 0
  package var lapsesInARow: UInt32 = 0
}
