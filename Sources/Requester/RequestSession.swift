package import Market
package import Primitives
package import Statements
package import Wire

/// A requester's way from an input to an answer and its evidence.
package struct RequestSession: Sendable {
  /// What a request asks for beside model and input.
  package struct Order: Sendable {
    package var limitPrice = Price(ticks: 2_000)
    package var stakeMultiple: UInt32 = 5
    /// How many slices one prover may hold; 0 for any number.
    package var spread: UInt32 = 0
    /// Which slices are proven, and by which backend.
    package var proving = ProvingPolicy.none
    package var backend = BackendID.sumcheck
    /// How likely each of the other slices is audited, which are then attested; nil has them run
    /// again, every one.
    package var auditRate: PartsPerMillion?
    /// Keys that may read the tensors and challenge what is attested.
    package var auditors: [PublicKey] = []
    package var attemptsMax: UInt32 = 5
    /// How the limit rises to `limitPrice`; nil where it stands there from the start.
    package var ramp: PriceRamp?
    /// Which provers may work on it; nil for all.
    package var reputation: ReputationFilter?
    package var disclosure = Disclosure.parties
    package var timeInForce = TimeInForce.goodTillCancelled
    /// Milliseconds from now.
    package var beginWithin: UInt64 = 60_000
    package var finalWithin: UInt64 = 600_000

    package init() {}
  }

  private let client: WireClient
  private let key: SigningKey

  package init(client: WireClient, key: SigningKey) {
    self.client = client
    self.key = key
  }

  /// Uploads the input and submits the signed request. The fee at the limit price is held at once.
  package func submit(
    model: ModelID, manifest: Manifest, inputs: [[UInt8]], order: Order
  ) async throws -> WireClient.Performed {
    guard inputs.count == manifest.inputs.count else {
      throw RequesterError.wrongInputCount(expected: manifest.inputs.count, got: inputs.count)
    }
    for (input, specification) in zip(inputs, manifest.inputs) {
      guard input.count == specification.byteCount else {
        throw RequesterError.wrongInputSize(
          specification.name, expected: specification.byteCount, got: input.count)
      }
    }
    var terms = try Self.terms(
      model: model, manifest: manifest, keys: try await client.keyRecords(of: model),
      inputs: inputs.map { Digest.of($0) }, order: order)
    if terms.isAttested {
      terms.nonceCommitment = nonce(for: terms).commitment(by: key.publicKey)
    }
    for input in inputs { _ = try await client.upload(input) }
    return try await client.perform(.submitRequest(terms), signedBy: key)
  }

  /// The requester's part in the seed of its audits. It follows from the key and the terms, so that
  /// whoever has the key can reveal it, from any machine.
  private func nonce(for terms: RequestTerms) -> AuditNonce {
    var terms = terms
    terms.nonceCommitment = .zero
    return AuditNonce(for: Digest.of(terms.canonicalBytes), from: key)
  }

  /// Reveals the nonce where the report says that this is wanted of this key.
  private func revealIfWanted(_ request: RequestID, _ report: RequestReport) async throws {
    guard report.isRevealWanted, report.requester == key.publicKey else { return }
    do {
      try await client.perform(
        .revealNonce(.requester(request), nonce(for: report.terms)), signedBy: key)
    } catch is Rejection {
      // It is revealed already, or too late.
    }
  }

  /// What `submit` would ask for over inputs of these digests. Throws where the policy names a
  /// slice that the model does not have, or a backend that none of `keys` is for.
  ///
  /// - Parameter keys: The model's key records, as the broker has published them.
  package static func terms(
    model: ModelID, manifest: Manifest, keys: [KeyRecord], inputs digests: [Digest], order: Order
  ) throws(RequesterError) -> RequestTerms {
    let proven = try order.proving.chosen(of: manifest)
    let provable = Set(keys.filter { $0.backend == order.backend }.map(\.slice))
    let unprovable = proven.subtracting(provable).sorted().map { manifest.slices[$0].name }
    guard unprovable.isEmpty else {
      throw .noKeys(slices: unprovable, order.backend, known: Set(keys.map(\.backend)).sorted())
    }
    let now = Tick.now
    return RequestTerms(
      model: model, inputs: digests,
      assurances: manifest.slices.indices.map {
        proven.contains($0)
          ? SliceAssurance(.proven, by: order.backend)
          : SliceAssurance(order.auditRate == nil ? .proven : .attested, by: .reexec)
      },
      limitPrice: order.limitPrice, ramp: order.ramp, stakeMultiple: order.stakeMultiple,
      spread: order.spread, reputation: order.reputation, disclosure: order.disclosure,
      auditors: order.auditors,
      auditRate: order.auditRate ?? PartsPerMillion(clamping: 0), nonceCommitment: .zero,
      beginDeadline: now.advanced(by: order.beginWithin),
      finalDeadline: now.advanced(by: order.finalWithin), attemptsMax: order.attemptsMax,
      timeInForce: order.timeInForce)
  }

  /// Calls `onChange` with every change that is seen until the request has ended; returns the end.
  /// Meanwhile it reveals the requester's nonce once that is wanted.
  ///
  /// The broker's notices wake it; half a second without one does so too, so that a lost notice
  /// costs no more.
  package func follow(
    _ request: RequestID, onChange: (RequestReport) -> Void
  ) async throws -> RequestReport {
    var seen: [UInt8] = []
    for await _ in client.wakes(every: .milliseconds(500)) {
      let report = try await client.report(on: request)
      let bytes = report.canonicalBytes
      if bytes != seen { onChange(report) }
      seen = bytes
      try await revealIfWanted(request, report)
      if report.state.isFinal { return report }
    }
    throw CancellationError()
  }

  /// The answer's tensors as they stand; nil while there is none.
  package func answer(_ report: RequestReport, _ manifest: Manifest) async throws -> [[UInt8]]? {
    guard let digests = report.answer else { return nil }
    var tensors: [[UInt8]] = []
    for (digest, source) in zip(digests, manifest.outputs) {
      tensors.append(
        try await client.download(
          digest, byteLimit: manifest.specification(of: source).byteCount))
    }
    return tensors
  }

  /// Everything needed to check the finished request offline.
  package func bundle(
    _ performed: WireClient.Performed, _ report: RequestReport, _ manifest: Manifest
  ) async throws -> Bundle {
    guard report.state == .final, let jobRoot = report.jobRoot else {
      throw RequesterError.notFinal(report.state)
    }
    let records = try await client.keyRecords(of: report.terms.model)
    let leases = Dictionary(report.leases.map { ($0.terms.id, $0) }) { first, _ in first }
    guard report.terms == (try requestTerms(performed)),
      report.current.count == manifest.slices.count
    else { throw RequesterError.foreignReport }
    var slices: [Bundle.Slice] = []
    var digests = Set(report.terms.inputs)
    for (index, id) in report.current.enumerated() {
      guard let lease = leases[id], let commitment = lease.commitment, let receipt = lease.receipt,
        let batchRoot = lease.batchRoot, let inclusion = lease.inclusion,
        let record = records.first(where: { $0.digest == lease.terms.keyRecord })
      else { throw RequesterError.incompleteReport(slice: manifest.slices[index].name) }
      slices.append(
        Bundle.Slice(
          keyRecord: record, commitment: commitment, receipt: receipt, batchRoot: batchRoot,
          inclusion: inclusion))
      digests.formUnion(receipt.statement.inputs)
      digests.formUnion(receipt.statement.outputs)
      digests.formUnion([manifest.slices[index].program, record.verifierKey])
      if receipt.proof != Digest.of([]) { digests.insert(receipt.proof) }
      // A backend that proves compiles its key from the sub-model too.
      if record.backend != .reexec { digests.insert(manifest.slices[index].onnx) }
    }
    var blobs: [[UInt8]] = []
    for digest in digests.sorted() {
      blobs.append(try await client.download(digest, byteLimit: Bundle.blobLimit))
    }
    let entry = try await client.inclusion(of: performed.acknowledgement.sequence)
    return Bundle(
      network: client.card.network, request: performed.envelope,
      acknowledgement: performed.acknowledgement, checkpoint: entry.checkpoint, entry: entry.proof,
      manifest: manifest, slices: slices, jobRoot: jobRoot, blobs: blobs)
  }
}

