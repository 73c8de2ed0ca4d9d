import ArgumentParser

@main
struct Bourse: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bourse",
    abstract: "An exchange for verified inference.",
    discussion: """
      A requester posts one inference of a model cut into slices; provers bid on slices; the \
      broker holds both sides' money, has every receipt verified, pays the honest and slashes the \
      provably wrong; anyone replays the journal.

      EXAMPLES
        bourse demo                                   watch one request from end to end
        bourse model inspect lenet5.onnx              what a model is made of
        bourse broker run --data ./broker             run an exchange on this machine
        bourse prover run --broker ./broker/broker.json --key prover.key

      Exit codes: 0 done, 1 failed (a sentence on standard error says why and what to do), \
      64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      BrokerCommand.self, ProverCommand.self, VerifierCommand.self, RequestCommand.self,
      ModelCommand.self, AccountCommand.self, StakeCommand.self, BidCommand.self,
      BookCommand.self,
      TradesCommand.self, WatchCommand.self, ExplainCommand.self, QuoteCommand.self,
      ProversCommand.self,
      RulesCommand.self, ChallengeCommand.self, KeysCommand.self, PluginCommand.self,
      AuditCommand.self,
      VerifyCommand.self, DemoCommand.self, BenchCommand.self,
    ])
}
