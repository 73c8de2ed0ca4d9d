import Dispatch
import FixedPoint
import Foundation
import Primitives
import Statements
import Testing

@testable import Sumcheck

/// What takes minutes, in a release build only:
/// `BOURSE_MUTANTS=1000000 swift test -c release -Xswiftc -enable-testing --filter SumcheckTests`.
enum LongRun {
  static let mutants = ProcessInfo.processInfo.environment["BOURSE_MUTANTS"].flatMap { Int($0) }
  static var isEnabled: Bool { mutants != nil }
}

/// Mutants of proofs and statements that know what a proof is made of, so that every class of
/// bytes has its share, in every mode. None is accepted.
@Suite(.serialized) struct MutantTests {
  /// A run and what may be taken from elsewhere: proofs of another context, and of other inputs.
  private struct Target: Sendable {
    let name: String
    let run: KeyedRun
    let proof: [UInt8]
    let parts: [String: [Range<Int>]]
    let donors: [[UInt8]]
    let key: [UInt8]

    init(_ name: String, _ key: ProverKey, _ seed: UInt64) throws {
      self.name = name
      run = try KeyedRun(key, seed: seed)
      proof = try run.prove()
      let map = try ProofMap(key, length: proof.count)
      parts = Dictionary(grouping: map.parts, by: \.kind.rawValue).mapValues { $0.map(\.range) }
      var stranger = run
      stranger.instances = run.instances.map {
        Instance(inputs: $0.inputs, outputs: $0.outputs, context: [9])
      }
      donors = try [stranger.prove(), KeyedRun(key, seed: seed + 1).prove()]
      self.key = try key.verifierKey().canonicalBytes
      #expect(run.refusal(proof) == nil)
    }
  }

  private static func targets() throws -> [Target] {
    var targets = try ModeTests.options.map {
      try Target("network \($0)", ProverKey(ModeTests.network(), KeyOptions(text: $0)), 1)
    }
    let zoo = try SmallProgram.zoo()
    targets.append(
      try Target("zoo limbs", ProverKey(program: zoo, mode: .commit(WitnessTests.limbs)), 2))
    guard LongRun.isEnabled else { return targets }
    targets.append(
      try Target("zoo tables", ProverKey(program: zoo, mode: .commit(WitnessTests.tables)), 2))
    for options in ["mode=clear", "mode=commit", "weights=committed"] {
      targets.append(
        try Target(
          "lenet \(options)", ProverKey(SmallProgram.lenet(), KeyOptions(text: options)), 1))
    }
    return targets
  }

