package import Primitives

/// All requests that were ever opened, by id, in the order of their arrival.
package struct RequestList: RandomAccessCollection, Sendable {
  private var requests: [Request] = []
  private var placeOfID = SlotTable()

  package init() {}

  package var startIndex: Int { 0 }
  package var endIndex: Int { requests.count }
  package subscript(place: Int) -> Request { requests[place] }

  /// Nil where there is no such request.
  package subscript(id: RequestID) -> Request? {
    // Inlined, so that who asks for one field of a request does not copy all of it.
    @inline(__always) get { place(of: id).map { requests[$0] } }
  }

  /// Appends a request that arrived after all others; false where it did not, or is known.
  mutating func append(_ request: Request) -> Bool {
    guard requests.last.map({ $0.ordinal < request.ordinal }) ?? true,
      place(of: request.id) == nil
    else { return false }
    placeOfID.insert(UInt32(requests.count), request.id.value.keyedHash)
    requests.append(request)
    return true
  }

  /// Changes a request in its place; false where there is no such request.
  @inline(__always)
  mutating func change(_ id: RequestID, _ body: (inout Request) -> Void) -> Bool {
    guard let place = place(of: id) else { return false }
    body(&requests[place])
    return true
  }

  @inline(__always)
  private func place(of id: RequestID) -> Int? {
    placeOfID.slot(id.value.keyedHash) { requests[Int($0)].id == id }.map { Int($0) }
  }
}

extension RequestList: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(requests) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    for request in try decoder.all(of: Request.self) where !append(request) {
      throw decoder.failure(.invalid("request \(request.id.short) is out of order"), at: start)
    }
  }
}
