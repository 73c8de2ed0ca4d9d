import MerkleLog
package import Primitives
package import Statements

/// The lives of leases: begin, commitment, receipt, verdict, and what each verdict moves.
extension Market {
  // MARK: Begin and commitment

  /// Marks a fully leased request as matched, and begins every lease whose inputs exist.
  mutating func begin(_ id: RequestID) {
    guard let request = requests[id] else { return }
    if request.state == .open {
      guard request.slices.allSatisfy({ $0.lease != nil }) else { return }
      guard !request.terms.isAttested || request.brokerCommitment != nil else { return }
      emit(.requestMatched(id))
    }
    for slice in request.slices.indices {
      guard leaseState(slice, of: request) == .leased, let lease = currentLease(slice, of: request),
        let inputs = inputs(of: slice, in: request)
      else { continue }
      emit(
        .leaseBegun(
          lease.id, inputs: inputs, deadline: now.advanced(by: parameters(of: lease).executeWindow))
      )
    }
  }

  func currentLease(_ request: RequestID, _ slice: Int) -> Lease? {
    requests[request].flatMap { currentLease(slice, of: $0) }
  }

  private func currentLease(_ slice: Int, of request: Request) -> Lease? {
    request.slices[slice].lease.flatMap { leases[$0] }
  }

  /// Its current lease's; nil where it has none.
  private func leaseState(_ slice: Int, of request: Request) -> LeaseState? {
    request.slices[slice].lease.flatMap { leases[$0]?.state }
  }

  /// Digests of the slice's inputs, or nil while a producer has not committed.
  private func inputs(of slice: Int, in request: Request) -> [Digest]? {
    guard let manifest = models[request.terms.model] else { return nil }
    return digests(manifest.slices[slice].sources, in: request)
  }

  func digests(_ sources: [Manifest.Source], in request: Request) -> [Digest]? {
    var digests: [Digest] = []
    digests.reserveCapacity(sources.count)
    for source in sources {
      switch source {
      case .input(let index): digests.append(request.terms.inputs[index])
      case .slice(let producer, let output):
        guard let commitment = request.slices[producer].lease.flatMap({ leases[$0]?.$commitment })
        else { return nil }
        digests.append(commitment.value.outputs[output])
      }
    }
    return digests
  }

  mutating func commitOutput(
    _ commitment: OutputCommitment, by author: PublicKey
  ) throws(Refused) {
    let lease = try ownLease(commitment.lease, of: author)
    guard lease.state == .begun, lease.verification == nil else {
      throw .leaseNotInState(lease.id, expected: "begun")
    }
    guard lease.deadline >= now else { throw .leaseLate(lease.id) }
    guard commitment.prover == author, commitment.network == genesis.network else {
      throw .invalidCommitment("it is made by another key or for another network")
    }
    guard isAuthentic ?? commitment.isAuthentic else {
      throw .invalidCommitment("its signature is false")
    }
    let isSeeding = requests[lease.terms.request]?.terms.isAttested ?? false
    guard !isSeeding || commitment.nonceCommitment != .zero else {
      throw .invalidCommitment("its request has attested slices, so it must commit to a nonce")
    }
    let outputs = models[lease.terms.model]?.slices[lease.terms.slice].outputs.count ?? 0
    guard commitment.outputs.count == outputs else {
      throw .invalidCommitment(
        "it has \(commitment.outputs.count) digests and the slice has \(outputs) outputs")
    }
    emit(
      .outputCommitted(commitment, deadline: now.advanced(by: parameters(of: lease).proveWindow)))
    // Its record has changed, which may admit it to requests that ask for one.
    freed.append(author)
    guard !lease.isOrphaned else { return }
    if lease.isAttested, let request = requests[lease.terms.request],
      request.isDrawn || request.reveals != nil
    {
      audit(lease.id, isCharged: true)
    }
    begin(lease.terms.request)
    reviseAnswer(lease.terms.request)
  }

  /// Whether every slice has an output.
  private func isCommitted(_ request: Request) -> Bool {
    request.slices.allSatisfy { slice in slice.lease.flatMap { leases[$0]?.$commitment } != nil }
  }