  @Test func acceptsNoMutant() throws {
    let targets = try Self.targets()
    let total = LongRun.mutants ?? 140
    let workers = LongRun.isEnabled ? 2 : 1
    let results = (0..<workers).map { _ in Tally() }
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for (index, target) in targets.enumerated() {
        var mutation = Mutation(seed: UInt64(1000 * worker + index))
        for _ in 0..<total / workers / targets.count {
          results[worker].count(mutation.next(target))
        }
      }
    }
    let tried = results.reduce(into: [:]) { $0.merge($1.tried, uniquingKeysWith: +) }
    let accepted = results.flatMap(\.accepted)
    #expect(accepted.isEmpty)
    #expect(tried.count > 15)
    guard LongRun.isEnabled else { return }
    print("mutants tried, none of which may be accepted; accepted: \(accepted.count)")
    for (kind, count) in tried.sorted(by: { $0.key < $1.key }) { print("  \(kind): \(count)") }
    print("  in all: \(tried.values.reduce(0, +))")
  }

  /// One worker's own.
  private final class Tally: @unchecked Sendable {
    // Written by one worker, read after all have ended.
    private(set) var tried: [String: Int] = [:]
    private(set) var accepted: [String] = []

    func count(_ outcome: (kind: String, isAccepted: Bool)?) {
      guard let outcome else { return }
      tried[outcome.kind, default: 0] += 1
      if outcome.isAccepted { accepted.append(outcome.kind) }
    }
  }

  private struct Mutation {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

    /// Nil where the draw changed nothing.
    mutating func next(_ target: Target) -> (kind: String, isAccepted: Bool)? {
      switch pick(10) {
      case 0: return statement(target)
      case 1 where pick(20) == 0: return key(target)
      default: return proof(target)
      }
    }

    private mutating func proof(_ target: Target) -> (kind: String, isAccepted: Bool)? {
      var bytes = target.proof
      if pick(100) == 0 {
        let place = pick(bytes.count)
        switch pick(4) {
        case 0: bytes.removeSubrange(place..<min(place + [1, 8, 16, 32][pick(4)], bytes.count))
        case 1:
          bytes.insert(
            contentsOf: [UInt8](repeating: 0, count: [1, 8, 16, 32][pick(4)]), at: place)
        case 2: bytes = target.donors[pick(2)]
        default: bytes += target.donors[pick(2)]
        }
        return ("proof length", target.run.refusal(bytes) == nil)
      }
      let kinds = target.parts.keys.sorted()
      let kind = kinds[pick(kinds.count)]
      let parts = target.parts[kind] ?? []
      let range = parts[pick(parts.count)]
      let word = range.lowerBound + 8 * pick(max(range.count / 8, 1))
      let words = word..<min(word + 8, range.upperBound)
      switch pick(7) {
      case 0, 1: bytes[range.lowerBound + pick(range.count)] ^= 1 << UInt8(pick(8))
      case 2: bytes[range.lowerBound + pick(range.count)] = UInt8(pick(256))
      case 3:
        // Another element, near or far.
        var value = bytes[words].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        switch pick(4) {
        case 0: value &+= 1
        case 1: value &-= 1
        case 2: value = Goldilocks.modulus &- value
        default: value = generator.next() % Goldilocks.modulus
        }
        for place in words {
          bytes[place] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (place - word)))
        }
      case 4:
        for place in words { bytes[place] = 0 }
      case 5:
        // Two of a kind exchanged.
        let other = parts[pick(parts.count)]
        guard other.count == range.count else { return nil }
        bytes.replaceSubrange(range, with: target.proof[other])
        bytes.replaceSubrange(other, with: target.proof[range])
      default:
        let donor = target.donors[pick(2)]
        guard donor.count >= range.upperBound else { return nil }
        bytes.replaceSubrange(range, with: donor[range])
      }
      guard bytes != target.proof else { return nil }
      return (kind, target.run.refusal(bytes) == nil)
    }

    private mutating func statement(_ target: Target) -> (kind: String, isAccepted: Bool)? {
      let index = pick(target.run.instances.count)
      func changed(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let place = pick(bytes.count)
        bytes[place] = pick(2) == 0 ? bytes[place] ^ 1 << UInt8(pick(8)) : UInt8(pick(256))
        return bytes
      }
      let own = target.run.instances[index]
      var (inputs, outputs, context) = (own.inputs, own.outputs, own.context)
      let kind: String
      switch pick(4) {
      case 0:
        kind = "context"
        context = changed(context)
      case 1:
        kind = "input"
        let place = pick(inputs.count)
        inputs[place] = changed(inputs[place])
      case 2:
        kind = "output"
        let place = pick(outputs.count)
        outputs[place] = changed(outputs[place])
      default:
        guard target.run.instances.count > 1 else { return nil }
        var other = target.run
        other.instances.swapAt(index, pick(other.instances.count))
        guard !zip(other.instances, target.run.instances).allSatisfy({ $0.context == $1.context })
        else { return nil }
        return ("order of instances", other.refusal(target.proof) == nil)
      }
      guard (inputs, outputs) != (own.inputs, own.outputs) || context != own.context else {
        return nil
      }
      var other = target.run
      other.instances[index] = Instance(inputs: inputs, outputs: outputs, context: context)
      return (kind, other.refusal(target.proof) == nil)
    }

    private mutating func key(_ target: Target) -> (kind: String, isAccepted: Bool)? {
      var bytes = target.key
      bytes[pick(bytes.count)] ^= 1 << UInt8(pick(8))
      guard let key = try? VerifierKey(canonicalBytes: bytes), let verifier = try? Verifier(key)
      else { return ("key, not decoded", false) }
      var other = target.run
      other.verifier = verifier
      return ("key", other.refusal(target.proof) == nil)
    }
  }
}
