/// Ways in which a prover can be told to cheat, for demonstrations and tests of the exchange. It
/// costs real stake.
package enum Misbehaviour: String, Sendable, CaseIterable {
  /// Commits to an output with one bit flipped. No proof of that exists, so the receipt comes with
  /// one of the right output.
  case wrongOutput = "wrong-output"
  /// Commits to the right output, and sends its proof with one bit flipped.
  case badProof = "bad-proof"
  /// Signs a batch root that is not the root of its receipts.
  case badRoot = "bad-root"
  /// Commits only after its deadline.
  case late
  /// Takes leases and never answers.
  case silent
  /// Works rightly, and keeps the nonce that it committed to.
  case withholdNonce = "withhold-nonce"
}
