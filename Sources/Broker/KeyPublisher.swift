import Journal
import Logging
import Market
import Primitives
import ProverHost
import Statements

/// Compiles every slice of a published model with every backend that the broker has and that
/// supports it, and publishes the verifier keys. Deterministic keys come out the same for whoever
/// compiles again.
struct KeyPublisher: Sendable {
  let network: NetworkID
  let sequencer: Sequencer
  let blobs: BlobStore
  let backends: [ServedBackend]
  let key: SigningKey
  let logger: Logger

  /// Publishes what is missing for all published models.
  func publishMissing() async {
    for model in await sequencer.read({ $0.models.keys.sorted() }) { await publish(model) }
  }

  func publish(_ model: ModelID) async {
    guard let manifest = await sequencer.read({ $0.models[model] }) else { return }
    for served in backends {
      let id = served.backend.descriptor.id
      for index in manifest.slices.indices {
        let subject = Market.KeySubject(model: model, slice: index, backend: id)
        if await sequencer.read({ $0.keyRecords[subject] != nil }) { continue }
        do {
          try await publish(manifest.slices[index], subject, served)
        } catch {
          logger.warning("no \(id) key for slice '\(manifest.slices[index].name)': \(error)")
        }
      }
    }
  }

  private func publish(
    _ slice: Manifest.Slice, _ subject: Market.KeySubject, _ served: ServedBackend
  ) async throws {
    let bundle = SliceBundle(
      onnx: try await blobs.read(slice.onnx), program: try await blobs.read(slice.program),
      boundaries: Boundaries(inputs: slice.inputs, outputs: slice.outputs))
    let obstacles = try await served.backend.obstacles(to: bundle)
    guard obstacles.isEmpty else {
      return logger.notice(
        "\(subject.backend) cannot prove slice '\(slice.name)': \(obstacles.joined(separator: "; "))"
      )
    }
    let keys = try await served.backend.compile(bundle)
    let record = KeyRecord(
      model: subject.model, slice: subject.slice, backend: subject.backend,
      backendVersion: served.backend.descriptor.version, plugin: served.plugin,
      verifierKey: try await blobs.put(keys.verifier))
    await sequencer.perform(.publishKey(record), network: network, signedBy: key, logger)
  }
}
