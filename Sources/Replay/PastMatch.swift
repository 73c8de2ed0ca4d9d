import Journal
package import Market
package import Primitives

/// How a lease was made: which bids stood before the one that got it, and why none of them did.
/// The state of that moment is made again out of the journal's events, which a replay has to have
/// found sound.
package struct PastMatch: Sendable {
  /// Of the entry that made it.
  package let sequence: UInt64
  package let tick: Tick
  package let terms: LeaseTerms
  /// In the order of the queue. Without a reason is what no sound journal has: a bid that stood
  /// before and might have taken the slice. Full bids stand in no queue and are not among them.
  package let passedOver: [Quote.Candidate]

  /// - Parameter path: A directory that holds `journal.sqlite`, or an export.
  /// - Throws: `JournalError` where the journal cannot be read, and `Refused.unknownLease` where it
  ///   has not made the lease.
  package init(of lease: LeaseID, journal path: String) throws {
    if JournalExport.isOne(at: path) {
      try self.init(of: lease, in: try JournalExport(path: path))
    } else {
      try self.init(of: lease, in: try JournalReader(directory: path))
    }
  }

  private init(of lease: LeaseID, in source: some JournalSource) throws {
    var market = try Market(genesis: try Genesis(canonicalBytes: try source.genesis().record))
    var next: UInt64 = 1
    while case let page = try source.entries(from: next, limit: 1024), !page.isEmpty {
      for entry in page {
        guard entry.sequence == next else {
          throw JournalError.diverged(
            Divergence(
              sequence: next, subject: "sequence", expected: "\(next)", got: "\(entry.sequence)"))
        }
        next += 1
        market.now = max(market.now, entry.tick)
        guard case .accepted(let events) = try Outcome(canonicalBytes: entry.outcome) else {
          continue
        }
        for event in events {
          if case .leased(let terms) = event.body, terms.id == lease {
            (sequence, tick, self.terms) = (entry.sequence, entry.tick, terms)
            passedOver = Array(
              market.candidates(terms.request, terms.slice).prefix { $0.bid != terms.bid })
            return
          }
          try market.evolve(event)
        }
      }
    }
    throw Refused.unknownLease(lease)
  }
}
