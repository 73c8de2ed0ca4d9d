import FixedPoint
import Foundation
import ModelGraph
import Quantization
import Slicing
import Statements

@testable import Sumcheck

/// One run of a program, with what proves and checks it.
struct Run {
  let circuit: Circuit
  let tensors: [[Int16]]
  let inputs: [[UInt8]]
  let outputs: [[UInt8]]
  let context = [UInt8](repeating: 7, count: 32)

  init(
    _ program: Program, inputs: [[UInt8]],
    _ parameters: Parameters = Parameters(limbBits: 8, messageLog: 8, rateLog: 1)
  ) throws {
    circuit = try Circuit(program, parameters)
    self.inputs = inputs
    outputs = try Executor(program: program).run(inputs)
    tensors = try Self.tensors(of: circuit.program, inputs)
  }

  /// Every tensor of a run, by a program that gives them all.
  static func tensors(of program: Program, _ inputs: [[UInt8]]) throws -> [[Int16]] {
    let whole = try Program(
      inputs: program.inputs, operations: program.operations,
      outputTensors: Array(program.tensors.indices),
      outputs: program.tensors.map {
        BoundarySpecification(
          name: "t", elementType: .int16, shape: $0.shape, exponent: $0.exponent)!
      })
    return try Executor(program: whole).run(inputs).map { bytes in
      bytes.withUnsafeBytes { buffer in
        (0..<bytes.count / 2).map {
          Int16(littleEndian: buffer.loadUnaligned(fromByteOffset: 2 * $0, as: Int16.self))
        }
      }
    }
  }

  func prove(threads: Int = 1) -> [UInt8] {
    Prover(circuit, threads: threads).prove(
      tensors: tensors, inputs: inputs, outputs: outputs, context: context)
  }

  func verify(_ proof: [UInt8]) throws {
    try Verifier(circuit).verify(
      inputs: inputs, outputs: outputs, context: context, proof: proof)
  }
}

enum SampleModel {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Models")

  static func quantizer(_ name: String) throws -> (Quantizer, SampleVectors) {
    let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent("\(name).onnx")))
    let graph = try Graph(bytes: bytes).simplified()
    let vectors = try SampleVectors(
      path: folder.appendingPathComponent("\(name).vectors.json").path)
    return (
      try Quantizer(graph, calibration: Calibration(graph, samples: vectors.samples(0..<4))),
      vectors
    )
  }
}
