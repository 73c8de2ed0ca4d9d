import FixedPoint
import Statements
import Testing

@testable import Sumcheck

extension KeyOptions {
  /// From words `name=value`.
  init(text: String) throws {
    let words = text.split(separator: " ").map { $0.split(separator: "=").map(String.init) }
    try self.init(Dictionary(uniqueKeysWithValues: words.map { ($0[0], $0.last ?? "") }))
  }
}

/// Runs of a program under a key of any mode, with what proves and checks them.
struct KeyedRun {
  let key: ProverKey
  let prover: Prover
  var verifier: Verifier
  var instances: [Instance]
  var tensors: [[Int16]]

  init(_ program: Program, _ options: String, seed: UInt64 = 1) throws {
    try self.init(ProverKey(program, KeyOptions(text: options)), seed: seed)
  }

  init(_ key: ProverKey, seed: UInt64 = 1) throws {
    var generator = SeededGenerator(seed: seed)
    try self.init(
      key,
      inputs: (0..<key.batch).map { _ in
        key.program.inputs.map { input in
          Run.bytes(
            (0..<input.elementCount).map { _ in Int16.random(in: -300...300, using: &generator) })
        }
      })
  }

  init(_ key: ProverKey, inputs: [[[UInt8]]]) throws {
    self.key = key
    prover = try Prover(key, threads: 1)
    verifier = try Verifier(key.verifierKey())
    let run = try prover.run(inputs)
    tensors = run.tensors
    instances = inputs.indices.map {
      Instance(
        inputs: inputs[$0], outputs: run.outputs[$0],
        context: [UInt8](repeating: UInt8($0), count: 32))
    }
  }

  func prove() throws -> [UInt8] { try prover.prove(instances, tensors: tensors) }

  /// The error with which a proof is refused, nil where it is accepted.
  func refusal(_ proof: [UInt8]) -> VerificationError? {
    do throws(VerificationError) {
      try verifier.verify(instances, proof: proof)
      return nil
    } catch {
      return error
    }
  }

  /// Of a statement with the instance changed.
  func refusal(
    _ proof: [UInt8], changing index: Int,
    _ change: (inout [[UInt8]], inout [[UInt8]], inout [UInt8])
      -> Void
  ) -> VerificationError? {
    var other = self
    var (inputs, outputs, context) = (
      instances[index].inputs, instances[index].outputs, instances[index].context
    )
    change(&inputs, &outputs, &context)
    other.instances[index] = Instance(inputs: inputs, outputs: outputs, context: context)
    return other.refusal(proof)
  }
}
