package import Primitives

/// All leases that were ever made, by id: ordinals count from 1 without a gap, so that an id says
/// where its lease stands.
package struct LeaseList: RandomAccessCollection, Sendable {
  private var leases: [Lease] = []

  package var startIndex: Int { 0 }
  package var endIndex: Int { leases.count }
  package subscript(place: Int) -> Lease { leases[place] }

  /// Nil where there is no such lease.
  package subscript(id: LeaseID) -> Lease? {
    // Inlined, so that who asks for one field of a lease does not copy all of it.
    @inline(__always) get { place(of: id).map { leases[$0] } }
  }

  /// Of the next lease.
  package var nextID: LeaseID { LeaseID(ordinal: UInt64(leases.count) + 1) }

  /// Appends the lease of `nextID`; false where its id is another.
  mutating func append(_ lease: Lease) -> Bool {
    guard lease.id == nextID else { return false }
    leases.append(lease)
    return true
  }

  /// Changes a lease in its place; false where there is no such lease.
  mutating func change(_ id: LeaseID, _ body: (inout Lease) -> Void) -> Bool {
    guard let place = place(of: id) else { return false }
    body(&leases[place])
    return true
  }

  private func place(of id: LeaseID) -> Int? {
    let place = id.ordinal &- 1
    return place < UInt64(leases.count) ? Int(place) : nil
  }
}

extension LeaseList: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(leases) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    leases = try decoder.all()
    for (place, lease) in leases.enumerated() where self.place(of: lease.id) != place {
      throw decoder.failure(.invalid("lease \(lease.id) is out of order"), at: start)
    }
  }
}
