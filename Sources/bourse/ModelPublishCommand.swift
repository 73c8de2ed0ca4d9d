import ArgumentParser
import Primitives
import Requester
import Slicing
import Statements
import Wire

extension ModelCommand {
  struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Publish a sliced model, so that requests can name it.",
      discussion: """
        Safe to repeat. Waits until the broker has published a verifier key for every slice, and \
        says how many slices each of its backends has keys for.

        EXAMPLE
          bourse model publish lenet5 --key me.key --broker ./broker/broker.json
        """)

    @Argument(help: "The directory that `bourse model slice` wrote.")
    var directory: String
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    private struct Shown: Encodable {
      let model: String
      let slices: Int
      let totalCost: UInt64
      /// By backend, how many slices it has keys for.
      let keys: [String: Int]
    }

    func run() async throws {
      let key = try key.load()
      let model = try SlicedModel(directory: directory)
      let client = try await brokerOptions.connect(as: key)
      let progress = Progress(isShown: !output.json)
      let publication = ModelPublication(client: client, key: key)
      let id = try await publication.publish(model) { done, total in
        progress.show("uploaded \(done) of \(total) blobs")
      }
      progress.show("waiting for the broker's keys")
      try await publication.awaitKeys(
        of: id, backend: .reexec, slices: model.manifest.slices.count, within: .seconds(60))
      progress.finish()
      let keys = try await client.keyRecords(of: id).map(\.backend.name)
      await client.close()
      let shown = Shown(
        model: id.description, slices: model.manifest.slices.count,
        totalCost: model.manifest.totalCost.units,
        keys: Dictionary(keys.map { ($0, 1) }, uniquingKeysWith: +))
      if output.json {
        try printJSON(shown)
      } else {
        print("model \(id), \(shown.slices) slices, \(shown.totalCost) cost units")
        for (backend, count) in shown.keys.sorted(by: { $0.key < $1.key }) {
          print("\(backend): keys for \(count) of \(shown.slices) slices")
        }
      }
    }
  }
}
