import FixedPoint
import Quantization
import Testing

@testable import Sumcheck

@Suite struct RoundTripTests {
  @Test(arguments: ["digits_mlp", "digits_lenet5"])
  func provesAndVerifiesASampleModel(name: String) throws {
    let (quantizer, vectors) = try SampleModel.quantizer(name)
    let program = try quantizer.program()
    let input = try BoundaryValues.bytes(vectors.inputs[0], as: program.inputs[0])
    let run = try Run(program, inputs: [input])
    let proof = run.prove()
    print(name, "proof", proof.count, "vector", run.circuit.vectorLog, run.circuit.leafCount)
    try run.verify(proof)
    #expect(run.prove(threads: 2) == proof)
  }
}