  /// Whether an output stands over inputs that a replacement has changed since.
  private func isStale(_ request: Request) -> Bool {
    request.slices.indices.contains { slice in
      guard let id = request.slices[slice].lease, leases[id]?.$commitment != nil,
        let inputs = inputs(of: slice, in: request)
      else { return false }
      return leases[id]?.inputs != inputs
    }
  }

  /// Withdraws an answer that a replacement's output contradicts, and gives one once every slice is
  /// committed over the outputs that stand now.
  private mutating func reviseAnswer(_ id: RequestID) {
    guard let request = requests[id], let manifest = models[request.terms.model] else { return }
    let isComplete = isCommitted(request)
    guard request.state == .answered || (request.state == .running && isComplete) else { return }
    let isStale = isStale(request)
    let answer = digests(manifest.outputs, in: request)
    if request.state == .answered, isStale || (answer != nil && answer != request.answer) {
      emit(.answerWithdrawn(id))
    }
    if requests[id]?.state == .running, isComplete, !isStale, let answer {
      emit(.requestAnswered(id, answer: answer))
      wantReveals(of: id)
    }
  }

  // MARK: Receipts

  package func statement(of lease: Lease) -> Statement {
    Statement(
      network: genesis.network, request: lease.terms.request, lease: lease.id,
      model: lease.terms.model, slice: lease.terms.slice, inputs: lease.inputs,
      outputs: lease.commitment?.outputs ?? [], backend: lease.terms.assurance.backend,
      keyRecord: lease.terms.keyRecord, prover: lease.terms.prover)
  }

  /// What is to be verified of the lease; nil where no verdict is awaited.
  package func verificationJob(of id: LeaseID) -> VerificationJob? {
    guard let lease = leases[id], let purpose = lease.verification,
      let record = keyRecords[
        KeySubject(
          model: lease.terms.model, slice: lease.terms.slice,
          backend: lease.terms.assurance.backend)]
    else { return nil }
    return VerificationJob(
      statement: statement(of: lease), purpose: purpose, attempt: lease.attempt,
      proof: lease.receipt?.proof ?? Digest.of([]), keyRecord: record)
  }

  mutating func submitBatch(_ batch: Batch, by author: PublicKey) throws(Refused) {
    guard !batch.receipts.isEmpty else { throw .invalidBatch("it is empty") }
    guard batch.signedRoot.prover == author, batch.signedRoot.network == genesis.network else {
      throw .invalidBatch("it is signed by another key or for another network")
    }
    guard isAuthentic ?? batch.signedRoot.isAuthentic else {
      throw .invalidBatch("its signature is false")
    }
    var named: Set<LeaseID> = []
    for receipt in batch.receipts {
      let lease = try ownLease(receipt.statement.lease, of: author)
      guard named.insert(lease.id).inserted else {
        throw .invalidBatch("it names lease \(lease.id) twice")
      }
      guard lease.state == .committed, lease.verification == nil else {
        throw .leaseNotInState(lease.id, expected: "committed")
      }
      guard lease.deadline >= now else { throw .leaseLate(lease.id) }
    }
    let tree = batch.tree
    for (index, receipt) in batch.receipts.enumerated() {
      // An earlier slash of this batch may have ended this lease: it is looked up anew.
      guard let lease = leases[receipt.statement.lease], !lease.state.isFinal else { continue }
      guard let tree else {
        slash(lease, .falseBatchRoot)
        continue
      }
      guard receipt.statement == statement(of: lease) else {
        slash(lease, .falseStatement)
        continue
      }
      emit(
        .receiptSubmitted(lease.id, receipt, batch.signedRoot, tree.inclusionProof(of: index)))
      if lease.isAttested { followDraw(lease.id) } else { want(.receipt, lease.id) }
    }
  }

  /// The lessee says that its program faults on its inputs; only re-execution decides.
  mutating func reportRangeFault(_ id: LeaseID, by author: PublicKey) throws(Refused) {
    let lease = try ownLease(id, of: author)
    guard lease.state == .begun, lease.verification == nil else {
      throw .leaseNotInState(id, expected: "begun")
    }
    guard lease.deadline >= now else { throw .leaseLate(id) }
    want(.rangeFault, id)
  }

