import Primitives

/// The entry that each journaled command made, by the command's digest: some 70 bytes an entry, in
/// memory, because digests are random and an index of them on the disk dirties a page for each.
///
/// One dictionary for each first byte, so that what grows at once is a 256th of it.
struct CommandIndex {
  private var shards = [[Digest: UInt64]](repeating: [:], count: 256)

  /// The sequence of the command's entry; nil for one not journaled.
  subscript(command: Digest) -> UInt64? { shards[Self.shard(of: command)][command] }

  /// False, and nothing is changed, where the command is there already.
  mutating func insert(_ command: Digest, at sequence: UInt64) -> Bool {
    let shard = Self.shard(of: command)
    guard shards[shard][command] == nil else { return false }
    shards[shard][command] = sequence
    return true
  }

  private static func shard(of command: Digest) -> Int {
    withUnsafeBytes(of: command.value.inOrder) { Int($0[0]) }
  }
}
