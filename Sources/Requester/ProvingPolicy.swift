import Primitives
package import Statements

/// Which slices of a request a backend proves. The others are run again by `reexec`.
package enum ProvingPolicy: Hashable, Sendable, CustomStringConvertible {
  case none
  case all
  /// Those of these names.
  case slices([String])
  /// The so many that cost most; of equal ones the earlier.
  case top(Int)
  /// The so many of the largest criticality (`Manifest.criticalities`); of equal ones the earlier.
  case critical(Int)

  /// `all`, `none`, `top:K`, `critical:K`, or names with commas between them. Nil where a number is
  /// missing or below 1, or a name is empty.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    switch parts[0] {
    case "none" where parts.count == 1: self = .none
    case "all" where parts.count == 1: self = .all
    case "top", "critical":
      guard parts.count == 2, let count = Int(parts[1]), count > 0 else { return nil }
      self = parts[0] == "top" ? .top(count) : .critical(count)
    default:
      let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard names.allSatisfy({ !$0.isEmpty }) else { return nil }
      self = .slices(names)
    }
  }

  /// What `init(_:)` reads.
  package var description: String {
    switch self {
    case .none: "none"
    case .all: "all"
    case .slices(let names): names.joined(separator: ",")
    case .top(let count): "top:\(count)"
    case .critical(let count): "critical:\(count)"
    }
  }

  /// Indices of the slices to prove. Throws where a name is not that of a slice.
  package func chosen(of manifest: Manifest) throws(RequesterError) -> Set<Int> {
    switch self {
    case .none: return []
    case .all: return Set(manifest.slices.indices)
    case .slices(let names):
      var chosen: Set<Int> = []
      for name in names {
        guard let index = manifest.slices.firstIndex(where: { $0.name == name }) else {
          throw .unknownSlice(name, known: manifest.slices.map(\.name))
        }
        chosen.insert(index)
      }
      return chosen
    case .top(let count):
      return Self.largest(count, of: manifest.slices.map(\.cost.units))
    case .critical(let count):
      return Self.largest(count, of: manifest.criticalities.map { UInt64($0.combined.parts) })
    }
  }

  private static func largest(_ count: Int, of values: [UInt64]) -> Set<Int> {
    Set(values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(count))
  }
}
