import Synchronization

/// Tables of 2^16 entries that were derived once and wait for the next program that needs them.
final class KeptTables<Key: Hashable & Sendable, Table: Sendable>: Sendable {
  /// Some 8 MB; then all are dropped, so that hostile programs cannot hold memory.
  private static var limit: Int { 64 }

  private let tables = Mutex<[Key: Table]>([:])

  func table(_ key: Key, _ derive: (Key) -> Table) -> Table {
    if let table = tables.withLock({ $0[key] }) { return table }
    // Two threads may derive the same table; it is the same.
    let table = derive(key)
    tables.withLock { tables in
      if tables.count >= Self.limit { tables.removeAll() }
      tables[key] = table
    }
    return table
  }
}
