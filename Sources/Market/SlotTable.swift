/// Finds slots of an array by a hash of what they hold: open addressing with linear probing (Knuth,
/// volume 3, 6.4). It keeps four bytes per bucket, where a dictionary would keep a second copy of
/// every 32-byte key. Hashes come from `Hasher`, whose seed nobody outside knows; nothing iterates.
struct SlotTable: Sendable {
  private static let empty = UInt32.max
  /// A power of two, at most half of it used.
  private var buckets: [UInt32] = []
  private var count = 0

  func slot(_ hash: Int, where matches: (UInt32) -> Bool) -> UInt32? {
    guard !buckets.isEmpty else { return nil }
    var bucket = hash & (buckets.count - 1)
    while buckets[bucket] != Self.empty {
      if matches(buckets[bucket]) { return buckets[bucket] }
      bucket = (bucket + 1) & (buckets.count - 1)
    }
    return nil
  }

  mutating func insert(_ slot: UInt32, _ hash: Int, hashOf: (UInt32) -> Int) {
    if 2 * (count + 1) > buckets.count {
      let slots = buckets.filter { $0 != Self.empty }
      buckets = Array(repeating: Self.empty, count: max(16, 2 * buckets.count))
      for slot in slots { place(slot, hashOf(slot)) }
    }
    place(slot, hash)
    count += 1
  }

  /// Puts another slot where `old` stands; both hold what has this hash.
  mutating func replace(_ old: UInt32, _ hash: Int, with slot: UInt32) {
    buckets[bucket(of: old, hash)] = slot
  }

  mutating func remove(_ slot: UInt32, _ hash: Int, hashOf: (UInt32) -> Int) {
    let mask = buckets.count - 1
    var hole = bucket(of: slot, hash)
    // What probed past the hole moves into it, so that no search stops short.
    var bucket = (hole + 1) & mask
    while buckets[bucket] != Self.empty {
      let home = hashOf(buckets[bucket]) & mask
      if (bucket - home) & mask >= (bucket - hole) & mask {
        buckets[hole] = buckets[bucket]
        hole = bucket
      }
      bucket = (bucket + 1) & mask
    }
    buckets[hole] = Self.empty
    count -= 1
  }

  private func bucket(of slot: UInt32, _ hash: Int) -> Int {
    var bucket = hash & (buckets.count - 1)
    while buckets[bucket] != slot {
      precondition(buckets[bucket] != Self.empty, "the slot is not in the table")
      bucket = (bucket + 1) & (buckets.count - 1)
    }
    return bucket
  }

  private mutating func place(_ slot: UInt32, _ hash: Int) {
    var bucket = hash & (buckets.count - 1)
    while buckets[bucket] != Self.empty { bucket = (bucket + 1) & (buckets.count - 1) }
    buckets[bucket] = slot
  }
}
