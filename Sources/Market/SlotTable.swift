/// Finds slots of an array by a hash of what they hold: open addressing with linear probing (Knuth,
/// volume 3, 6.4). It keeps eight bytes per bucket, where a dictionary would keep a second copy of
/// every 32-byte key. Hashes are keyed by what nobody outside knows; nothing iterates.
struct SlotTable: Sendable {
  /// The lower half of a slot's hash, then the slot: a search looks only into slots that are likely
  /// its own, and growing looks into none.
  private struct Bucket: Sendable {
    static let empty = Bucket(hash: 0, slot: .max)
    let hash: UInt32
    let slot: UInt32
  }

  /// A power of two, at most half of it used.
  private var buckets: [Bucket] = []
  private var count = 0

  @inline(__always)
  func slot(_ hash: UInt64, where matches: (UInt32) -> Bool) -> UInt32? {
    guard !buckets.isEmpty else { return nil }
    let hash = UInt32(truncatingIfNeeded: hash)
    var place = home(hash)
    while buckets[place].slot != Bucket.empty.slot {
      if buckets[place].hash == hash, matches(buckets[place].slot) { return buckets[place].slot }
      place = (place + 1) & (buckets.count - 1)
    }
    return nil
  }

  mutating func insert(_ slot: UInt32, _ hash: UInt64) {
    if 2 * (count + 1) > buckets.count {
      let old = buckets
      buckets = Array(repeating: .empty, count: max(16, 2 * old.count))
      for bucket in old where bucket.slot != Bucket.empty.slot { put(bucket) }
    }
    put(Bucket(hash: UInt32(truncatingIfNeeded: hash), slot: slot))
    count += 1
  }

  mutating func remove(_ slot: UInt32, _ hash: UInt64) {
    let mask = buckets.count - 1
    var hole = place(of: slot, hash)
    // What probed past the hole moves into it, so that no search stops short.
    var place = (hole + 1) & mask
    while buckets[place].slot != Bucket.empty.slot {
      if (place - home(buckets[place].hash)) & mask >= (place - hole) & mask {
        buckets[hole] = buckets[place]
        hole = place
      }
      place = (place + 1) & mask
    }
    buckets[hole] = .empty
    count -= 1
  }

  private func home(_ hash: UInt32) -> Int { Int(hash) & (buckets.count - 1) }

  private func place(of slot: UInt32, _ hash: UInt64) -> Int {
    var place = home(UInt32(truncatingIfNeeded: hash))
    while buckets[place].slot != slot {
      precondition(buckets[place].slot != Bucket.empty.slot, "the slot is not in the table")
      place = (place + 1) & (buckets.count - 1)
    }
    return place
  }

  private mutating func put(_ bucket: Bucket) {
    var place = home(bucket.hash)
    while buckets[place].slot != Bucket.empty.slot { place = (place + 1) & (buckets.count - 1) }
    buckets[place] = bucket
  }
}
