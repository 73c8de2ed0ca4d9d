import FixedPoint
import ModelGraph
import Primitives
import Quantization
import SwiftProtobuf
import Testing

/// Every operator as integers, against the float evaluator.
@Suite struct LoweringTests {
  /// `tolerance` is in units of the result's last place: half a unit is what rounding costs.
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let model: @Sendable () -> OneNode
    let tolerance: Double

    init(_ name: String, _ tolerance: Double, _ model: @escaping @Sendable () -> OneNode) {
      (self.name, self.tolerance, self.model) = (name, tolerance, model)
    }

    var testDescription: String { name }
  }

  static let movements = [
    Case("Transpose", 0) { OneNode("Transpose", [integers("perm", [2, 0, 1])]).input([2, 3, 4]) },
    Case("Slice backwards", 0) {
      OneNode("Slice").input([4, 5]).integers([3, 0]).integers([-9, 4]).integers([0, 1])
        .integers([-2, 3])
    },
    Case("Pad constant", 0.5) {
      OneNode("Pad").input([2, 3]).integers([1, 0, 0, 2]).constant([], [9])
    },
    Case("Pad edge", 0) {
      OneNode("Pad", [text("mode", "edge")]).input([2, 3]).integers([1, 2, 0, 2])
    },
    Case("Pad reflect", 0) {
      OneNode("Pad", [text("mode", "reflect")]).input([3, 3]).integers([1, 2, 0, 2])
    },
    Case("Gather rows", 0) { OneNode("Gather").input([4, 3]).integers([2, 0, 2, -1]) },
    Case("Expand", 0) { OneNode("Expand").input([3, 1]).integers([2, 1, 4]) },
    Case("Squeeze", 0) { OneNode("Squeeze").input([3, 1, 2]).integers([1]) },
    Case("Unsqueeze", 0) { OneNode("Unsqueeze").input([3, 2]).integers([0, 3]) },
    Case("Upsample", 0) {
      OneNode("Upsample").opset(9).input([1, 2, 3, 3]).constant([4], [1, 1, 2, 3])
    },
    Case("Resize", 0) {
      OneNode("Resize", [text("mode", "nearest")]).input([1, 2, 4, 4]).omitted()
        .constant([4], [1, 1, 1.5, 0.5])
    },
    Case("Concat", 0.5) {
      OneNode("Concat", [integer("axis", 1)]).input([2, 3]).input([2, 1], -0.1...0.1)
        .constant([2, 2], [1, 2, 3, -4])
    },
    Case("Concat of many", 0) {
      (0..<20).reduce(OneNode("Concat", [integer("axis", 0)])) { model, _ in
        model.input([2, 3])
      }
    },
  ]

  @Test(arguments: movements) func equalsTheFloatModel(_ example: Case) throws {
    let model = example.model()
    let error = try largestError(of: model.graph(), model.inputs.map(\.range))
    #expect(error <= example.tolerance)
  }
}
