import Market
package import Primitives
package import Slicing
package import Wire
import Statements

/// Publishing a sliced model: its blobs, then its manifest, then the wait for the broker's keys.
package struct ModelPublication: Sendable {
  private let client: WireClient
  private let key: SigningKey

  package init(client: WireClient, key: SigningKey) {
    self.client = client
    self.key = key
  }

  /// Safe to repeat: blobs that are held are not sent again, a known model is left as it is.
  ///
  /// - Parameter onProgress: Blobs done, and of how many.
  package func publish(
    _ model: SlicedModel, onProgress: (Int, Int) -> Void = { _, _ in }
  ) async throws -> ModelID {
    let blobs = model.blobs.sorted { $0.key < $1.key }
    for (index, blob) in blobs.enumerated() {
      _ = try await client.upload(blob.value)
      onProgress(index + 1, blobs.count)
    }
    do {
      try await client.perform(.publishModel(model.manifest), signedBy: key)
    } catch let rejection as Rejection where rejection.code == "model-known" {
      // Somebody published the same manifest before: that is what was wanted.
    }
    return model.manifest.id
  }

  /// Returns once every slice has a key of the backend, by which requests can name it.
  package func awaitKeys(
    of model: ModelID, backend: BackendID, slices: Int, within limit: Duration
  ) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
      let keys = try await client.keyRecords(of: model).filter { $0.backend == backend }
      if keys.count == slices { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw RequesterError.keysLate(model)
  }
}
