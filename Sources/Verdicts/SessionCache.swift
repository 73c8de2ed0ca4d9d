import Primitives
import ProverHost
import Statements

/// Sessions that verify, kept open: one per slice and backend that has been verified.
actor SessionCache {
  private struct Name: Hashable {
    let backend: BackendID
    let key: Digest
  }

  private let backends: [BackendID: Backend]
  private var verifiers: [Name: VerifierSession] = [:]
  private var programs: [Digest: ProverSession] = [:]

  init(_ backends: [Backend]) {
    self.backends = Dictionary(backends.map { ($0.descriptor.id, $0) }) { first, _ in first }
  }

  func backend(_ id: BackendID) -> Backend? { backends[id] }

  /// Nil where the backend is not here.
  func verifier(
    _ id: BackendID, _ slice: Manifest.Slice, key: Digest, _ blobs: any BlobSource
  ) async throws -> VerifierSession? {
    guard let backend = backends[id] else { return nil }
    let name = Name(backend: id, key: key)
    if let open = verifiers[name] { return open }
    let session = try await backend.openVerifier(
      key: try await blobs.read(key), boundaries: Self.boundaries(slice))
    verifiers[name] = session
    return session
  }

  /// The slice's program under `reexec`, whose prover key is the program itself.
  func program(
    _ slice: Manifest.Slice, _ blobs: any BlobSource
  ) async throws -> ProverSession? {
    guard let backend = backends[.reexec] else { return nil }
    if let open = programs[slice.program] { return open }
    let session = try await backend.openProver(
      key: try await blobs.read(slice.program), boundaries: Self.boundaries(slice))
    programs[slice.program] = session
    return session
  }

  /// The backend in a process of its own, for its caller to close; nil where it is not here.
  func fresh(_ id: BackendID) async throws -> Backend? { try await backends[id]?.another() }

  static func boundaries(_ slice: Manifest.Slice) -> Boundaries {
    Boundaries(inputs: slice.inputs, outputs: slice.outputs)
  }
}
