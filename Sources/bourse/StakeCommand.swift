import ArgumentParser
import Market
import Primitives
import Wire

struct StakeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stake", abstract: "Delegate stake to a prover; see what it earns and loses.",
    discussion: """
      What you delegate widens what a prover can hold. You share its fees, less its commission, \
      and its losses, after all that the prover itself has. docs/market.md, "Delegation", has the \
      rules.
      """,
    subcommands: [
      Delegate.self, Undelegate.self, SetCommission.self, Show.self, Yield.self,
    ])

  /// A sum on its way out.
  struct Leaving: Encodable {
    let microcredits: UInt64
    let freeAfter: UInt64

    init(_ sum: Prover.Unbonding) {
      microcredits = sum.amount.microcredits
      freeAfter = sum.until.milliseconds
    }

    static func text(_ sums: [Prover.Unbonding]) -> String {
      sums.map { "\($0.amount) after \(describe($0.until))" }.joined(separator: ", ")
    }
  }

  struct Delegated: Encodable {
    let prover: String
    let stakeMicrocredits: UInt64
    let leaving: [Leaving]

    init(_ delegation: Delegation) {
      prover = delegation.prover.description
      stakeMicrocredits = delegation.position.stake.microcredits
      leaving = delegation.position.leaving.map(Leaving.init)
    }
  }

  /// What stands behind a prover.
  struct Pool: Encodable {
    struct Delegator: Encodable {
      let holder: String
      let stakeMicrocredits: UInt64
      let leaving: [Leaving]
    }

    let bondMicrocredits: UInt64
    let delegatedMicrocredits: UInt64
    let leavingMicrocredits: UInt64
    let behindLeasesMicrocredits: UInt64
    let commissionPPM: UInt32?
    let takesDelegations: Bool
    let risingToPPM: UInt32?
    let risingFrom: UInt64?
    let delegators: [Delegator]

    init(_ report: StakeReport, _ pool: DelegationPool) {
      let commission = pool.commission
      let rise = commission?.rise.flatMap { $0.from > report.tick ? $0 : nil }
      bondMicrocredits = report.bond.microcredits
      delegatedMicrocredits = pool.active.microcredits
      leavingMicrocredits = pool.leaving.microcredits
      behindLeasesMicrocredits = report.held.microcredits
      commissionPPM = commission?.rate(at: report.tick).parts
      takesDelegations = commission?.isOpen ?? false
      risingToPPM = rise?.rate.parts
      risingFrom = rise?.from.milliseconds
      delegators = pool.positions.map {
        Delegator(
          holder: $0.holder.description, stakeMicrocredits: $0.stake.microcredits,
          leaving: $0.leaving.map(Leaving.init))
      }
    }
  }

  static func show(_ key: PublicKey, _ client: WireClient, json: Bool) async throws {
    let report = try await client.stake(of: key)
    if json {
      struct Shown: Encodable {
        let key: String
        let coolingUntil: UInt64?
        let pool: Pool?
        let delegations: [Delegated]
      }
      return try printJSON(
        Shown(
          key: key.description, coolingUntil: report.isCoolingUntil?.milliseconds,
          pool: report.pool.map { Pool(report, $0) },
          delegations: report.delegations.map(Delegated.init)))
    }
    print("key \(key)")
    if let until = report.isCoolingUntil {
      print("it was slashed, and places no bid until \(describe(until))")
    }
    if let pool = report.pool { print(Self.text(report, pool)) }
    print(
      report.delegations.isEmpty
        ? "it has delegated nothing" : "delegated by it\n" + Self.table(report.delegations))
  }

  static func table(_ delegations: [Delegation]) -> String {
    var table = Table([("prover", .left), ("stake", .right), ("leaving", .left)])
    for delegation in delegations {
      table.append([
        delegation.prover.description, "\(delegation.position.stake)",
        Leaving.text(delegation.position.leaving),
      ])
    }
    return table.text
  }

  private static func text(_ report: StakeReport, _ pool: DelegationPool) -> String {
    let shown = Pool(report, pool)
    let commission = shown.commissionPPM.map { percent($0) } ?? "none"
    let rise =
      shown.risingToPPM.flatMap { rate in
        pool.commission?.rise.map { ", \(percent(rate)) from \(describe($0.from)) on" }
      } ?? ""
    let closed = shown.takesDelegations ? "" : ", takes no new delegations"
    var table = Table([("delegator", .left), ("stake", .right), ("leaving", .left)])
    for position in pool.positions {
      table.append([
        position.holder.description, "\(position.stake)", Leaving.text(position.leaving),
      ])
    }
    return """
      own bond \(report.bond), delegated \(pool.active), leaving \(pool.leaving), behind leases \
      \(report.held)
      commission \(commission)\(rise)\(closed)
      \(table.text)
      """
  }

  /// Parts per million as "12.5%".
  private static func percent(_ parts: UInt32) -> String {
    describe(number: Double(parts) / 10_000) + "%"
  }

  struct Delegate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put available credits behind a prover.",
      discussion: """
        EXAMPLE
          bourse stake delegate 3f9a… 4c --key me.key
        """)

    @OptionGroup var move: Move

    func run() async throws {
      try await move.perform { .delegate($0, amount: $1) }
    }
  }

  struct Undelegate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take credits back from behind a prover.",
      discussion: """
        They earn nothing from then on, and can still be lost, until the unbonding period is over \
        and no lease holds them any more; then they are available.

        EXAMPLE
          bourse stake undelegate 3f9a… 4c --key me.key
        """)

    @OptionGroup var move: Move

    func run() async throws {
      try await move.perform { .undelegate($0, amount: $1) }
    }
  }

  struct Move: ParsableArguments {
    @Argument(help: "The prover: a public key, or a key file.")
    var prover: String
    @Argument(help: "Micro-credits, or credits with a 'c': 2500000, 2.5c.", transform: parseAmount)
    var amount: Amount
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    /// Signs and sends what `command` makes of prover and amount, and shows the delegations then.
    func perform(_ command: (PublicKey, Amount) -> Command) async throws {
      let key = try key.load()
      let prover = try publicKey(prover)
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(command(prover, amount), signedBy: key)
      try await StakeCommand.show(key.publicKey, client, json: output.json)
      await client.close()
    }
  }

  struct SetCommission: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "commission",
      abstract: "Offer to take delegations, for a commission of their fees (prover).",
      discussion: """
        A rise holds after the unbonding period, so that delegators can leave first; a fall holds \
        at once.

        EXAMPLES
          bourse stake commission 100000 --key prover.key     keep a tenth
          bourse stake commission none --key prover.key       take no new delegations
        """)

    @Argument(help: "Parts per million of the delegators' fees, or 'none'.")
    var rate: String
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let parts = UInt32(rate)
      guard rate == "none" || parts.map({ $0 <= 1_000_000 }) == true else {
        throw ValidationError("'\(rate)' is no commission; write 0 to 1000000, or none.")
      }
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(
        .setCommission(parts.map { PartsPerMillion(clamping: $0) }), signedBy: key)
      try await StakeCommand.show(key.publicKey, client, json: output.json)
      await client.close()
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what stands behind a key, and what it has delegated.",
      discussion: """
        EXAMPLES
          bourse stake show me.key
          bourse stake show 3f9a… --json --broker ./broker/broker.json
        """)

    @Argument(help: "A public key, or a key file.")
    var key: String
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let client = try await brokerOptions.connect(as: nil)
      try await StakeCommand.show(try publicKey(key), client, json: output.json)
      await client.close()
    }
  }

  struct Yield: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a credit delegated to a prover has earned and lost.",
      discussion: """
        Over a window of days, today included: what the exchange's history paid to a unit of \
        delegated stake, less what slashes and penalties took from it. The rate of a year is that \
        times 365 through the days of the window, without compounding. The past promises nothing.

        EXAMPLES
          bourse stake yield 3f9a…
          bourse stake yield 3f9a… --days 30 --json
        """)

    @Argument(help: "The prover: a public key, or a key file.")
    var prover: String
    @Option(name: .long, help: "Days to look back on, at most 32.")
    var days: UInt64 = 7
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func validate() throws {
      guard (1...UInt64(DelegationPool.dayLimit)).contains(days) else {
        throw ValidationError("--days is from 1 to \(DelegationPool.dayLimit).")
      }
    }

    struct Day: Encodable {
      /// Of UTC, in milliseconds since 1970.
      let begins: UInt64
      let earned: Double
      let lost: Double

      init(_ day: YieldDay) {
        begins = day.day * YieldDay.length
        earned = Double(day.earned) / 1e12
        lost = Double(day.lost) / 1e12
      }
    }

    struct Shown: Encodable {
      let prover: String
      let days: UInt64
      /// Per unit of stake.
      let earned: Double
      let lost: Double
      let net: Double
      let yearly: Double
      let byDay: [Day]
    }

    func run() async throws {
      let prover = try publicKey(prover)
      let client = try await brokerOptions.connect(as: nil)
      let report = try await client.stake(of: prover)
      await client.close()
      let byDay = (report.pool?.days(days, until: report.tick) ?? []).map(Day.init)
      let (earned, lost) = (
        byDay.reduce(0) { $0 + $1.earned }, byDay.reduce(0) { $0 + $1.lost }
      )
      let shown = Shown(
        prover: prover.description, days: days, earned: earned, lost: lost, net: earned - lost,
        yearly: (earned - lost) * 365 / Double(days), byDay: byDay)
      if output.json { return try printJSON(shown) }
      print("prover \(prover), per credit delegated, over \(days) days")
      var table = Table([("day", .left), ("earned", .right), ("lost", .right)])
      for day in byDay {
        table.append([
          String(describe(Tick(milliseconds: day.begins)).prefix(10)),
          describe(number: day.earned), describe(number: day.lost),
        ])
      }
      table.append(["all", describe(number: earned), describe(number: lost)])
      print(table.text)
      print(
        "net \(describe(number: shown.net)), which is \(describe(number: shown.yearly * 100))% a year"
      )
    }
  }
}
