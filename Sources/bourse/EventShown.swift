import Market
import Primitives
import Statements
import Wire

/// An event in words: what happened, to whom, and why.
struct EventShown: Encodable {
  /// One line of a posting: what an account gained or lost.
  struct Move: Encodable {
    /// Nil for the exchange's own accounts.
    let owner: String?
    let purpose: String
    let microcredits: Int64
  }

  /// The case's name, as in docs/market.md.
  let event: String
  let request: String?
  let lease: UInt64?
  let bid: String?
  let text: String
  let postings: [Move]

  /// - Parameters:
  ///   - command: The name of the command that caused it, which tells which side of a trade rested.
  ///   - request: What the lease that it is about belongs to, where that is known.
  init(_ event: Event, by command: String, request: RequestID?) {
    let body = event.body
    self.event = body.name
    text = body.sentence(by: command, postings: event.postings)
    postings = event.postings.map {
      Move(
        owner: $0.account.owner?.description, purpose: $0.account.purpose.description,
        microcredits: $0.delta)
    }
    switch body.subject {
    case .request(let id): (self.request, lease, bid) = (id.description, nil, nil)
    case .lease(let id): (self.request, lease, bid) = (request?.description, id.ordinal, nil)
    case .trade(let id, let request, let bid):
      (self.request, lease, self.bid) = (request.description, id.ordinal, bid.description)
    case .bid(let id): (self.request, lease, bid) = (nil, nil, id.description)
    case .everyone, .other: (self.request, lease, bid) = (nil, nil, nil)
    }
  }

  /// What it is about, in short.
  var subject: String {
    if let lease { return "lease \(lease)" }
    if let request { return "request \(request.prefix(8))" }
    if let bid { return "bid \(bid.prefix(8))" }
    return "exchange"
  }
}

extension Event.Body {
  /// The case's name.
  fileprivate var name: String {
    Mirror(reflecting: self).children.first?.label ?? "\(self)"
  }

