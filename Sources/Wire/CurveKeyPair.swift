import CSodium
package import Primitives

/// A Curve25519 key pair for ZeroMQ's CURVE: it encrypts a connection and names its two ends, and
/// says nothing about who signs commands.
package struct CurveKeyPair: Sendable {
  package let publicKey: Bytes32
  package let secretKey: Bytes32

  package init(secretKey: Bytes32) {
    Sodium.start()
    var publicKey = [UInt8](repeating: 0, count: Bytes32.count)
    crypto_scalarmult_base(&publicKey, secretKey.bytes)
    guard let value = Bytes32(publicKey) else { fatalError("Curve25519 keys have 32 bytes") }
    (self.publicKey, self.secretKey) = (value, secretKey)
  }

  package static func random() -> CurveKeyPair {
    guard let secretKey = Bytes32(Sodium.randomBytes(Bytes32.count)) else {
      fatalError("32 bytes were drawn")
    }
    return CurveKeyPair(secretKey: secretKey)
  }
}

/// Whatever prints something that holds a key, a log of a library's among it, prints no secret.
extension CurveKeyPair: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "private key of \(Hexadecimal.text(publicKey.bytes))" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
