/// What the author of a key may choose.
package struct KeyOptions: Hashable, Sendable {
  package enum ModeChoice: String, Sendable, CaseIterable {
    /// The cheaper one, and the one that can where only one can.
    case auto
    case clear
    case commit
  }

  package enum WeightChoice: String, Sendable, CaseIterable {
    /// The key holds them.
    case `public`
    /// The key holds their root; whoever has them can compute it.
    case committed
  }

  package var mode = ModeChoice.auto
  package var weights = WeightChoice.public
  /// Inferences of one proof.
  package var batch = 1

  package static let batchLimit = 4096

  package init() {}

  package static let names = ["mode", "weights", "batch"]

  /// From the values that an operator wrote, by name. Names that are none of `names` are ignored.
  package init(_ values: [String: String]) throws(KeyOptionError) {
    if let value = values["mode"] {
      guard let choice = ModeChoice(rawValue: value) else { throw .value("mode", value) }
      mode = choice
    }
    if let value = values["weights"] {
      guard let choice = WeightChoice(rawValue: value) else { throw .value("weights", value) }
      weights = choice
    }
    if let value = values["batch"] {
      guard let count = Int(value), (1...Self.batchLimit).contains(count) else {
        throw .value("batch", value)
      }
      batch = count
    }
    guard mode != .clear || weights == .public else { throw .clearWeights }
  }
}

/// Why options are none.
package enum KeyOptionError: Error, Hashable, Sendable {
  case value(String, String)
  case clearWeights

  package var sentence: String {
    switch self {
    case .value(let name, let value):
      "'\(name)=\(value)' is no option; write mode=auto|clear|commit, weights=public|committed, batch=1 to \(KeyOptions.batchLimit)."
    case .clearWeights: "Committed weights need mode=commit: clear proofs are checked with them."
    }
  }
}