  fileprivate func sentence(by command: String, postings: [Posting]) -> String {
    switch self {
    case .bidPlaced(_, let prover, let terms):
      return
        "\(prover.short) bids \(terms.price) on \(terms.backend) for \(terms.scope.text), \(terms.capacity) leases at a time"
    case .bidAmended(_, let price, let capacity):
      return "amended to \(price), \(capacity) leases at a time"
    case .bidClosed(_, let closure): return "closed: \(closure.text)"
    case .requestOpened(_, let requester, let terms):
      return
        "\(requester.short) asks for \(terms.assurances.count) slices of model \(terms.model.short), at most \(terms.limitPrice); \(postings.gained(.feeHold)) are held for fees and audits"
    case .limitRaised(_, let price): return "its ramp has reached a limit of \(price)"
    case .leased(let terms):
      return
        "slice \(terms.slice) goes to \(terms.prover.short) on \(terms.assurance.backend) at \(terms.price): fee \(terms.fee), stake \(terms.stake) is held; \(Self.reason(ofTradeBy: command))"
    case .requestMatched: return "every slice is taken"
    case .leaseBegun(_, _, let deadline):
      return "its inputs exist: it begins; its output is due by \(describe(timeOf: deadline))"
    case .outputCommitted(let commitment, let deadline):
      return
        "\(commitment.prover.short) has committed its output; its receipt is due by \(describe(timeOf: deadline))"
    case .requestAnswered: return "all outputs are committed: answered, not final yet"
    case .answerWithdrawn: return "the answer is withdrawn"
    case .receiptSubmitted(_, let receipt, _, _):
      return receipt.proof == Digest.of([])
        ? "its receipt is submitted" : "its receipt and a proof are submitted"
    case .verificationWanted(_, let purpose, let attempt, let deadline):
      return
        "\(purpose.text), attempt \(attempt); a verdict is due by \(describe(timeOf: deadline))"
    case .verdictRecorded(let record, let isReexecuted):
      return
        "the verdict is \(record.verdict), \(isReexecuted ? "by running it again" : "by its proof")"
    case .leaseSettled(_, let bonus):
      let extra =
        bonus > .zero ? ", \(bonus) of them for replacing one that was slashed" : ""
      return
        "paid: \(postings.gained(.available)) to the prover\(extra), \(postings.gained(.treasury)) to the treasury; its stake of \(postings.freed) is free"
    case .leaseSlashed(_, let reason, _):
      let challenger = postings.gained(.available)
      let extra =
        challenger > 0 ? "; \(challenger) to whoever challenged it, its deposit among them" : ""
      return
        "slashed, because \(reason): \(postings.lost(.stakeHold) + postings.lost(.delegatedHold)) of stake, of which \(postings.gained(.burned)) burned, \(postings.gained(.treasury)) to the treasury, \(postings.gained(.slashEscrow)) set aside for those it harmed and its replacement\(extra)"
    case .leaseReleased(_, let reason, let compensation):
      let extra = compensation > .zero ? "; \(compensation) for its trouble" : ""
      return
        "released without fault, because \(reason)\(extra); its stake of \(postings.freed) is free"
    case .leaseLapsed(_, let penalty):
      return
        "late: \(penalty) of its stake burned, the larger of a share of it and what the replacement costs more, capped; \(postings.freed) are free"
    case .leaseOrphaned(_, let compensation):
      return
        "an output that it consumed is invalid: its slice is given away again; \(compensation) are set aside in case its own work is right"
    case .requestFailing(_, let reason): return "it fails, because \(reason.text)"
    case .requestClosed(_, let state, _, _):
      return "\(state); \(postings.gained(.available)) of what was held go back"
    case .beginDeadlinePassed: return "its begin deadline is over"
    case .resumed(let milliseconds):
      return
        "the broker was away: every deadline but a bid's expiry is \(describe(milliseconds: milliseconds)) later"
    case .changeAnnounced(_, let effective):
      return "the operator announces a change of rules, from \(describe(effective)) on"
    case .changed(.halt(let key)):
      return
        "several provers were slashed for slice \(key.slice) of model \(key.model.short) on \(key.backend): no lease of it is made until the operator lifts that"
    case .changed(.liftHalt(let key)):
      return
        "the operator lets leases of slice \(key.slice) of model \(key.model.short) on \(key.backend) be made again"
    case .changed: return "the operator's change of rules is in effect"
    case .proverCooling(_, _, let until):
      return "its prover places no bid until \(describe(until))"
    case .nonceCommitted: return "the broker has committed to its nonce"
    case .revealsWanted(_, let leases, let deadline):
      return
        "the requester, the broker and the lessees of \(leases.count) leases must reveal their nonces by \(describe(timeOf: deadline))"
    case .nonceRevealed(.requester, _): return "the requester has revealed its nonce"
    case .nonceRevealed(.broker, _): return "the broker has revealed its nonce"
    case .nonceRevealed(.lessee, _): return "its lessee has revealed its nonce"
    case .revealMissed(_, let penalty):
      return
        "its nonce was not revealed in time: \(penalty) of its stake, its part of the cost of auditing every attested slice"
    case .auditsDrawn(_, let seed, let audited, let spared, let fees):
      let source = seed.map { "from seed \($0.short)" } ?? "without a seed, which a nonce lacks"
      return
        "audits are drawn \(source): audited are leases \(Self.list(audited)), spared \(Self.list(spared)); \(fees) for them from the requester"
    case .auditDue(_, let fee): return "it is audited in any case; \(fee) from the requester"
    case .challengeOpened(_, let deadline):
      return "it can be challenged until \(describe(timeOf: deadline))"
    case .challenged(_, let challenge):
      return "\(challenge.challenger.short) challenges it with \(challenge.deposit)"
    case .leaseAttested: return "nobody has challenged it in time"
    case .delegatorsPaid(_, let paid, _):
      return "\(paid) of its fee go to the prover's delegators, by what each stakes"
    case .firstLossTaken(_, let bond, let unbonding):
      return
        "the prover loses first: \(bond) of its bond and \(unbonding) on their way out take the place of delegated stake"
    case .delegatorsLost(_, let losses, _):
      return
        "its \(losses.count) delegators lose \(losses.map { $0.stake.microcredits + $0.leaving.microcredits }.reduce(0, +)), each its part"
    case .commissionSet(let prover, let commission):
      let rise =
        commission.rise.map { ", and \($0.rate.parts) from \(describe($0.from)) on" } ?? ""
      return commission.isOpen
        ? "\(prover.short) takes delegations for \(commission.rate.parts) ppm of their fees\(rise)"
        : "\(prover.short) takes no new delegations"
    case .delegated(let prover, let holder, let amount):
      return "\(holder.short) delegates \(amount) to \(prover.short)"
    case .undelegating(let prover, let holder, let amount, let until):
      return
        "\(holder.short) takes \(amount) from \(prover.short), free after \(describe(until))"
    case .undelegated(_, let holder, let amount, _):
      return "\(holder.short) has \(amount) back"
    case .bonded(let prover, let amount): return "\(prover.short) bonds \(amount)"
    case .unbonding(let prover, let amount, let until):
      return "\(prover.short) takes \(amount) out of its bond, free after \(describe(until))"
    case .deposited(let owner, let amount): return "\(amount) come in for \(owner.short)"
    case .withdrawn(let owner, let amount): return "\(amount) of \(owner.short) leave"
    case .modelPublished(let publisher, let manifest):
      return "\(publisher.short) publishes model \(manifest.id.short)"
    case .keyPublished(let record):
      return
        "the key of \(record.backend) for slice \(record.slice) of model \(record.model.short) is published"
    // Whose name says it.
    default: return name
    }
  }