  /// The lessee's own verifier refuses its proof. Once re-execution confirms the output the lease
  /// is released without fault; the slice goes to another.
  mutating func declareUnprovable(_ id: LeaseID, by author: PublicKey) throws(Refused) {
    let lease = try ownLease(id, of: author)
    guard lease.state == .committed, lease.verification == nil else {
      throw .leaseNotInState(id, expected: "committed")
    }
    guard lease.deadline >= now else { throw .leaseLate(id) }
    want(.unprovable, id)
  }

  /// A lessee may leave what has not begun while its request is open, or a slice of it has no
  /// lessee: nobody can say when it will begin.
  mutating func cancelLease(_ id: LeaseID, by author: PublicKey) throws(Refused) {
    let lease = try ownLease(id, of: author)
    let request = requests[lease.terms.request]
    let isWaiting = request?.state == .open || request?.slices.contains { $0.lease == nil } == true
    guard lease.state == .leased, isWaiting else {
      throw .leaseNotInState(id, expected: "waiting for a lessee of another slice")
    }
    release(lease, .cancelled)
  }

  func ownLease(_ id: LeaseID, of author: PublicKey) throws(Refused) -> Lease {
    guard let lease = leases[id] else { throw .unknownLease(id) }
    guard lease.terms.prover == author else { throw .notYours("lease") }
    return lease
  }

  mutating func want(_ purpose: VerificationPurpose, _ id: LeaseID) {
    guard let lease = leases[id] else { return }
    emit(
      .verificationWanted(
        id, purpose, attempt: lease.attempt + 1,
        deadline: now.advanced(by: parameters(of: lease).verifyWindow)))
  }

  // MARK: Verdicts

