import Primitives
import Statements

/// Attested slices: the nonces that seed their audits, the draw, and challenges of what it spares.
extension Market {
  // MARK: Nonces

  /// The broker commits to its nonce before any lease of the request begins, hence before any
  /// lessee commits to its own.
  mutating func commitNonce(
    _ id: RequestID, _ commitment: Digest, by author: PublicKey
  ) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    guard let request = requests[id] else { throw .unknownRequest }
    guard request.terms.isAttested, request.state == .open else { throw .nonceNotAwaited }
    guard request.brokerCommitment == nil else { throw .duplicate }
    emit(.nonceCommitted(id, commitment))
    begin(id)
  }

  /// Asks for the nonces of a request with attested slices once it is first answered.
  mutating func wantReveals(of id: RequestID) {
    guard let request = requests[id], request.terms.isAttested, !request.isDrawn,
      request.reveals == nil
    else { return }
    emit(
      .revealsWanted(
        id, request.slices.compactMap(\.lease),
        deadline: now.advanced(by: request.revealWindow)))
  }

  mutating func revealNonce(
    _ nonce: AuditNonce, of owner: NonceOwner, by author: PublicKey
  ) throws(Refused) {
    let request = try request(of: owner)
    guard let reveals = request.reveals, request.isRevealing, reveals.deadline >= now else {
      throw .nonceNotAwaited
    }
    let commitment: Digest?
    let isRevealed: Bool
    switch owner {
    case .requester:
      guard author == request.requester else { throw .notYours("request") }
      (commitment, isRevealed) = (request.terms.nonceCommitment, reveals.requester != nil)
    case .broker:
      guard author == genesis.broker else { throw .notBroker }
      (commitment, isRevealed) = (request.brokerCommitment, reveals.broker != nil)
    case .lessee(let id):
      let lease = try ownLease(id, of: author)
      guard reveals.leases.contains(id) else { throw .nonceNotAwaited }
      (commitment, isRevealed) = (lease.commitment?.nonceCommitment, lease.nonce != nil)
    }
    guard !isRevealed else { throw .duplicate }
    guard nonce.commitment(by: author) == commitment else { throw .falseNonce }
    emit(.nonceRevealed(owner, nonce))
    drawOnceRevealed(request.id)
  }

  private func request(of owner: NonceOwner) throws(Refused) -> Request {
    switch owner {
    case .requester(let id), .broker(let id):
      guard let request = requests[id] else { throw .unknownRequest }
      return request
    case .lessee(let id):
      guard let lease = leases[id] else { throw .unknownLease(id) }
      guard let request = requests[lease.terms.request] else { throw .unknownRequest }
      return request
    }
  }

  // MARK: The draw

  private mutating func drawOnceRevealed(_ id: RequestID) {
    guard let reveals = requests[id]?.reveals, let requester = reveals.requester,
      let broker = reveals.broker
    else { return }
    let lessees = reveals.leases.compactMap { leases[$0]?.nonce }
    guard lessees.count == reveals.leases.count else { return }
    drawAudits(
      of: id,
      by: AuditSeed(request: id, requester: requester, broker: broker, lessees: lessees))
  }

  /// Decides which of the request's attested leases are audited. Without a seed all of them are.
  ///
  /// - Parameter isCharged: Whether the requester pays for the audits out of what it held for them.
  mutating func drawAudits(of id: RequestID, by seed: AuditSeed?, isCharged: Bool = true) {
    guard let request = requests[id] else { return }
    var (audited, spared): ([LeaseID], [LeaseID]) = ([], [])
    var fees = Amount.zero
    for slice in request.slices.indices {
      guard let lease = currentLease(id, slice), lease.isAttested, lease.commitment != nil,
        lease.draw == nil
      else { continue }
      guard seed?.draws(slice: slice, at: request.terms.auditRate) ?? true else {
        spared.append(lease.id)
        continue
      }
      audited.append(lease.id)
      if isCharged { fees = fees.adding(request.slices[slice].auditFee) ?? fees }
    }
    emit(
      .auditsDrawn(id, seed: seed?.digest, audited: audited, spared: spared, fees: fees),
      Posting.move(fees, from: .feeHold(request.requester), to: .treasury))
    for lease in (audited + spared).sorted() { followDraw(lease) }
    // What was verified has waited for the draw.
    settle(id)
  }

  /// Audits a lease that no draw decides on.
  mutating func audit(_ id: LeaseID, isCharged: Bool) {
    guard let lease = leases[id], let request = requests[lease.terms.request] else { return }
    let fee = isCharged ? request.slices[lease.terms.slice].auditFee : .zero
    emit(
      .auditDue(id, fee: fee),
      Posting.move(fee, from: .feeHold(request.requester), to: .treasury))
    followDraw(id)
  }

  /// Does what was drawn for a lease, once its receipt is there.
  mutating func followDraw(_ id: LeaseID) {
    guard let lease = leases[id], lease.state == .submitted, lease.verification == nil else {
      return
    }
    switch lease.draw {
    case .audited: want(.audit, id)
    case .spared:
      emit(
        .challengeOpened(id, deadline: now.advanced(by: parameters(of: lease).challengeWindow)))
    case nil: break
    }
  }

  /// Somebody has not revealed its nonce: all attested leases are audited, at the cost of the
  /// requester if it is among those, else of the lessees among them in equal parts; what the broker
  /// withholds costs nobody else.
  mutating func passRevealDeadline(_ id: RequestID, at tick: Tick) -> Bool {
    guard let request = requests[id], let reveals = request.reveals, request.isRevealing,
      reveals.deadline == tick
    else { return false }
    if reveals.requester != nil {
      let late = reveals.leases.compactMap { leases[$0] }.filter {
        $0.nonce == nil && !$0.state.isFinal
      }
      let costs = request.slices.reduce(UInt64(0)) { $0 + $1.auditFee.microcredits }
      for lease in late {
        let count = UInt64(late.count)
        let part = Amount(microcredits: (costs + count - 1) / count)
        let penalty = min(part, lease.stake)
        let lost = bear(penalty, of: lease)
        emit(.revealMissed(lease.id, penalty: penalty), stakeLoss(lease, lost, to: .treasury))
        freed.append(lease.terms.prover)
      }
    }
    drawAudits(of: id, by: nil, isCharged: reveals.requester == nil)
    return true
  }

  // MARK: Challenges

  mutating func challenge(
    _ id: LeaseID, _ deposit: Amount, by author: PublicKey
  ) throws(Refused) {
    guard let lease = leases[id] else { throw .unknownLease(id) }
    guard let request = requests[lease.terms.request] else { throw .unknownRequest }
    guard mayChallenge(lease, of: request, author) else { throw .mayNotChallenge }
    guard lease.isChallengeable, lease.deadline >= now else { throw .notChallengeable(id) }
    guard deposit > .zero else { throw .zeroAmount }
    guard deposit >= lease.terms.fee else { throw .depositTooSmall(needed: lease.terms.fee) }
    try requireAvailable(deposit, of: author)
    emit(
      .challenged(id, Challenge(challenger: author, deposit: deposit)),
      Posting.move(deposit, from: .available(author), to: .challengeHold(author)))
    want(.challenge, id)
  }

  private func mayChallenge(
    _ lease: Lease, of request: Request, _ challenger: PublicKey
  ) -> Bool {
    guard challenger != lease.terms.prover else { return false }
    switch request.terms.disclosure {
    case .parties:
      return challenger == request.requester || request.terms.auditors.contains(challenger)
    case .everyone: return true
    }
  }

  /// The challenger's part of a slash, at most so much; a requester's is no more than the fee it
  /// would have paid.
  func reward(_ lease: Lease, atMost giveable: Amount) -> Amount {
    guard let challenger = lease.challenge?.challenger else { return .zero }
    let share = min(lease.stake.share(parameters(of: lease).challengerShare), giveable)
    let isRequester = requests[lease.terms.request]?.requester == challenger
    return isRequester ? min(share, lease.terms.fee) : share
  }
}

extension Lease {
  /// Whether a challenge, should its window be open, would be the lease's first and last.
  package var isChallengeable: Bool {
    state == .submitted && draw == .spared && verification == nil
  }

  /// What gives a challenger its deposit back.
  var depositReturn: [Posting] {
    challenge.map {
      Posting.move(
        $0.deposit, from: .challengeHold($0.challenger), to: .available($0.challenger))
    } ?? []
  }
}
