package import FoundationEssentials
import Glibc
package import Primitives

/// What a client needs to reach a broker and to know that it is the right one. The operator hands
/// it out as a small JSON file.
package struct BrokerCard: Hashable, Sendable, Codable {
  package static let byteLimit = 4096

  package let network: NetworkID
  /// Such as `tcp://127.0.0.1:7400`.
  package let endpoint: String
  /// Where the feed is published; nil where there is none. Under the same CURVE key.
  package let feed: String?
  package let curveKey: Bytes32
  /// Signs acknowledgements and checkpoints.
  package let brokerKey: PublicKey
  package let operatorKey: PublicKey

  package init(
    network: NetworkID, endpoint: String, feed: String? = nil, curveKey: Bytes32,
    brokerKey: PublicKey, operatorKey: PublicKey
  ) {
    self.network = network
    self.endpoint = endpoint
    self.feed = feed
    self.curveKey = curveKey
    self.brokerKey = brokerKey
    self.operatorKey = operatorKey
  }

  private enum CodingKeys: String, CodingKey {
    case network, endpoint, feed, curveKey, brokerKey, operatorKey
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let network = try fields.decode(String.self, forKey: .network)
    let curveKey = try fields.decode(String.self, forKey: .curveKey)
    endpoint = try fields.decode(String.self, forKey: .endpoint)
    feed = try fields.decodeIfPresent(String.self, forKey: .feed)
    guard let network = NetworkID(network) else {
      throw BrokerCardError.malformed("'\(network.prefix(64))' is no network's name")
    }
    guard let curve = Hexadecimal.bytes(curveKey).flatMap({ Bytes32($0) }) else {
      throw BrokerCardError.malformed("curveKey is not 64 hexadecimal digits")
    }
    guard Self.isEndpoint(endpoint), feed.map(Self.isEndpoint) ?? true else {
      throw BrokerCardError.malformed("an endpoint is not of the form tcp://host:port")
    }
    self.network = network
    self.curveKey = curve
    brokerKey = try PublicKey(hexadecimal: fields.decode(String.self, forKey: .brokerKey))
    operatorKey = try PublicKey(hexadecimal: fields.decode(String.self, forKey: .operatorKey))
  }

  private static func isEndpoint(_ text: String) -> Bool {
    text.hasPrefix("tcp://") && text.utf8.count <= 256
      && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(network.name, forKey: .network)
    try fields.encode(endpoint, forKey: .endpoint)
    try fields.encodeIfPresent(feed, forKey: .feed)
    try fields.encode(Hexadecimal.text(curveKey.bytes), forKey: .curveKey)
    try fields.encode(brokerKey.description, forKey: .brokerKey)
    try fields.encode(operatorKey.description, forKey: .operatorKey)
  }

  package init(json: Data) throws(BrokerCardError) {
    guard json.count <= Self.byteLimit else {
      throw .malformed("it has \(json.count) bytes, more than \(Self.byteLimit)")
    }
    do {
      self = try JSONDecoder().decode(BrokerCard.self, from: json)
    } catch let error as BrokerCardError {
      throw error
    } catch let error as KeyError {
      throw .malformed(error.sentence)
    } catch {
      throw .malformed("it is not the JSON object of docs/protocol.md")
    }
  }

  package init(contentsOf path: String) throws(BrokerCardError) {
    guard let file = fopen(path, "r") else { throw .unreadable(path) }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: Self.byteLimit + 1)
    let count = fread(&bytes, 1, bytes.count, file)
    guard ferror(file) == 0 else { throw .unreadable(path) }
    try self.init(json: Data(bytes.prefix(count)))
  }

  /// Replaces the file as a whole: a reader sees the old card or the new one.
  package func write(to path: String) throws(BrokerCardError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      try encoder.encode(self).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw .unwritable(path)
    }
  }
}

package enum BrokerCardError: CodedError, Equatable {
  case malformed(String)
  case unreadable(String)
  case unwritable(String)

  package var code: String {
    switch self {
    case .malformed: "malformed-broker-card"
    case .unreadable: "unreadable-broker-card"
    case .unwritable: "unwritable-broker-card"
    }
  }

  package var sentence: String {
    switch self {
    case .malformed(let why):
      "The broker card cannot be used: \(why); ask the operator for a fresh one."
    case .unreadable(let path): "The broker card '\(path)' cannot be read; is the path right?"
    case .unwritable(let path):
      "The broker card cannot be written to '\(path)'; is the folder there and writable?"
    }
  }
}
