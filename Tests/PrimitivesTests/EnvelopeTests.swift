import Primitives
import Testing

struct EnvelopeTests {
  private let key = SigningKey(seed: .zero)

  private func envelope(network: String = "demo", body: [UInt8] = [1, 2, 3]) throws -> Envelope {
    Envelope(
      network: try #require(NetworkID(network)), nonce: Nonce(high: 1, low: 2),
      expiry: Tick(milliseconds: 1000), body: body, signedBy: key)
  }

  @Test func isAuthenticAfterARoundTrip() throws {
    let sent = try envelope()
    let received = try Envelope(canonicalBytes: sent.canonicalBytes)
    #expect(received == sent)
    #expect(received.isAuthentic)
  }

  @Test func refusesEveryFlippedBit() throws {
    let sent = try envelope()
    let bytes = sent.canonicalBytes
    for bit in 0..<bytes.count * 8 {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      guard let received = try? Envelope(canonicalBytes: flipped) else { continue }
      #expect(!received.isAuthentic, "bit \(bit)")
      // A changed signature is refused but does not make another command of it.
      let isInSignature = bit / 8 >= bytes.count - Signature.count
      #expect((received.digest == sent.digest) == isInSignature, "bit \(bit)")
    }
  }

  @Test func digestDoesNotDependOnTheSignature() throws {
    let sent = try envelope()
    let zeros = [UInt8](repeating: 0, count: Signature.count)
    let received = try Envelope(
      canonicalBytes: sent.canonicalBytes.dropLast(Signature.count) + zeros)
    #expect(received.digest == sent.digest)
    #expect(!received.isAuthentic)
  }

  @Test func rejectsAnEnvelopeMovedToAnotherNetwork() throws {
    let moved = try envelope(network: "main").canonicalBytes.dropLast(Signature.count)
    let signature = try envelope().signature.bytes
    #expect(try !Envelope(canonicalBytes: moved + signature).isAuthentic)
  }

  @Test func rejectsAnEnvelopeUnderAnotherAuthor() throws {
    let sent = try envelope()
    let bytes = sent.canonicalBytes
    let stolen =
      bytes[..<8] + SigningKey.random().publicKey.bytes + bytes[40...]
    #expect(try !Envelope(canonicalBytes: stolen).isAuthentic)
  }

  @Test func refusesABodyAboveItsLimit() throws {
    let bytes = try envelope(body: [UInt8](repeating: 0, count: Envelope.bodyLimit + 1))
      .canonicalBytes
    let error = #expect(throws: CanonicalError.self) {
      _ = try Envelope(canonicalBytes: bytes)
    }
    #expect(
      error?.reason
        == .countTooLarge(count: Envelope.bodyLimit + 1, limit: Envelope.bodyLimit))
    let largest = try envelope(body: [UInt8](repeating: 0, count: Envelope.bodyLimit))
    #expect(try Envelope(canonicalBytes: largest.canonicalBytes) == largest)
  }

  @Test func randomNoncesDiffer() { #expect(Nonce.random() != Nonce.random()) }
}
