import Market
import Primitives
import Statements

extension Market {
  /// Whether what is decided about the lease is the reader's business too.
  func discloses(_ id: LeaseID, to reader: PublicKey?) -> Bool {
    guard let lease = leases[id]?.terms, let request = requests[lease.request] else { return false }
    if request.terms.disclosure == .everyone { return true }
    guard let reader else { return false }
    return reader == lease.prover || reader == request.requester
      || request.terms.auditors.contains(reader)
  }
}

/// Who may read which blob. Programs and keys of published models are open to all; a tensor or a
/// proof only to the requester, to the auditors that it names and to the lessees whose slices touch
/// it, unless the request discloses to everyone.
struct DisclosureIndex {
  private var open: Set<Digest> = []
  private var readers: [Digest: Set<PublicKey>] = [:]

  init() {}

  /// As it is after recovery.
  init(of market: Market) {
    for manifest in market.models.values { add(manifest) }
    for record in market.keyRecords.values { open.insert(record.verifierKey) }
    for request in market.requests { admitParties(to: request.terms.inputs, of: request) }
    for lease in market.leases { add(lease, in: market) }
  }

  func mayRead(_ digest: Digest, _ reader: PublicKey?) -> Bool {
    open.contains(digest) || reader.map { readers[digest]?.contains($0) ?? false } ?? false
  }

  /// Whether an accepted command names the blob.
  func isNamed(_ digest: Digest) -> Bool { open.contains(digest) || readers[digest] != nil }

  /// `market` is the state after the event.
  mutating func note(_ event: Event, in market: Market) {
    switch event.body {
    case .modelPublished(_, let manifest): add(manifest)
    case .keyPublished(let record): open.insert(record.verifierKey)
    case .requestOpened(let id, _, let terms):
      if let request = market.requests[id] { admitParties(to: terms.inputs, of: request) }
    case .leaseBegun(let id, _, _), .receiptSubmitted(let id, _, _, _):
      if let lease = market.leases[id] { add(lease, in: market) }
    case .outputCommitted(let commitment, _):
      if let lease = market.leases[commitment.lease] { add(lease, in: market) }
    default: break
    }
  }

  private mutating func add(_ manifest: Manifest) {
    for slice in manifest.slices { open.formUnion([slice.onnx, slice.program]) }
  }

  private mutating func add(_ lease: Lease, in market: Market) {
    guard let request = market.requests[lease.terms.request] else { return }
    let outputs = (lease.commitment?.outputs ?? []) + (lease.receipt.map { [$0.proof] } ?? [])
    admit(lease.terms.prover, to: lease.inputs + outputs, of: request)
    admitParties(to: outputs, of: request)
  }

  private mutating func admitParties(to digests: [Digest], of request: Request) {
    for party in [request.requester] + request.terms.auditors {
      admit(party, to: digests, of: request)
    }
  }

  private mutating func admit(_ reader: PublicKey, to digests: [Digest], of request: Request) {
    for digest in digests {
      readers[digest, default: []].insert(reader)
      if request.terms.disclosure == .everyone { open.insert(digest) }
    }
  }
}
