import ArgumentParser
import Market
import Primitives
import Wire

/// Has an attested output run again, at the challenger's risk.
struct ChallengeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "challenge",
    abstract: "Have an attested output run again, with a deposit behind your doubt.",
    discussion: """
      A lease whose slice is attested, and that is not audited, can be challenged once, while its \
      window is open; `bourse request show` prints until when. Is the output wrong, the prover is \
      slashed, and you get the deposit back and a share of the slash; is it right, the deposit is \
      lost. The requester may challenge, the auditors that it names, and anyone where the request \
      is disclosed.

      EXAMPLE
        bourse challenge 17 --deposit 500 --key me.key
      """)

  struct Shown: Encodable {
    let lease: UInt64
    let depositMicrocredits: UInt64
    let challenger: String
  }

  @Argument(help: "The lease's number.")
  var lease: UInt64
  @Option(help: "At least the lease's fee: micro-credits, or credits such as 2.5c.")
  var deposit: String
  @OptionGroup var key: KeyOption
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func run() async throws {
    let key = try key.load()
    let amount = try parseAmount(deposit)
    let client = try await brokerOptions.connect(as: key)
    try await client.perform(
      .challenge(LeaseID(ordinal: lease), deposit: amount), signedBy: key)
    await client.close()
    let shown = Shown(
      lease: lease, depositMicrocredits: amount.microcredits,
      challenger: key.publicKey.description)
    if output.json { return try printJSON(shown) }
    print("lease \(lease) is challenged with \(amount) micro-credits; it is run again now")
  }
}
