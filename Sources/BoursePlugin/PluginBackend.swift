package import CBourseProver
package import FixedPoint

/// A `fixed16/1` backend in Swift: what such a plugin has to write. `PluginEntry` stands before it
/// and speaks C.
package protocol PluginBackend {
  static var description: BackendDescription { get }
  /// The keys that `compile` knows; others are refused before it is called.
  static var optionKeys: [String] { get }

  /// One line "operator: reason" for each thing that cannot be proven; none where all can.
  static func obstacles(to program: Program) -> [String]
  /// Without compiling.
  static func estimate(_ program: Program) throws(Refusal) -> Estimate
  static func compile(_ program: Program, options: [String: String]) throws(Refusal) -> Keys
  /// Loads a prover key once, for many calls that keep at most `threads` threads busy. The key is
  /// hostile.
  static func openProver(key: [UInt8], threads: Int) throws(Refusal) -> any ProvingSession
  /// Loads a verifier key once, for many calls. The key is hostile.
  static func openVerifier(key: [UInt8], threads: Int) throws(Refusal) -> any VerifyingSession
}

/// Executes and proves inferences of one slice. Calls do not overlap.
package protocol ProvingSession {
  /// Runs the slice's program.
  var executor: Executor { get }

  /// One proof for all of the inferences, each bound to its own context.
  func prove(_ inferences: [Inference], _ call: Call) throws(Refusal) -> [UInt8]
}

/// Judges proofs about one slice. Calls do not overlap.
package protocol VerifyingSession {
  var program: Program { get }

  /// All arguments are hostile.
  func verify(_ inferences: [Inference], proof: [UInt8]) throws(Refusal) -> Verdict
}

/// What a backend says of itself.
package struct BackendDescription {
  /// BOURSE_BINDS_CONTEXT and the others that the header lists.
  let flags: UInt32
  let id: StaticString
  let version: StaticString
  /// One sentence.
  let summary: StaticString

  package init(flags: UInt32, id: StaticString, version: StaticString, summary: StaticString) {
    (self.flags, self.id, self.version, self.summary) = (flags, id, version, summary)
  }
}

/// A guess at what proving a slice costs; zero where it is unknown.
package struct Estimate {
  let costUnits: Int
  let peakMemoryBytes: Int
  let proofBytes: Int

  package init(costUnits: Int, peakMemoryBytes: Int, proofBytes: Int) {
    self.costUnits = costUnits
    self.peakMemoryBytes = peakMemoryBytes
    self.proofBytes = proofBytes
  }
}

/// What `compile` makes. The verifier key is published, and fixes the slice.
package struct Keys {
  let prover: [UInt8]
  let verifier: [UInt8]
  let options: [(key: String, value: String)]

  /// - Parameter options: Those in effect, with what the backend chose itself.
  package init(
    prover: [UInt8], verifier: [UInt8], options: [(key: String, value: String)] = []
  ) {
    (self.prover, self.verifier, self.options) = (prover, verifier, options)
  }
}

/// The tensors of one inference as raw bytes, and the 32 bytes that bind its proof to one purpose.
package struct Inference {
  package let inputs: [[UInt8]]
  package let outputs: [[UInt8]]
  package let context: [UInt8]
}

package enum Verdict {
  case valid
  /// It must hold for anyone who verifies again; the sentence says why.
  case invalid(String)
}

/// Why a call gives no result: a status other than BOURSE_OK, and one sentence.
package struct Refusal: Error {
  package let status: bourse_status
  package let sentence: String

  package init(_ status: bourse_status, _ sentence: String) {
    (self.status, self.sentence) = (status, sentence)
  }

  package init(_ error: ExecutionError) {
    switch error {
    case .rangeFault: status = BOURSE_RANGE_FAULT
    case .cancelled: status = BOURSE_CANCELLED
    case .inputCount, .byteCount: status = BOURSE_MALFORMED
    }
    sentence = error.sentence
  }
}

/// A running call, for work that takes longer than a few milliseconds.
package struct Call {
  let pointer: UnsafePointer<bourse_call>

  /// Tells how much of the phase is done, 0 to 1.
  package func progress(_ phase: String, _ fraction: Double) {
    phase.withCString { pointer.pointee.progress(pointer, $0, fraction) }
  }

  /// Whether nobody wants the result any more, for any thread to ask while the call lasts.
  package var isCancelled: @Sendable () -> Bool {
    // The host's services are for all threads.
    nonisolated(unsafe) let pointer = pointer
    return { pointer.pointee.is_cancelled(pointer) != 0 }
  }

  func diagnose(_ sentence: String) {
    sentence.withCString { pointer.pointee.diagnose(pointer, $0) }
  }
}