  mutating func recordVerdict(_ record: VerdictRecord, by author: PublicKey) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    guard let terms = leases[record.lease]?.keptTerms else { throw .unknownLease(record.lease) }
    guard let purpose = leases[record.lease]?.verification,
      leases[record.lease]?.attempt == record.attempt,
      leases[record.lease]?.state.isFinal == false
    else { throw .notAwaited(record.lease) }
    let isReexecuted = purpose != .receipt || terms.value.assurance.backend == .reexec
    let lost = record.verdict == .valid ? leases[record.lease]?.challenge : nil
    emit(
      .verdictRecorded(record, isReexecuted: isReexecuted),
      lost.map {
        Posting.move($0.deposit, from: .challengeHold($0.challenger), to: .treasury)
      } ?? [])
    // As the verdict has left it: a deposit that is lost must not come back as well.
    guard let lease = leases[record.lease] else { return }
    switch record.verdict {
    case .valid: confirmed(lease, purpose)
    case .invalid: slash(lease, purpose == .rangeFault ? .falseRangeFault : .invalidReceipt)
    case .inconclusive: inconclusive(lease, purpose)
    }
  }

  private mutating func confirmed(_ lease: Lease, _ purpose: VerificationPurpose) {
    switch purpose {
    case .receipt, .rangeFault, .audit, .challenge:
      if lease.isOrphaned {
        release(lease, .upstreamInvalid, compensated: true)
        return
      }
      // There will be no answer, hence no reveal, and the request's end waits for what is upstream.
      if purpose == .rangeFault, let request = requests[lease.terms.request],
        request.terms.isAttested, !request.isDrawn
      {
        drawAudits(of: request.id, by: nil)
      }
      settle(lease.terms.request)
    case .fallback: release(lease, .inconclusive)
    case .unprovable: release(lease, .unprovable)
    case .late: lapse(lease)
    }
  }

  mutating func inconclusive(_ lease: Lease, _ purpose: VerificationPurpose) {
    switch purpose {
    case .receipt, .audit, .challenge:
      if lease.attempt <= parameters(of: lease).inconclusiveRetries {
        want(purpose, lease.id)
      } else if purpose == .receipt, isReexecutable(lease) {
        want(.fallback, lease.id)
      } else {
        release(lease, .inconclusive)
      }
    case .fallback, .late, .rangeFault, .unprovable: release(lease, .inconclusive)
    }
  }

  /// Whether the broker can run the slice again and take its output for the truth.
  func isReexecutable(_ lease: Lease) -> Bool {
    models[lease.terms.model]?.semantics == Self.semantics
  }

  // MARK: Settlement

  /// Pays every verified lease whose upstream has settled, in slice order, and closes the request
  /// once nothing is left to decide.
  mutating func settle(_ id: RequestID) {
    guard var request = requests[id], let manifest = models[request.terms.model] else { return }
    // Until the draw every stake stays behind the nonce that its lessee owes.
    guard request.isDrawn || !request.terms.isAttested else { return }
    for slice in request.slices.indices {
      guard !request.state.isFinal else { return }
      guard leaseState(slice, of: request) == .verified,
        let lease = currentLease(slice, of: request)
      else { continue }
      let isFailing = request.state == .failing
      let producers = manifest.slices[slice].sources.lazy.compactMap(\.producer)
      guard have(ended: producers, of: request) else { continue }
      if !isFailing, lease.inputs != inputs(of: slice, in: request) {
        release(lease, .staleInput)
      } else {
        pay(lease, bonus: request.slices[slice].bonus, by: request.requester)
        if lease.isFaulted, !isFailing { fail(id, .rangeFault) }
      }
      guard let changed = requests[id] else { return }
      request = changed
    }
    guard have(ended: request.slices.indices, of: request) else { return }
    switch request.state {
    case .running, .answered: close(id, as: .final)
    case .failing: close(id, as: .failed)
    default: break
    }
  }

  /// Whether these slices' leases are settled, or, where the request is failing, just ended.
  private func have(ended slices: some Sequence<Int>, of request: Request) -> Bool {
    let isFailing = request.state == .failing
    return slices.allSatisfy { slice in
      let state = leaseState(slice, of: request)
      return state == .settled || (isFailing && state?.isFinal ?? true)
    }
  }

  private mutating func pay(_ lease: Lease, bonus: Amount, by requester: PublicKey) {
    let prover = lease.terms.prover
    let kept = lease.terms.fee.share(parameters(of: lease).feeShare)
    let paid = payDelegators(of: lease, lease.terms.fee.saturatingSubtract(kept), by: requester)
    var postings: [Posting] = []
    postings.reserveCapacity(10)
    postings.move(paid.prover, from: .feeHold(requester), to: .available(prover))
    postings.move(kept.adding(paid.leftOver) ?? kept, from: .feeHold(requester), to: .treasury)
    postings.move(bonus, from: .slashEscrow, to: .available(prover))
    postings += stakeReturn(lease)
    emit(.leaseSettled(lease.id, bonus: bonus), postings)
    freed.append(prover)
  }

  /// Ends a lease without fault. An orphan's compensation is paid or burned; a reservation is paid
  /// by the requester.
  mutating func release(
    _ lease: Lease, _ reason: ReleaseReason, compensated: Bool = false,
    reservation: Amount = .zero
  ) {
    let prover = lease.terms.prover
    guard let requester = requests[lease.terms.request]?.requester else { return }
    emit(
      .leaseReleased(
        lease.id, reason, compensation: compensated ? lease.compensation : reservation),
      stakeReturn(lease)
        + lease.depositReturn
        + Posting.move(
          lease.compensation, from: .slashEscrow,
          to: compensated ? .available(prover) : .burned)
        + Posting.move(reservation, from: .feeHold(requester), to: .available(prover)))
    freed.append(prover)
    returned.append(lease.terms.request)
    if reason == .inconclusive || reason == .unprovable { failIfExhausted(lease) }
  }

  /// Ends a lease that is late. The penalty is burned.
  mutating func lapse(_ lease: Lease, penalty: Amount? = nil) {
    let prover = lease.terms.prover
    let penalty = penalty ?? latenessPenalty(lease)
    let lost = bear(penalty, of: lease)
    emit(
      .leaseLapsed(lease.id, penalty: penalty),
      stakeLoss(lease, lost, to: .burned)
        + stakeReturn(leases[lease.id] ?? lease, less: lost)
        + Posting.move(lease.compensation, from: .slashEscrow, to: .burned))
    freed.append(prover)
    returned.append(lease.terms.request)
    if provers[prover]?.lapsesInARow ?? 0 >= parameters(of: lease).lapseLimit {
      closeBids(of: prover, .lapsed)
    }
    failIfExhausted(lease)
  }

  /// The larger of a share of the stake and what the replacement costs above the lease's own fee,
  /// capped by a parameter and by the stake. The replacement is the bid that would take the slice
  /// now; where there is none the share alone counts.
  func latenessPenalty(_ lease: Lease) -> Amount {
    var penalty = lease.stake.share(parameters(of: lease).latenessShare)
    if var request = requests[lease.terms.request], !lease.isOrphaned {
      request.slices[lease.terms.slice].ineligible.append(lease.terms.prover)
      if let replacement = bestBid(for: request, lease.terms.slice),
        let fee = replacement.terms.price.fee(for: request.slices[lease.terms.slice].cost)
      {
        penalty = max(penalty, fee.saturatingSubtract(lease.terms.fee))
      }
    }
    return min(penalty, parameters(of: lease).latenessCap, lease.stake)
  }

  // MARK: Slashing

  /// Takes the whole stake, once. Those who consumed the output are released, and compensated
  /// before anyone else is given a share, then whoever challenged it, then the replacement; at most
  /// half of the prover's own part is given away, the treasury takes its share, the rest is burned.
  mutating func slash(_ lease: Lease, _ reason: SlashReason) {
    let stake = lease.stake
    let lost = bear(stake, of: lease)
    let giveable = Amount(microcredits: lost.own.microcredits / 2)
    let consumers = lease.isOrphaned || lease.commitment == nil ? [] : consumers(of: lease)
    var compensations: [Amount] = []
    var given = Amount.zero
    for consumer in consumers {
      let isOwed = consumer.commitment != nil && consumer.terms.prover != lease.terms.prover
      let compensation =
        isOwed ? min(consumer.terms.fee, giveable.saturatingSubtract(given)) : .zero
      given = given.adding(compensation) ?? giveable
      compensations.append(compensation)
    }
    let reward = reward(lease, atMost: giveable.saturatingSubtract(given))
    given = given.adding(reward) ?? giveable
    let isReplaced =
      !lease.isOrphaned && requests[lease.terms.request].map { $0.state != .failing } ?? false
    let bonus =
      isReplaced
      ? min(stake.share(parameters(of: lease).replacementShare), giveable.saturatingSubtract(given))
      : .zero
    given = given.adding(bonus) ?? giveable
    let kept = lost.own.saturatingSubtract(given)
    let share = parameters(of: lease).treasuryShare
    let treasury = StakeParts(
      own: min(lost.own.share(share), kept), delegated: lost.delegated.share(share))
    let burned = StakeParts(
      own: kept.saturatingSubtract(treasury.own),
      delegated: lost.delegated.saturatingSubtract(treasury.delegated))
    let hold = Account.stakeHold(lease.terms.prover)
    emit(
      .leaseSlashed(lease.id, reason, bonus: bonus),
      Posting.move(given.saturatingSubtract(reward), from: hold, to: .slashEscrow)
        + (lease.challenge.map {
          Posting.move(reward, from: hold, to: .available($0.challenger))
        } ?? [])
        + lease.depositReturn
        + stakeLoss(lease, treasury, to: .treasury)
        + stakeLoss(lease, burned, to: .burned)
        + Posting.move(lease.compensation, from: .slashEscrow, to: .burned))
    returned.append(lease.terms.request)
    freed.append(lease.terms.prover)
    if requests[lease.terms.request]?.state == .answered, !lease.isOrphaned {
      emit(.answerWithdrawn(lease.terms.request))
    }
    for (consumer, compensation) in zip(consumers, compensations) {
      orphan(consumer, compensation)
    }
    closeBids(of: lease.terms.prover, .slashed)
    cool(after: lease)
    failIfExhausted(lease)
  }

  /// Current leases that consumed the lease's output, directly or through others, in slice order.
  private func consumers(of lease: Lease) -> [Lease] {
    guard let manifest = models[lease.terms.model] else { return [] }
    // Outputs by slice. A consumer that was begun over an earlier lessee's other output stands.
    var tainted: [Int: [Digest]] = [lease.terms.slice: lease.commitment?.outputs ?? []]
    var consumers: [Lease] = []
    for slice in manifest.slices.indices where slice > lease.terms.slice {
      guard let consumer = currentLease(lease.terms.request, slice),
        consumer.state != .leased, !consumer.state.isFinal
      else { continue }
      let isTainted = zip(manifest.slices[slice].sources, consumer.inputs).contains {
        source, input in
        guard case .slice(let producer, let output) = source else { return false }
        return tainted[producer].map { output < $0.count && $0[output] == input } ?? false
      }
      guard isTainted else { continue }
      tainted[slice] = consumer.commitment?.outputs ?? []
      consumers.append(consumer)
    }
    return consumers
  }

  /// Gives the slice of a lease with a bad input away again. What it has committed is still
  /// decided: valid over the inputs it was given earns the compensation, invalid is slashed.
  private mutating func orphan(_ lease: Lease, _ compensation: Amount) {
    emit(.leaseOrphaned(lease.id, compensation: compensation))
    returned.append(lease.terms.request)
    guard let orphan = leases[lease.id] else { return }
    switch orphan.state {
    case .verified: release(orphan, .upstreamInvalid, compensated: true)
    case .committed where orphan.isAttested, .submitted where orphan.isAttested:
      if orphan.draw != .audited, orphan.verification == nil { audit(orphan.id, isCharged: false) }
    case .begun where orphan.verification == nil: release(orphan, .upstreamInvalid)
    default: break
    }
  }

  private mutating func closeBids(of prover: PublicKey, _ closure: BidClosure) {
    for bid in book.bids(of: prover) where !bid.isClosed { emit(.bidClosed(bid.id, closure)) }
  }

  // MARK: Failure and close

  private mutating func failIfExhausted(_ lease: Lease) {
    guard let request = requests[lease.terms.request], !request.state.isFinal else { return }
    if request.state == .failing {
      settle(request.id)
    } else if request.slices[lease.terms.slice].failures >= request.terms.attemptsMax {
      fail(request.id, .attemptsExhausted)
    }
  }

  /// No new lease; what has not committed is released; what has is decided and paid.
  mutating func fail(_ id: RequestID, _ reason: FailureReason) {
    emit(.requestFailing(id, reason))
    for slice in requests[id]?.slices.indices ?? 0..<0 {
      guard let lease = currentLease(id, slice), lease.verification == nil else { continue }
      if lease.state == .leased || lease.state == .begun { release(lease, .requestEnded) }
    }
    if let request = requests[id], request.terms.isAttested, !request.isDrawn {
      drawAudits(of: id, by: nil)
    }
    settle(id)
  }

  /// Ends a request: leases that never began are released, what is left of the fees goes back, and
  /// bonuses that nobody earned are burned.
  mutating func close(_ id: RequestID, as state: RequestState) {
    guard let opened = requests[id] else { return }
    for slice in opened.slices.indices {
      if leaseState(slice, of: opened) == .leased, let lease = currentLease(slice, of: opened) {
        release(lease, .requestEnded)
      }
    }
    guard let request = requests[id] else { return }
    var coverage = Coverage()
    var leaves: [[UInt8]] = []
    var unearned = Amount.zero
    for slice in request.slices.indices {
      unearned = unearned.adding(request.slices[slice].bonus) ?? unearned
      guard let lease = currentLease(slice, of: request), lease.state == .settled,
        let receipt = lease.receipt
      else { continue }
      leaves.append(receipt.canonicalBytes)
      coverage.count(lease, request.slices[slice].cost)
    }
    emit(
      .requestClosed(
        id, state, coverage, jobRoot: state == .final ? MerkleTree(leaves: leaves).root : nil),
      Posting.move(
        request.held, from: .feeHold(request.requester), to: .available(request.requester))
        + Posting.move(unearned, from: .slashEscrow, to: .burned))
  }
}

extension Manifest.Source {
  /// The slice it is an output of; nil for an input of the model.
  fileprivate var producer: Int? {
    guard case .slice(let producer, _) = self else { return nil }
    return producer
  }
}

extension Coverage {
  mutating func count(_ lease: Lease, _ cost: Cost) {
    switch (lease.terms.assurance.assurance, lease.isReexecuted) {
    case (.attested, _) where lease.isAudited:
      audited += 1
      auditedCost = Cost(units: auditedCost.units + cost.units)
    case (.proven, false):
      proven += 1
      provenCost = Cost(units: provenCost.units + cost.units)
    case (.proven, true):
      reexecuted += 1
      reexecutedCost = Cost(units: reexecutedCost.units + cost.units)
    case (.attested, _):
      attested += 1
      attestedCost = Cost(units: attestedCost.units + cost.units)
    }
  }
}
