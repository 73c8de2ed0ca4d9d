import Foundation
import Journal
import Market
import Primitives

/// One exchange in a temporary directory: keys, a market, and its journal as a broker keeps them.
final class Fixture {
  let directory = TemporaryDirectory()
  let operatorKey = SigningKey(seed: Bytes32([UInt8](repeating: 1, count: 32))!)
  let brokerKey = SigningKey(seed: Bytes32([UInt8](repeating: 2, count: 32))!)
  let holderKey = SigningKey(seed: Bytes32([UInt8](repeating: 3, count: 32))!)
  let network = NetworkID("test")!
  var market: Market
  var nonce: UInt64 = 0

  var genesis: Genesis {
    Genesis(network: network, operator: operatorKey.publicKey, broker: brokerKey.publicKey)
  }

  init() throws {
    market = try Market(
      genesis: Genesis(
        network: network, operator: operatorKey.publicKey, broker: brokerKey.publicKey))
  }

  var file: String { directory.path + "/journal.sqlite" }

  func create() throws -> Journal {
    try Journal.create(in: directory.path, genesis: genesis, key: brokerKey)
  }

  func open() throws -> Journal { try Journal(directory: directory.path, key: brokerKey) }

  func envelope(_ command: Command, by key: SigningKey, expiry: Tick = .never) -> Envelope {
    nonce += 1
    return Envelope(
      network: network, nonce: Nonce(high: 0, low: nonce), expiry: expiry,
      body: command.canonicalBytes, signedBy: key)
  }

  func pending(_ command: Command, by key: SigningKey, at tick: UInt64) -> PendingEntry {
    pending(envelope(command, by: key), command, at: tick)
  }

  func pending(_ envelope: Envelope, _ command: Command, at tick: UInt64) -> PendingEntry {
    let tick = Tick(milliseconds: tick)
    let outcome = market.execute(
      command, by: envelope.author, digest: envelope.digest, at: tick)
    return PendingEntry(envelope: envelope, tick: tick, outcome: outcome)
  }

  /// A group of `count`: deposits, withdrawals, bonds, ticks, and some that are rejected.
  func group(_ count: Int, at tick: UInt64) -> [PendingEntry] {
    (0..<count).map { index in
      let amount = Amount(microcredits: UInt64(100 + index))
      let owner = holderKey.publicKey
      return switch index % 5 {
      case 0, 1: pending(.deposit(owner: owner, amount: amount), by: operatorKey, at: tick)
      case 2: pending(.withdraw(amount: Amount(microcredits: 7)), by: holderKey, at: tick)
      case 3: pending(.deposit(owner: owner, amount: amount), by: holderKey, at: tick)
      default: pending(.bond(amount: Amount(microcredits: 5)), by: holderKey, at: tick)
      }
    }
  }
}

final class TemporaryDirectory: Sendable {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "/bourse-" + UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A copy of every file as it lies now, as a machine that lost its power would find them.
  func snapshot() throws -> TemporaryDirectory {
    let copy = TemporaryDirectory()
    try FileManager.default.removeItem(atPath: copy.path)
    try FileManager.default.copyItem(atPath: path, toPath: copy.path)
    return copy
  }
}

/// SplitMix64 (Steele, Lea and Flood 2014): equal seeds, equal mutations.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
