package import Primitives

/// Why the broker refuses something before it reaches the journal, or stops.
package enum BrokerError: CodedError, Equatable {
  case malformedCommand(String)
  case foreignNetwork(expected: NetworkID, got: NetworkID)
  case falseSignature
  case expired(at: Tick, now: Tick)
  case unknownAuthor(PublicKey)
  case tooManyRejections(PublicKey, wait: Duration)
  case tooManyStrangers(wait: Duration)
  case reservedForBroker(String)
  case blobMissing(Digest)
  case blobSizeWrong(Digest, expected: Int, got: Int)
  case invalidProgram(slice: String, String)
  case costWrong(slice: String, expected: Cost, got: Cost)
  case unsupportedSemantics(String)
  case notDisclosed(Digest)
  case helloNeeded
  case notAVerifier(PublicKey)
  case tooManySlots(limit: UInt32)
  case verdictNotAwaited(LeaseID)
  case verdictContradicted(LeaseID)
  case unknownModel(ModelID)
  case unknownRequest(RequestID)
  case unknownLease(LeaseID)
  case unknownHistory(Digest)
  case historyBehind(indexed: UInt64, of: UInt64)
  case journalFailed(String)
  case blobStoreFailed(String)

  package var code: String {
    switch self {
    case .malformedCommand: "malformed-command"
    case .foreignNetwork: "foreign-network"
    case .falseSignature: "false-signature"
    case .expired: "expired"
    case .unknownAuthor: "unknown-author"
    case .tooManyRejections: "too-many-rejections"
    case .tooManyStrangers: "too-many-strangers"
    case .reservedForBroker: "reserved-for-broker"
    case .blobMissing: "blob-missing"
    case .blobSizeWrong: "blob-size-wrong"
    case .invalidProgram: "invalid-program"
    case .costWrong: "cost-wrong"
    case .unsupportedSemantics: "unsupported-semantics"
    case .notDisclosed: "not-disclosed"
    case .helloNeeded: "hello-needed"
    case .notAVerifier: "not-a-verifier"
    case .tooManySlots: "too-many-slots"
    case .verdictNotAwaited: "verdict-not-awaited"
    case .verdictContradicted: "verdict-contradicted"
    case .unknownModel: "unknown-model"
    case .unknownRequest: "unknown-request"
    case .unknownLease: "unknown-lease"
    case .unknownHistory: "unknown-history"
    case .historyBehind: "history-behind"
    case .journalFailed: "journal-failed"
    case .blobStoreFailed: "blob-store-failed"
    }
  }

  package var sentence: String {
    switch self {
    case .malformedCommand(let why): "The command cannot be read: \(why)"
    case .foreignNetwork(let expected, let got):
      "The command is for network '\(got)' and this is '\(expected)'; use this broker's card."
    case .falseSignature: "The signature does not fit the command; sign exactly the bytes you send."
    case .expired(let expiry, let now):
      "The command expired at \(expiry) and it is \(now); sign it again with a later expiry."
    case .unknownAuthor(let author):
      "Key \(author.short) has no account here; ask the operator for a deposit first."
    case .tooManyRejections(let author, let wait):
      "Key \(author.short) has sent more commands that were rejected than a key may; try again in \(wait.milliseconds) ms, with what the rules accept."
    case .tooManyStrangers(let wait):
      "Keys without an account send more commands than are looked at; try again in \(wait.milliseconds) ms, or ask the operator for a deposit first."
    case .reservedForBroker(let name):
      "The broker alone sends \(name), from inside."
    case .blobMissing(let digest):
      "Blob \(digest.short) is named and not held here; upload it first."
    case .blobSizeWrong(let digest, let expected, let got):
      "Blob \(digest.short) has \(got) bytes and its boundary tensor has \(expected); upload the tensor that the manifest describes."
    case .invalidProgram(let slice, let why):
      "The program of slice '\(slice)' is not usable: \(why)"
    case .costWrong(let slice, let expected, let got):
      "Slice '\(slice)' is said to cost \(got) units and its program costs \(expected); slice the model again."
    case .unsupportedSemantics(let semantics):
      "The manifest's semantics is '\(semantics)' and this broker runs 'fixed16/1'; slice the model again."
    case .notDisclosed(let digest):
      "Blob \(digest.short) is not disclosed to you; only its request's parties may read it."
    case .helloNeeded: "Say hello with your key first; this answer is for its owner only."
    case .notAVerifier(let key):
      "Key \(key.short) is no verifier here, or has been dropped as one; ask the operator to name it with --verifier."
    case .tooManySlots(let limit): "A verifier has at most \(limit) workers; start fewer."
    case .verdictNotAwaited(let lease):
      "No such verdict on lease \(lease) is awaited of this verifier; ask for the next job."
    case .verdictContradicted(let lease):
      "The broker finds another verdict on lease \(lease) and takes none of this verifier any more; ask the operator."
    case .unknownModel(let model): "No model \(model.short) is published here."
    case .unknownRequest(let request): "No request \(request.short) is known here."
    case .unknownLease(let lease): "No lease \(lease) was ever made here; see `bourse trades`."
    case .unknownHistory(let id):
      "Nothing in the journal is about \(id.short); name a request's or a bid's whole id, or a lease's number."
    case .historyBehind(let indexed, let count):
      "The broker has indexed \(indexed) of its \(count) entries so far; ask again in a moment."
    case .journalFailed(let why):
      "The journal could not be written (\(why)); the broker stops, nothing unacknowledged counts; free its disk and start it again."
    case .blobStoreFailed(let why):
      "The blob store failed (\(why)); check the broker's disk."
    }
  }
}

extension Duration {
  /// Rounded up.
  fileprivate var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
  }
}
