import ArgumentParser
import Market
import Primitives
import Wire

struct RulesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "Show and change the exchange's parameters; pause it.",
    discussion: """
      A change takes effect after the notice period, so that whoever does not like it can leave. \
      Leases keep the parameters they were made under. docs/market.md says what each means.
      """,
    subcommands: [Show.self, Set.self, Pause.self, Unpause.self, Halts.self, Lift.self])

  /// A parameter as text: its name, and how it is read and written.
  private struct Named: Sendable {
    let name: String
    let read: @Sendable (Parameters) -> UInt64
    /// False where the value is out of the type's range.
    let write: @Sendable (inout Parameters, UInt64) -> Bool

    static func amount(
      _ name: String, _ path: any WritableKeyPath<Parameters, Amount> & Sendable
    ) -> Named {
      Named(name: name, read: { $0[keyPath: path].microcredits }) { parameters, value in
        parameters[keyPath: path] = Amount(microcredits: value)
        return value <= Amount.maximum.microcredits
      }
    }

    static func milliseconds(
      _ name: String, _ path: any WritableKeyPath<Parameters, UInt64> & Sendable
    ) -> Named {
      Named(name: name, read: { $0[keyPath: path] }) { parameters, value in
        parameters[keyPath: path] = value
        return true
      }
    }

    static func count(
      _ name: String, _ path: any WritableKeyPath<Parameters, UInt32> & Sendable
    ) -> Named {
      Named(name: name, read: { UInt64($0[keyPath: path]) }) { parameters, value in
        parameters[keyPath: path] = UInt32(clamping: value)
        return value <= UInt64(UInt32.max)
      }
    }

    static func share(
      _ name: String, _ path: any WritableKeyPath<Parameters, PartsPerMillion> & Sendable
    ) -> Named {
      Named(name: name, read: { UInt64($0[keyPath: path].parts) }) { parameters, value in
        parameters[keyPath: path] = PartsPerMillion(clamping: UInt32(clamping: value))
        return value <= 1_000_000
      }
    }

    static let all: [Named] = [
      .amount("minimumStake", \.minimumStake), .amount("minimumBond", \.minimumBond),
      .milliseconds("executeWindow", \.executeWindow), .milliseconds("proveWindow", \.proveWindow),
      .share("reservationShare", \.reservationShare),
      .milliseconds("verifyWindow", \.verifyWindow),
      .count("inconclusiveRetries", \.inconclusiveRetries),
      .share("latenessShare", \.latenessShare), .amount("latenessCap", \.latenessCap),
      .count("lapseLimit", \.lapseLimit), .share("feeShare", \.feeShare),
      .share("replacementShare", \.replacementShare), .share("treasuryShare", \.treasuryShare),
      .milliseconds("outageBound", \.outageBound), .milliseconds("noticePeriod", \.noticePeriod),
      .milliseconds("unbondingPeriod", \.unbondingPeriod),
      .share("auditShare", \.auditShare), .milliseconds("revealWindow", \.revealWindow),
      .milliseconds("challengeWindow", \.challengeWindow),
      .share("challengerShare", \.challengerShare),
      .count("delegationMultiple", \.delegationMultiple),
      .amount("minimumDelegation", \.minimumDelegation), .milliseconds("coolDown", \.coolDown),
      .count("breakerSlashes", \.breakerSlashes), .milliseconds("breakerWindow", \.breakerWindow),
    ]
  }

  private static func show(_ parameters: Parameters, json: Bool) throws {
    if json {
      return try printJSON(
        Dictionary(uniqueKeysWithValues: Named.all.map { ($0.name, $0.read(parameters)) }))
    }
    var table = Table([("parameter", .left), ("value", .right)])
    for named in Named.all { table.append([named.name, "\(named.read(parameters))"]) }
    print(table.text)
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the parameters in force.",
      discussion: "EXAMPLE\n  bourse rules show --json")

    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let client = try await brokerOptions.connect(as: nil)
      let parameters = try await client.status().parameters
      await client.close()
      try RulesCommand.show(parameters, json: output.json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Announce other parameters (operator only).",
      discussion: """
        What is not named stays as it is.

        EXAMPLE
          bourse rules set executeWindow=20000 feeShare=5000 --key ./broker/operator.key
        """)

    @Argument(help: "Parameters as NAME=VALUE; `bourse rules show` lists them.")
    var changes: [String]
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      var parameters = try await client.status().parameters
      for change in changes {
        let parts = change.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let value = UInt64(parts[1]),
          let named = Named.all.first(where: { $0.name == parts[0] }),
          named.write(&parameters, value)
        else {
          throw ValidationError(
            "'\(change)' is no parameter and value; write NAME=VALUE, see `bourse rules show`.")
        }
      }
      try await client.perform(
        .setParameters(parameters, rulesVersion: Genesis.rulesVersion), signedBy: key)
      await client.close()
      try RulesCommand.show(parameters, json: output.json)
    }
  }

  struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Announce a pause: no new bids, requests and leases (operator only).",
      discussion: "EXAMPLE\n  bourse rules pause --key ./broker/operator.key")

    @OptionGroup var change: Change

    func run() async throws { try await change.perform(.pause(true)) }
  }

  struct Unpause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End a pause at once (operator only).",
      discussion: "EXAMPLE\n  bourse rules unpause --key ./broker/operator.key")

    @OptionGroup var change: Change

    func run() async throws { try await change.perform(.pause(false)) }
  }

  struct Halts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the slices whose leases slashes have stopped.",
      discussion: "EXAMPLE\n  bourse rules halts --json")

    struct Halt: Encodable {
      let model: String
      let slice: Int
      let backend: String
    }

    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let client = try await brokerOptions.connect(as: nil)
      let halts = try await client.status().halts.map {
        Halt(model: $0.model.description, slice: $0.slice, backend: $0.backend.name)
      }
      await client.close()
      if output.json { return try printJSON(["halts": halts]) }
      var table = Table([("model", .left), ("slice", .right), ("backend", .left)])
      for halt in halts { table.append([halt.model, "\(halt.slice)", halt.backend]) }
      print(table.text)
    }
  }

  struct Lift: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let leases be made again where slashes have stopped them (operator only).",
      discussion: """
        When several provers are slashed for one slice on one backend in a short time, leases of \
        it are stopped: a fault of the backend is likelier than so many thieves. Look into the \
        slashes with `bourse explain`, then lift it.

        EXAMPLE
          bourse rules lift 8f31… 2 --backend sumcheck --key ./broker/operator.key
        """)

    @Argument(help: "The model's id.")
    var model: String
    @Argument(help: "The slice, counted from 0.")
    var slice: UInt32
    @Option(name: .long, help: "The backend.")
    var backend = BackendID.sumcheck.name
    @OptionGroup var change: Change

    func run() async throws {
      guard let id = ModelID(hexadecimal: model) else {
        throw ValidationError("'\(model)' is no model's id: 64 hexadecimal digits.")
      }
      try await change.perform(
        .liftHalt(
          Market.KeySubject(model: id, slice: Int(slice), backend: try backendID(backend))))
    }
  }

  struct Change: ParsableArguments {
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    /// Signs and sends the command, and says from when on it holds.
    func perform(_ command: Command) async throws {
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      let notice = try await client.status().parameters.noticePeriod
      try await client.perform(command, signedBy: key)
      await client.close()
      let milliseconds = command == .pause(true) ? notice : 0
      if output.json { return try printJSON(["effectiveAfterMilliseconds": milliseconds]) }
      print(milliseconds == 0 ? "in effect" : "in effect after \(milliseconds) ms")
    }
  }
}
