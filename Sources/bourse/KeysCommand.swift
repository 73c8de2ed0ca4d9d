import ArgumentParser
import Primitives

struct KeysCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Make and show keys.",
    subcommands: [New.self, Show.self])

  struct Shown: Encodable {
    let publicKey: String
    let file: String
  }

  struct New: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make an Ed25519 key in a new file that only you can read.",
      discussion: "EXAMPLE\n  bourse keys new prover.key")

    @Argument(help: "The file to make; an existing one is never replaced.")
    var file: String
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = SigningKey.random()
      try KeyFile.create(key, at: file)
      if output.json {
        try printJSON(Shown(publicKey: key.publicKey.description, file: file))
      } else {
        print("public key \(key.publicKey)\nin \(file); keep it safe, whoever has it has its money")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the public key of a key file.",
      discussion: "EXAMPLE\n  bourse keys show prover.key")

    @Argument(help: "The key file.")
    var file: String
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = try KeyFile.read(file).publicKey
      if output.json {
        try printJSON(Shown(publicKey: key.description, file: file))
      } else {
        print(key)
      }
    }
  }
}
