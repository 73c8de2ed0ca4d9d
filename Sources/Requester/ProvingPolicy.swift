package import Primitives
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
  /// The fewest whose cost is this share of the model's: those that cost most; of equal ones the
  /// earlier.
  case cost(PartsPerMillion)

  /// `all`, `none`, `top:K`, `critical:K`, `cost:SHARE` (`25%`, or `250000ppm`), or names with
  /// commas between them. Nil where a number is missing or not above 0, a share is above the whole,
  /// or a name is empty.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    switch parts[0] {
    case "none" where parts.count == 1: self = .none
    case "all" where parts.count == 1: self = .all
    case "top", "critical":
      guard parts.count == 2, let count = Int(parts[1]), count > 0 else { return nil }
      self = parts[0] == "top" ? .top(count) : .critical(count)
    case "cost":
      guard parts.count == 2, let share = Self.share(parts[1]) else { return nil }
      self = .cost(share)
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
    case .cost(let share): "cost:\(share.parts)ppm"
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
    case .cost(let share):
      let costs = manifest.slices.map(\.cost.units)
      // At most 2^40 units in each of 2^12 slices: times a million that is more than 64 bits.
      let wanted = costs.reduce(0, +).multipliedFullWidth(by: UInt64(share.parts))
      var (chosen, sum): (Set<Int>, UInt64) = ([], 0)
      for slice in costs.indices.sorted(by: { (costs[$1], $0) < (costs[$0], $1) }) {
        let reached = sum.multipliedFullWidth(by: 1_000_000)
        if (reached.high, reached.low) >= (wanted.high, wanted.low) { break }
        chosen.insert(slice)
        sum += costs[slice]
      }
      return chosen
    }
  }

  /// `25%`, `12.5%`, at most four digits after the point, or `250000ppm`.
  private static func share(_ text: Substring) -> PartsPerMillion? {
    let parts: UInt32?
    if text.hasSuffix("ppm") {
      parts = UInt32(text.dropLast(3))
    } else if text.hasSuffix("%") {
      let number = text.dropLast().split(
        separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      let digits = number.count == 2 ? number[1] : ""
      guard digits.count <= 4, number.count == 1 || !digits.isEmpty, !number[0].isEmpty else {
        return nil
      }
      parts = UInt32(number[0] + digits + String(repeating: "0", count: 4 - digits.count))
    } else {
      parts = nil
    }
    guard let parts, (1...1_000_000).contains(parts) else { return nil }
    return PartsPerMillion(clamping: parts)
  }

  private static func largest(_ count: Int, of values: [UInt64]) -> Set<Int> {
    Set(values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(count))
  }
}
