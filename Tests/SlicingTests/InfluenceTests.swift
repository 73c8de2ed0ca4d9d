import FixedPoint
import ModelGraph
import Quantization
import Slicing
import Statements
import Testing

@Suite struct InfluenceTests {
  private func measured(
    _ name: String, count: Int, samples: Int
  ) async throws -> [Influence] {
    let sample = try Sample(name, calibrated: 4)
    let model = try SlicedModel(
      name: name, quantizer: sample.quantizer, rules: SlicingRules(count: count))
    let inputs = try (0..<samples).map {
      [try BoundaryValues.bytes(sample.vectors.inputs[$0], as: model.manifest.inputs[0])]
    }
    let influences = try await InfluenceMeasurement(model).run(inputs)
    let renewed = try model.with(influences)
    #expect(renewed.manifest.slices.map(\.influence) == influences)
    #expect(renewed.manifest.id != model.manifest.id)
    return influences
  }

  @Test func everyoneMeasuresTheSame() async throws {
    let influences = try await measured("digits_mlp", count: 3, samples: 40)
    #expect(influences.allSatisfy { $0.trials == 32 && $0.flips <= 32 })
    // Changes here are changes of every model's id: they need another version of the manifest.
    #expect(influences.map(\.flips) == [0, 0, 3])
    #expect(try await measured("digits_mlp", count: 3, samples: 40) == influences)
  }

  @Test func noiseIsThatOfTheSpecification() {
    #expect(
      InfluenceMeasurement.perturbed([0, 1, 0, 0xff, 0xff, 0x7f], seed: 1 << 32)
        == [22, 19, 207, 231, 255, 127])
    // A tensor of nothing but zeros moves by one at most.
    let zeros = InfluenceMeasurement.perturbed([UInt8](repeating: 0, count: 64), seed: 7)
    for element in stride(from: 0, to: 64, by: 2) {
      #expect([[0, 0], [1, 0], [0xff, 0xff]].contains(Array(zeros[element...element + 1])))
    }
  }

  @Test func samplesThatTheModelCannotAnswerDoNotCount() async throws {
    let sample = try Sample("digits_mlp", calibrated: 4)
    let model = try SlicedModel(
      name: "mlp", quantizer: sample.quantizer, rules: SlicingRules(count: 2))
    let good = [try BoundaryValues.bytes(sample.vectors.inputs[0], as: model.manifest.inputs[0])]
    let influences = try await InfluenceMeasurement(model).run([[[1, 2, 3]], good])
    #expect(influences.map(\.trials) == [1, 1])
  }
}
