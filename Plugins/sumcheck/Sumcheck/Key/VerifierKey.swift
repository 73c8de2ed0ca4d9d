package import FixedPoint
package import Primitives

/// All that a verifier must know of a slice: its program, weights included or as a root, and how
/// its proofs are made. Circuits follow from it.
package struct VerifierKey: Hashable, Sendable, CanonicalCodable {
  package static let version: UInt8 = 1

  /// Where weights are committed they are 0 here.
  package let program: Program
  package let mode: Mode
  /// Inferences of one proof.
  package let batch: Int
  /// The Merkle root of the weights' matrix, exactly where they are committed.
  let weightRoot: [UInt8]?

  init(program: Program, mode: Mode, batch: Int = 1, weightRoot: [UInt8]? = nil) {
    self.program = weightRoot == nil ? program : program.withoutWeights
    (self.mode, self.batch, self.weightRoot) = (mode, batch, weightRoot)
  }

  /// Hashed into every transcript.
  var digest: [UInt8] { Blake3.hash(canonicalBytes).hash }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(Self.version)
    encoder.append(mode)
    encoder.append(UInt16(batch))
    if let weightRoot {
      encoder.append(fixed: weightRoot)
      encoder.append(ProgramSkeleton(program))
    } else {
      encoder.append(program)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    (mode, batch) = try decoder.keyHead()
    if case .commit(let parameters) = mode, parameters.commitsWeights {
      weightRoot = try decoder.fixed(count: 32)
      program = try decoder.record(ProgramSkeleton.self).program
    } else {
      weightRoot = nil
      program = try decoder.record()
    }
  }
}

/// All that a prover must know of a slice. Without committed weights it is the verifier key.
package struct ProverKey: Hashable, Sendable, CanonicalCodable {
  package let program: Program
  package let mode: Mode
  package let batch: Int

  package init(program: Program, mode: Mode, batch: Int = 1) {
    (self.program, self.mode, self.batch) = (program, mode, batch)
  }

  /// Chooses what the options leave open by cost, and the clear mode only for programs that have
  /// weighted sums: without one its proofs would be nothing, and verifying them running the program
  /// again. Throws, naming the operation, where no mode that they allow can prove the program.
  package init(_ program: Program, _ options: KeyOptions = KeyOptions()) throws(CircuitError) {
    let isCommitted = options.weights == .committed
    var clear: ClearCircuit?
    if options.mode != .commit, !isCommitted {
      do {
        clear = try ClearCircuit(program, batch: options.batch)
      } catch {
        guard options.mode == .auto else { throw error }
      }
      if options.mode == .auto, clear?.sums.isEmpty ?? false { clear = nil }
    }
    let mode: Mode
    if options.mode == .clear {
      mode = .clear
    } else {
      do {
        let (parameters, cost) = try Parameters.cheapest(
          for: program, batch: options.batch, commitsWeights: isCommitted)
        mode = clear.map { $0.cost <= cost } ?? false ? .clear : .commit(parameters)
      } catch {
        guard clear != nil else { throw error }
        mode = .clear
      }
    }
    self.init(program: program, mode: mode, batch: options.batch)
  }

  package func verifierKey() throws(CircuitError) -> VerifierKey {
    var weightRoot: [UInt8]?
    if case .commit(let parameters) = mode, parameters.commitsWeights {
      let circuit = try Circuit(program, parameters, batch: batch)
      let matrix = Parallel.unsupervised(threads: 1) { parallel throws(Cancelled) in
        try EncodedMatrix(weightsOf: circuit, parallel)
      }
      guard let matrix else {
        throw CircuitError(node: "program", reason: "it has no weights to commit to")
      }
      weightRoot = matrix.root
    }
    return VerifierKey(program: program, mode: mode, batch: batch, weightRoot: weightRoot)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(VerifierKey.version)
    encoder.append(mode)
    encoder.append(UInt16(batch))
    encoder.append(program)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    (mode, batch) = try decoder.keyHead()
    program = try decoder.record()
  }
}

extension CanonicalDecoder {
  /// What both keys begin with.
  fileprivate mutating func keyHead() throws(CanonicalError) -> (mode: Mode, batch: Int) {
    let start = offset
    guard try integer(UInt8.self) == VerifierKey.version else {
      throw failure(.invalid("the key is of another version of sumcheck"), at: start)
    }
    let mode: Mode = try record()
    let batch = Int(try integer(UInt16.self))
    guard (1...KeyOptions.batchLimit).contains(batch) else {
      throw failure(
        .invalid("a batch of \(batch) is outside 1...\(KeyOptions.batchLimit)"), at: start)
    }
    return (mode, batch)
  }
}
