package import Primitives
import Statements

/// What an event is about, for whoever wants the history of one thing.
package enum EventSubject: Hashable, Sendable {
  case request(RequestID)
  case lease(LeaseID)
  case bid(BidID)
  /// A lease is made: of a request, to a bid.
  case trade(LeaseID, RequestID, BidID)
  /// Rules, or a shift of all deadlines.
  case everyone
  /// Money of an account, a model, a key.
  case other
}

extension Event.Body {
  package var subject: EventSubject {
    switch self {
    case .bidPlaced(let bid, _, _), .bidAmended(let bid, _, _), .bidClosed(let bid, _): .bid(bid)
    case .requestOpened(let request, _, _), .limitRaised(let request, _),
      .requestMatched(let request), .requestAnswered(let request, _),
      .answerWithdrawn(let request), .requestFailing(let request, _),
      .requestClosed(let request, _, _, _), .beginDeadlinePassed(let request),
      .nonceCommitted(let request, _), .revealsWanted(let request, _, _),
      .nonceRevealed(.requester(let request), _), .nonceRevealed(.broker(let request), _),
      .auditsDrawn(let request, _, _, _, _):
      .request(request)
    case .leased(let terms): .trade(terms.id, terms.request, terms.bid)
    case .leaseBegun(let lease, _, _), .receiptSubmitted(let lease, _, _, _),
      .verificationWanted(let lease, _, _, _), .leaseSettled(let lease, _),
      .leaseSlashed(let lease, _, _), .leaseReleased(let lease, _, _),
      .leaseLapsed(let lease, _), .leaseOrphaned(let lease, _),
      .nonceRevealed(.lessee(let lease), _), .revealMissed(let lease, _), .auditDue(let lease, _),
      .challengeOpened(let lease, _), .challenged(let lease, _), .leaseAttested(let lease),
      .delegatorsPaid(let lease, _, _), .firstLossTaken(let lease, _, _),
      .delegatorsLost(let lease, _, _), .proverCooling(let lease, _, _):
      .lease(lease)
    case .outputCommitted(let commitment, _): .lease(commitment.lease)
    case .verdictRecorded(let record, _): .lease(record.lease)
    case .resumed, .changeAnnounced, .changed: .everyone
    default: .other
    }
  }
}

extension Command {
  /// What a command that was rejected would have been about.
  package var subject: EventSubject {
    switch self {
    case .amendBid(let bid, _, _), .cancelBid(let bid): .bid(bid)
    case .cancelRequest(let request), .commitNonce(let request, _),
      .revealNonce(.requester(let request), _), .revealNonce(.broker(let request), _):
      .request(request)
    case .commitOutput(let commitment): .lease(commitment.lease)
    case .submitBatch(let batch): batch.receipts.first.map { .lease($0.statement.lease) } ?? .other
    case .declareUnprovable(let lease), .reportRangeFault(let lease), .challenge(let lease, _),
      .revealNonce(.lessee(let lease), _):
      .lease(lease)
    case .recordVerdict(let record): .lease(record.lease)
    default: .other
    }
  }
}

extension Event.Body {
  /// Whether it is the last of a lease's life.
  package var endsLease: Bool {
    switch self {
    case .leaseSettled, .leaseSlashed, .leaseReleased, .leaseLapsed: true
    default: false
    }
  }
}
