import ArgumentParser
import Foundation
import Logging
import Primitives
import Wire

/// How every client command reaches a broker.
struct BrokerOptions: ParsableArguments {
  @Option(name: .long, help: "The broker's card: the file that `bourse broker run` writes.")
  var broker = "bourse-data/broker.json"

  func card() throws -> BrokerCard { try BrokerCard(contentsOf: broker) }

  /// A connected client; nil identity asks as nobody.
  func connect(as key: SigningKey?) async throws -> WireClient {
    let client = WireClient(
      card: try card(), identity: key, logger: Logger(label: "bourse.wire", level: .error))
    try await client.connect(deadline: .seconds(10))
    return client
  }
}

/// Which published model is meant: in its place, or by `--model`.
struct ModelOption: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "The model's id, or enough first digits of it; or name it with --model.",
      valueName: "model"))
  var inPlace: String?
  @Option(
    name: .customLong("model"),
    help: ArgumentHelp("The same, in place of the argument.", valueName: "model"))
  var byName: String?

  func validate() throws {
    guard (inPlace == nil) != (byName == nil) else {
      throw ValidationError("Name one model, either in its place or with --model.")
    }
  }

  func resolve(_ client: WireClient) async throws -> ModelID {
    try await RequestCommand.resolve(inPlace ?? byName ?? "", client)
  }
}

struct KeyOption: ParsableArguments {
  @Option(name: .long, help: "Your key file; see `bourse keys new`.")
  var key: String

  func load() throws -> SigningKey { try KeyFile.read(key) }
}

struct JSONOption: ParsableArguments {
  @Flag(name: .long, help: "Print one JSON object instead of a table.")
  var json = false
}

extension Logger {
  init(label: String, level: Logger.Level) {
    self.init(label: label) { StreamLogHandler.standardError(label: $0) }
    logLevel = level
  }
}

/// A public key, or a key file whose public key is meant.
func publicKey(_ text: String) throws -> PublicKey {
  if FileManager.default.fileExists(atPath: text) { return try KeyFile.read(text).publicKey }
  return try PublicKey(hexadecimal: text)
}

/// Micro-credits with an optional unit: `2500000`, or `2.5c` for credits of a million.
func parseAmount(_ text: String) throws -> Amount {
  if let plain = UInt64(text), Amount(microcredits: plain) <= .maximum {
    return Amount(microcredits: plain)
  }
  if text.hasSuffix("c"), let credits = Decimal(string: String(text.dropLast())), credits >= 0,
    credits <= 4_000_000_000_000
  {
    return Amount(microcredits: NSDecimalNumber(decimal: credits * 1_000_000).uint64Value)
  }
  throw ValidationError(
    "'\(text)' is no amount; write micro-credits (2500000) or credits (2.5c).")
}
