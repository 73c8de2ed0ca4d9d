import CSumcheckKernels
import FixedPoint
import Testing

@testable import Sumcheck

/// The same statement and witness give the same bytes, on every number of threads and every path of
/// the kernels.
@Suite(.serialized) struct DeterminismTests {
  @Test(arguments: ["mode=clear batch=3", "mode=commit", "weights=committed batch=2"])
  func threadsChangeNoByte(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    let proof = try run.prove()
    for threads in 1...3 {
      #expect(
        try Prover(run.key, threads: threads).prove(run.instances, tensors: run.tensors) == proof)
    }
  }

  /// The path is the process's; other suites may run meanwhile, and must not notice.
  @Test func pathsChangeNoByte() throws {
    let best = sumcheck_path_selected()
    defer { sumcheck_path_select(best) }
    var programs = try [SmallProgram.zoo(), SmallProgram.lenet()]
    programs += try (0..<2).map { try RandomProgram.run(seed: 77 + $0).program }
    for program in programs {
      for options in ["mode=commit", "mode=clear"] {
        guard let run = try? KeyedRun(program, options) else { continue }
        var proofs: [[UInt8]] = []
        for path in [SUMCHECK_PORTABLE, SUMCHECK_AVX2] where sumcheck_path_select(path) {
          proofs.append(try run.prove())
          proofs.append(
            try Prover(run.key, threads: 3).prove(run.instances, tensors: run.tensors))
        }
        #expect(Set(proofs).count == 1)
        #expect(run.refusal(proofs[0]) == nil)
      }
    }
  }
}
