package import Primitives
package import Statements

// What a party asks of a broker. Each call repeats itself over lost connections until its deadline;
// after `deadline-exceeded` the caller does not know whether a command was taken, and may submit
// the same envelope again.
extension WireClient {
  /// Returns what the broker signed, a rejection included. Throws where the word cannot be trusted.
  package func submit(
    _ envelope: Envelope, deadline: Duration = defaultDeadline
  ) async throws -> Acknowledgement {
    let answer = try await request(
      .command(envelope: envelope.canonicalBytes), deadline: .now + deadline)
    guard case .acknowledgement(let bytes) = answer else { throw unexpected(answer) }
    let acknowledgement: Acknowledgement
    do {
      acknowledgement = try Acknowledgement(canonicalBytes: bytes)
    } catch {
      throw WireError.untrustedAcknowledgement(error.sentence)
    }
    if let fault = fault(of: acknowledgement, for: envelope) {
      throw WireError.untrustedAcknowledgement(fault)
    }
    return acknowledgement
  }

  /// Stores a blob at the broker, going on where an earlier upload stopped.
  package func upload(
    _ bytes: [UInt8], deadline: Duration = defaultDeadline
  ) async throws -> Digest {
    guard UInt64(bytes.count) <= Frame.blobLimit else {
      throw WireError.blobTooLarge(total: UInt64(bytes.count), limit: Int(Frame.blobLimit))
    }
    let end = ContinuousClock.now + deadline
    let digest = Digest.of(bytes)
    var offset = 0
    // A large blob asks first, with an empty chunk, how much of it is there already.
    var isProbe = bytes.count > Frame.chunkLimit
    var setbacks = 0
    while true {
      let next = isProbe ? offset : min(bytes.count, offset + Frame.chunkLimit)
      let chunk = BlobChunk(
        digest: digest, total: UInt64(bytes.count), offset: UInt64(offset),
        bytes: Array(bytes[offset..<next]))
      let answer = try await request(.putBlob(chunk), deadline: end)
      guard case .blobProgress(let progress) = answer, progress <= UInt64(bytes.count) else {
        throw unexpected(answer)
      }
      if Int(progress) == bytes.count { return digest }
      // A broker that restarted may want an earlier part again, but not for ever.
      if Int(progress) <= offset, !isProbe { setbacks += 1 }
      guard setbacks < 8 else { throw WireError.uploadStalled(offset: progress) }
      (offset, isProbe) = (Int(progress), false)
    }
  }

  /// The blob's bytes, which have the digest asked for.
  package func download(
    _ digest: Digest, byteLimit: Int, deadline: Duration = defaultDeadline
  ) async throws -> [UInt8] {
    let end = ContinuousClock.now + deadline
    var bytes: [UInt8] = []
    var total: UInt64?
    repeat {
      let answer = try await request(
        .getBlob(digest, offset: UInt64(bytes.count), limit: UInt32(Frame.chunkLimit)),
        deadline: end)
      guard case .blobChunk(let chunk) = answer, chunk.digest == digest,
        chunk.offset == UInt64(bytes.count), total == nil || total == chunk.total,
        !chunk.bytes.isEmpty || chunk.total == chunk.offset
      else { throw unexpected(answer) }
      guard chunk.total <= UInt64(max(0, byteLimit)) else {
        throw WireError.blobTooLarge(total: chunk.total, limit: byteLimit)
      }
      total = chunk.total
      bytes.append(contentsOf: chunk.bytes)
    } while UInt64(bytes.count) < total ?? 0
    let got = Digest.of(bytes)
    guard got == digest else { throw WireError.wrongBlob(expected: digest, got: got) }
    return bytes
  }

  package func ask(_ query: [UInt8], deadline: Duration = defaultDeadline) async throws -> [UInt8] {
    guard query.count <= Frame.queryLimit else {
      throw WireError.requestTooLarge(bytes: query.count, limit: Frame.queryLimit)
    }
    let answer = try await request(.query(query), deadline: .now + deadline)
    guard case .answer(let bytes) = answer else { throw unexpected(answer) }
    return bytes
  }

  private func fault(of acknowledgement: Acknowledgement, for envelope: Envelope) -> String? {
    if acknowledgement.network != card.network { return "it is of another network" }
    if acknowledgement.command != envelope.digest { return "it is for another command" }
    if acknowledgement.broker != card.brokerKey { return "another broker signed it" }
    return acknowledgement.isAuthentic ? nil : "its signature is forged"
  }

  private func unexpected(_ answer: BrokerMessage) -> WireError {
    switch answer {
    case .welcome: .unexpectedAnswer("a welcome")
    case .acknowledgement: .unexpectedAnswer("an acknowledgement")
    case .refused: .unexpectedAnswer("a refusal")
    case .blobProgress(let offset): .unexpectedAnswer("progress to byte \(offset)")
    case .blobChunk(let chunk): .unexpectedAnswer("a chunk at byte \(chunk.offset)")
    case .answer: .unexpectedAnswer("an answer to a query")
    case .notice: .unexpectedAnswer("a notice")
    }
  }
}
