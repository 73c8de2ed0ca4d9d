package import Primitives

/// What a backend says of itself.
package struct BackendDescriptor: Hashable, Sendable, CanonicalCodable {
  /// Promises of a backend; the bits of `bourse_backend.flags`.
  package struct Traits: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let bindsContext = Traits(rawValue: 1)
    package static let zeroKnowledge = Traits(rawValue: 2)
    package static let transparent = Traits(rawValue: 4)
    package static let deterministicKeys = Traits(rawValue: 8)
    package static let reexecutes = Traits(rawValue: 16)

    /// The known ones, as people and programs read them.
    package var names: [String] {
      let named: [(Traits, String)] = [
        (.bindsContext, "binds-context"), (.zeroKnowledge, "zero-knowledge"),
        (.transparent, "transparent"), (.deterministicKeys, "deterministic-keys"),
        (.reexecutes, "reexecutes"),
      ]
      return named.compactMap { contains($0.0) ? $0.1 : nil }
    }
  }

  package let id: BackendID
  package let version: String
  package let semantics: String
  package let summary: String
  package let traits: Traits
  /// Whether it offers `bourse.batch/1`.
  package let provesBatches: Bool

  package init(
    id: BackendID, version: String, semantics: String, summary: String, traits: Traits,
    provesBatches: Bool
  ) {
    self.id = id
    self.version = version
    self.semantics = semantics
    self.summary = summary
    self.traits = traits
    self.provesBatches = provesBatches
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(version)
    encoder.append(semantics)
    encoder.append(summary)
    encoder.append(traits.rawValue)
    encoder.append(provesBatches)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    version = try decoder.text(limit: 64)
    semantics = try decoder.text(limit: 64)
    summary = try decoder.text(limit: 1024)
    traits = Traits(rawValue: try decoder.integer())
    provesBatches = try decoder.bool()
  }
}

/// What a plugin's file offers.
package struct PluginDescriptor: Hashable, Sendable, CanonicalCodable {
  package static let backendLimit = 64

  package let abiMajor: UInt16
  package let abiMinor: UInt16
  package let backends: [BackendDescriptor]

  package init(abiMajor: UInt16, abiMinor: UInt16, backends: [BackendDescriptor]) {
    self.abiMajor = abiMajor
    self.abiMinor = abiMinor
    self.backends = backends
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(abiMajor)
    encoder.append(abiMinor)
    encoder.append(backends)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    abiMajor = try decoder.integer()
    abiMinor = try decoder.integer()
    backends = try decoder.list(limit: Self.backendLimit, elementSize: 21)
  }
}
