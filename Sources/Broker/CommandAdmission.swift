import FixedPoint
import Journal
import Market
import Primitives
import Statements
import Wire

/// What is checked before a command reaches the sequencer. What fails here leaves no trace: its
/// author may send it again when it is mended.
struct CommandAdmission: Sendable {
  let network: NetworkID
  let sequencer: Sequencer
  let blobs: BlobStore

  /// The envelope and command of trustworthy bytes, of an author that may send one now. Whether it
  /// has acted before, has expired, or comes from a stranger is the sequencer's to say.
  func read(_ bytes: [UInt8]) throws(BrokerError) -> (envelope: Envelope, command: Command) {
    let envelope: Envelope
    let command: Command
    do {
      envelope = try Envelope(canonicalBytes: bytes)
      command = try Command(canonicalBytes: envelope.body)
    } catch {
      throw BrokerError.malformedCommand(error.sentence)
    }
    guard envelope.network == network else {
      throw BrokerError.foreignNetwork(expected: network, got: envelope.network)
    }
    // Before the signature, which takes longer than all the rest.
    try sequencer.quota.admit(envelope.author)
    guard envelope.isAuthentic else { throw BrokerError.falseSignature }
    switch command {
    case .tick, .resume, .recordVerdict, .publishKey, .commitNonce, .revealNonce(.broker, _):
      throw BrokerError.reservedForBroker(command.name)
    case .publishModel, .submitRequest, .commitOutput, .submitBatch, .deposit, .withdraw, .bond,
      .unbond, .delegate, .undelegate, .setCommission, .placeBid, .amendBid, .cancelBid,
      .cancelRequest, .cancelLease, .declareUnprovable, .reportRangeFault, .setParameters, .pause,
      .liftHalt, .revealNonce, .challenge:
      return (envelope, command)
    }
  }

  /// Checks the blobs of a command that names some, where it is to be decided: to look for blobs
  /// may take long.
  func checkBlobs(of command: Command, in envelope: Envelope) async throws {
    if try await sequencer.mustDecide(envelope) {
      try await checkBlobs(of: command, by: envelope.author)
    }
  }

  /// A command is accepted only when every blob it names is durably held, with the right size, and
  /// known to its author: a command makes what it names readable, and digests are public.
  private func checkBlobs(of command: Command, by author: PublicKey) async throws {
    switch command {
    case .publishModel(let manifest): try await check(manifest, by: author)
    case .submitRequest(let terms):
      // What the blobs should be is not known then, and it might become known before the decision.
      guard let manifest = await sequencer.read({ $0.models[terms.model] }) else {
        throw BrokerError.unknownModel(terms.model)
      }
      for (digest, input) in zip(terms.inputs, manifest.inputs) {
        try await require(digest, byteCount: input.byteCount, by: author)
      }
    case .commitOutput(let commitment):
      let outputs = await sequencer.read { market in
        market.leases[commitment.lease].flatMap {
          market.models[$0.terms.model]?.slices[$0.terms.slice].outputs
        }
      }
      guard let outputs else { throw BrokerError.unknownLease(commitment.lease) }
      for (digest, output) in zip(commitment.outputs, outputs) {
        try await require(digest, byteCount: output.byteCount, by: author)
      }
    case .submitBatch(let batch):
      for receipt in batch.receipts where receipt.proof != Digest.of([]) {
        try await require(receipt.proof, byteCount: nil, by: author)
      }
    default: break
    }
  }

  private func check(_ manifest: Manifest, by author: PublicKey) async throws {
    guard manifest.semantics == Program.semantics else {
      throw BrokerError.unsupportedSemantics(manifest.semantics)
    }
    for slice in manifest.slices {
      try await require(slice.onnx, byteCount: nil, by: author)
      try await require(slice.program, byteCount: nil, by: author)
      let program: Program
      do {
        program = try Program(canonicalBytes: try await blobs.read(slice.program))
      } catch let error as any CodedError {
        throw BrokerError.invalidProgram(slice: slice.name, error.sentence)
      }
      guard links(program.inputs, slice.inputs), links(program.outputs, slice.outputs) else {
        throw BrokerError.invalidProgram(
          slice: slice.name, "its boundary tensors are not those of the manifest")
      }
      // Fees and stakes go by cost: nobody may state another than the program's.
      guard program.cost == slice.cost else {
        throw BrokerError.costWrong(
          slice: slice.name, expected: program.cost, got: slice.cost)
      }
    }
  }

  private func links(_ left: [BoundarySpecification], _ right: [BoundarySpecification]) -> Bool {
    left.count == right.count && zip(left, right).allSatisfy { $0.links(to: $1) }
  }

  private func require(_ digest: Digest, byteCount: Int?, by author: PublicKey) async throws {
    var isKnown = await blobs.isShown(digest, by: author)
    if !isKnown { isKnown = await sequencer.mayRead(digest, author) }
    guard isKnown, let size = try await blobs.byteCount(of: digest) else {
      throw BrokerError.blobMissing(digest)
    }
    if let byteCount, size != byteCount {
      throw BrokerError.blobSizeWrong(digest, expected: byteCount, got: size)
    }
  }
}

extension Command {
  /// Whether it is accepted only with blobs beside it.
  var needsBlobs: Bool {
    switch self {
    case .publishModel, .submitRequest, .commitOutput, .submitBatch: true
    default: false
    }
  }

  /// The blobs that it names; those of a batch are its proofs.
  var blobs: [Digest] {
    switch self {
    case .publishModel(let manifest): manifest.slices.flatMap { [$0.onnx, $0.program] }
    case .submitRequest(let terms): terms.inputs
    case .commitOutput(let commitment): commitment.outputs
    case .submitBatch(let batch): batch.receipts.map(\.proof)
    default: []
    }
  }
}

extension Market {
  /// Whether the key runs the exchange or has money in it.
  func hasAccount(_ key: PublicKey) -> Bool {
    key == genesis.operator || key == genesis.broker
      || [
        Account.available(key), .bond(key), .stakeHold(key), .feeHold(key), .unbonding(key),
        .challengeHold(key),
      ].contains {
        balance($0) > 0
      } || pools.values.contains { $0.position(of: key) != nil }
  }
}
