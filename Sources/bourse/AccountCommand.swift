import ArgumentParser
import Market
import Primitives
import Wire

struct AccountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account", abstract: "Show balances; deposit, withdraw, bond and unbond.",
    subcommands: [Show.self, Deposit.self, Withdraw.self, Bond.self, Unbond.self])

  struct Balance: Encodable {
    let purpose: String
    let microcredits: Int64
  }

  static func show(
    _ owner: PublicKey, _ client: WireClient, json: Bool
  ) async throws {
    let balances = try await client.balances(of: owner).map {
      Balance(purpose: $0.account.purpose.description, microcredits: $0.balance)
    }
    let stake = try await client.stake(of: owner)
    if json {
      struct Shown: Encodable {
        let owner: String
        let balances: [Balance]
        let unbonding: [StakeCommand.Leaving]
        let delegations: [StakeCommand.Delegated]
      }
      return try printJSON(
        Shown(
          owner: owner.description, balances: balances,
          unbonding: stake.unbondings.map(StakeCommand.Leaving.init),
          delegations: stake.delegations.map(StakeCommand.Delegated.init)))
    }
    print("account \(owner)")
    var table = Table([("purpose", .left), ("micro-credits", .right)])
    for balance in balances { table.append([balance.purpose, "\(balance.microcredits)"]) }
    print(table.text)
    if !stake.unbondings.isEmpty {
      print("leaving the bond: \(StakeCommand.Leaving.text(stake.unbondings))")
    }
    if !stake.delegations.isEmpty { print("\n" + StakeCommand.table(stake.delegations)) }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the balances of a key.",
      discussion: """
        What it has delegated, and when sums on their way out come free, is shown with them. \
        Under the operator's key the exchange's own accounts are shown as well.

        EXAMPLE
          bourse account show prover.key --broker ./broker/broker.json
        """)

    @Argument(help: "A public key, or a key file.")
    var owner: String
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let client = try await brokerOptions.connect(as: nil)
      try await AccountCommand.show(try publicKey(owner), client, json: output.json)
      await client.close()
    }
  }

  struct Deposit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Credit an account from outside (operator only).",
      discussion: """
        EXAMPLE
          bourse account deposit prover.key 10c --key ./broker/operator.key
        """)

    @Argument(help: "A public key, or a key file.")
    var owner: String
    @Argument(help: "Micro-credits, or credits with a 'c': 2500000, 2.5c.", transform: parseAmount)
    var amount: Amount
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = try key.load()
      let owner = try publicKey(owner)
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(.deposit(owner: owner, amount: amount), signedBy: key)
      try await AccountCommand.show(owner, client, json: output.json)
      await client.close()
    }
  }

  struct Withdraw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take available credits out of the exchange.",
      discussion: "EXAMPLE\n  bourse account withdraw 1c --key prover.key")

    @OptionGroup var move: OwnMove

    func run() async throws { try await move.perform { .withdraw(amount: $0) } }
  }

  struct Bond: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Move available credits into your bond, from which stakes are held.",
      discussion: "EXAMPLE\n  bourse account bond 5c --key prover.key")

    @OptionGroup var move: OwnMove

    func run() async throws { try await move.perform { .bond(amount: $0) } }
  }

  struct Unbond: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take credits out of your bond; they are free after the unbonding period.",
      discussion: "EXAMPLE\n  bourse account unbond 5c --key prover.key")

    @OptionGroup var move: OwnMove

    func run() async throws { try await move.perform { .unbond(amount: $0) } }
  }

  /// What it takes to move one's own money.
  struct OwnMove: ParsableArguments {
    @Argument(help: "Micro-credits, or credits with a 'c': 2500000, 2.5c.", transform: parseAmount)
    var amount: Amount
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    /// Signs and sends what `command` makes of the amount, and shows the balances after it.
    func perform(_ command: (Amount) -> Command) async throws {
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(command(amount), signedBy: key)
      try await AccountCommand.show(key.publicKey, client, json: output.json)
      await client.close()
    }
  }
}
