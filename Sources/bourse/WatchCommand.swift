import ArgumentParser
import Foundation
import Logging
import Market
import Primitives
import Statements
import Wire

struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Watch the exchange live: its books, trades and leases.",
    discussion: """
      It follows the broker's journal, from the entry it starts at: every event comes once and in \
      order, also over lost connections and a restart of the broker. On a terminal the books stand \
      above the latest events; elsewhere there is one line for each event, and with --json one \
      object. Ctrl-C ends it.

      EXAMPLES
        bourse watch
        bourse watch --request 3b1f… | tee life-of-a-request.txt
        bourse watch --json | jq 'select(.event == "leased")'
      """)

  /// An event as one JSON line.
  struct Line: Encodable {
    let sequence: UInt64
    let tick: UInt64
    let command: String
    let author: String
    /// Nil where the command was rejected.
    let event: EventShown?
    let rejection: String?
  }

  @Option(name: .long, help: "Only what is about this request: its whole id.")
  var request: String?
  @Flag(name: .long, help: "Also accounts, models, keys, and commands that were rejected.")
  var all = false
  @OptionGroup var brokerOptions: BrokerOptions
  @Flag(name: .long, help: "Print one JSON object for each event.")
  var json = false

  func validate() throws {
    if let request, RequestID(hexadecimal: request) == nil {
      throw ValidationError("'\(request)' is no request's id: 64 hexadecimal digits.")
    }
  }

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    let snapshot = try await client.book(levels: Screen.levels)
    let feed = FeedClient(
      client: client, after: snapshot.head, logger: Logger(label: "bourse.feed", level: .error))
    try await feed.start()
    let screen = Screen(isOn: !json && isatty(STDOUT_FILENO) == 1)
    let interruption = Interruption.handle { screen.close() }
    defer {
      screen.close()
      withExtendedLifetime(interruption) {}
    }
    screen.show(book: BookCommand.Shown(snapshot).text)
    let wanted = request.flatMap { RequestID(hexadecimal: $0) }
    var requests = try await known(wanted, client)
    var shownBook = ContinuousClock.now
    while let entry = try await feed.next() {
      for line in lines(of: entry, &requests, wanted) { show(line, on: screen) }
      // The book is asked for, and not more often than somebody can look.
      if screen.isOn, ContinuousClock.now - shownBook > .milliseconds(250) {
        screen.show(
          book: BookCommand.Shown(try await client.book(levels: Screen.levels)).text)
        shownBook = .now
      }
    }
  }

  /// The leases that the request has already.
  private func known(
    _ wanted: RequestID?, _ client: WireClient
  ) async throws -> [LeaseID: RequestID] {
    guard let wanted else { return [:] }
    let report = try? await client.report(on: wanted)
    return Dictionary(report?.leases.map { ($0.terms.id, wanted) } ?? []) { $1 }
  }

  private func lines(
    of entry: FollowedEntry, _ requests: inout [LeaseID: RequestID], _ wanted: RequestID?
  ) -> [Line] {
    func line(_ event: EventShown?, _ rejection: String?) -> Line {
      Line(
        sequence: entry.sequence, tick: entry.tick.milliseconds, command: entry.command.name,
        author: entry.author.description, event: event, rejection: rejection)
    }
    switch entry.outcome {
    case .rejected(let rejection):
      return all && wanted == nil ? [line(nil, rejection.sentence)] : []
    case .accepted(let events):
      var lines: [Line] = []
      for event in events {
        var request: RequestID?
        switch event.body.subject {
        case .trade(let lease, let of, _):
          request = of
          requests[lease] = of
        case .lease(let lease):
          request = requests[lease]
          if event.body.endsLease { requests[lease] = nil }
        case .request(let id): request = id
        case .other where !all: continue
        case .bid, .everyone, .other: break
        }
        guard wanted == nil || request == wanted else { continue }
        lines.append(
          line(EventShown(event, by: entry.command.name, request: request), nil))
      }
      return lines
    }
  }

  private func show(_ line: Line, on screen: Screen) {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      if let bytes = try? encoder.encode(line) { print(String(decoding: bytes, as: UTF8.self)) }
    } else {
      let subject = line.event?.subject ?? line.command
      let text = line.event?.text ?? "rejected: \(line.rejection ?? "")"
      screen.show(
        line:
          "\(describe(timeOf: Tick(milliseconds: line.tick)))  \(line.sequence)  \(subject): \(text)"
      )
    }
    // Whoever reads through a pipe sees each event as it comes.
    fflush(nil)
  }
}
