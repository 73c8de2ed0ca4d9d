import Foundation
import Market
import Primitives

/// The market's state after some entry, in a file beside the journal (`docs/journal.md`). A cache:
/// it follows from the entries, may be deleted at any time, and is passed over where it is damaged,
/// of another journal, or of a build that kept its state otherwise.
package struct Snapshot: Sendable {
  static let fileName = "snapshot"
  private static let magic = Array("bourse/snapshot/1\n".utf8)

  /// Entries that the state comes after, the genesis among them.
  package let count: UInt64
  /// Hash of the last of them.
  let head: Digest
  private let market: Market
  private let key: SigningKey
  private let path: String

  init(of market: Market, after count: UInt64, head: Digest, in directory: String, key: SigningKey)
  {
    self.count = count
    self.head = head
    self.market = market
    self.key = key
    path = directory + "/" + Self.fileName
  }

  /// Writes the file, whole or not at all. Takes about a second for a million entries.
  package func write() throws(JournalError) {
    let state = market.snapshot
    var encoder = CanonicalEncoder()
    encoder.append(fixed: Self.magic)
    encoder.append(count)
    encoder.append(head)
    encoder.append(key.sign(Self.digest(count, head, state)))
    encoder.append(fixed: state)
    do {
      try Data(encoder.bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw .snapshotUnwritable(path: path)
    }
  }

  /// What the file in `directory` holds; nil where there is none that `key` signed.
  static func read(
    in directory: String, genesis: Genesis, key: SigningKey
  ) -> (market: Market, count: UInt64, head: Digest)? {
    guard let file = FileManager.default.contents(atPath: directory + "/" + fileName),
      file.starts(with: magic)
    else { return nil }
    var decoder = CanonicalDecoder(file.dropFirst(magic.count))
    guard let count = try? decoder.integer(UInt64.self),
      let head = try? decoder.record(Digest.self),
      let signature = try? decoder.record(Signature.self),
      let state = try? decoder.fixed(count: decoder.remaining),
      key.publicKey.verifies(signature, over: digest(count, head, state)),
      var market = try? Market(genesis: genesis), (try? market.restore(state)) != nil
    else { return nil }
    return (market, count, head)
  }

  /// The hash of the last entry stands for all before it, the genesis among them.
  private static func digest(_ count: UInt64, _ head: Digest, _ state: [UInt8]) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(Market.snapshotVersion)
    encoder.append(count)
    encoder.append(head)
    encoder.append(Digest.of(state))
    return Digest.of(encoder.bytes, domain: .snapshot)
  }
}