/// The terms that were signed: what the broker reports must be about these.
private func requestTerms(_ performed: WireClient.Performed) throws -> RequestTerms? {
  guard case .submitRequest(let terms) = try Command(canonicalBytes: performed.envelope.body)
  else { return nil }
  return terms
}

package enum RequesterError: CodedError, Equatable {
  case wrongInputCount(expected: Int, got: Int)
  case wrongInputSize(String, expected: Int, got: Int)
  case notFinal(RequestState)
  case incompleteReport(slice: String)
  case foreignReport
  case keysLate(ModelID)
  case unknownSlice(String, known: [String])
  case noKeys(slices: [String], BackendID, known: [BackendID])

  package var code: String {
    switch self {
    case .wrongInputCount, .wrongInputSize: "wrong-input"
    case .notFinal: "request-not-final"
    case .incompleteReport: "incomplete-report"
    case .foreignReport: "foreign-report"
    case .keysLate: "no-keys"
    case .unknownSlice: "unknown-slice"
    case .noKeys: "no-key"
    }
  }

  package var sentence: String {
    switch self {
    case .wrongInputCount(let expected, let got):
      "The model takes \(expected) inputs and \(got) came; give one per input."
    case .wrongInputSize(let name, let expected, let got):
      "Input '\(name)' takes \(expected) bytes and has \(got); give it the model's shape."
    case .notFinal(let state):
      "The request is \(state) and has no bundle; wait until it is final."
    case .incompleteReport(let slice):
      "The broker's report lacks the receipt of slice '\(slice)'; ask again."
    case .foreignReport:
      "The broker's report is about other terms than those you signed; do not rely on it."
    case .keysLate(let model):
      "The broker has published no keys for model \(model.short) in time; look at its log."
    case .unknownSlice(let name, let known):
      "The model has no slice '\(name)'; prove all, none, top:K, critical:K, or some of \(listed(known))."
    case .noKeys(let slices, let backend, let known):
      "The broker has no key of '\(backend)' for \(listed(slices)): it cannot prove them, is not done yet, or lacks the backend; prove other slices, wait, or name another of its backends (\(listed(known.map(\.name))))."
    }
  }
}

/// The first few of them, and how many more there are.
private func listed(_ names: [String]) -> String {
  let shown = names.prefix(8).joined(separator: ", ")
  return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
}