  private static func list(_ leases: [LeaseID]) -> String {
    leases.isEmpty ? "none" : leases.map(\.description).joined(separator: ", ")
  }

  /// Whose price a trade was made at follows from who had been waiting.
  private static func reason(ofTradeBy command: String) -> String {
    switch command {
    case "submitRequest":
      "the best bid that may take it; the bid rested, so at its price"
    case "placeBid", "amendBid":
      "the bid came and the order rested, so at the order's limit"
    default:
      "both rested, and capacity, stake or the slice came free: the best bid that may take it, at its price"
    }
  }
}

extension [Posting] {
  /// What came into accounts of this purpose.
  fileprivate func gained(_ purpose: Purpose) -> Int64 {
    filter { $0.account.purpose == purpose && $0.delta > 0 }.map(\.delta).reduce(0, +)
  }

  /// Stake that is behind nothing any more.
  fileprivate var freed: Int64 { gained(.bond) + gained(.delegated) }

  fileprivate func lost(_ purpose: Purpose) -> Int64 {
    -filter { $0.account.purpose == purpose && $0.delta < 0 }.map(\.delta).reduce(0, +)
  }
}

extension Scope {
  fileprivate var text: String {
    switch self {
    case .any: "any model"
    case .model(let model): "model \(model.short)"
    case .slice(let model, let slice): "slice \(slice) of model \(model.short)"
    }
  }
}

extension BidClosure {
  fileprivate var text: String {
    switch self {
    case .cancelled: "its prover cancelled it"
    case .expired: "it expired"
    case .slashed: "its prover was slashed"
    case .lapsed: "its prover was late too often in a row"
    }
  }
}

extension FailureReason {
  fileprivate var text: String {
    switch self {
    case .attemptsExhausted: "a slice has failed as often as the request allows"
    case .finalDeadline: "its final deadline is over"
    case .rangeFault: "its inputs make the program leave its range"
    }
  }
}

extension VerificationPurpose {
  fileprivate var text: String {
    switch self {
    case .receipt: "its receipt is verified"
    case .fallback: "it is run again, because its verifier stayed inconclusive"
    case .late: "it is run again, because its receipt is late"
    case .rangeFault: "it is run again, because its lessee reports a range fault"
    case .unprovable: "it is run again, because its lessee cannot prove it"
    case .audit: "it is run again: it is audited"
    case .challenge: "it is run again: it is challenged"
    }
  }
}
