import FixedPoint
import Primitives
import Statements

/// A drawing of how a model's slices hang together: the request at the top, the answer at the
/// bottom. `text` is for terminals, `svg` for pages.
package struct SliceDiagram: Sendable {
  /// A tensor that slices hand on: drawn once, however many read it.
  struct Tensor {
    let shape: [Int]
    /// Index into the boxes.
    let giver: Int
    let readers: [Int]

    var label: String { shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "×") }
  }

  enum Box {
    case input(String)
    case slice(name: String, nodes: String, criticality: Criticality)
    case answer
  }

  let title: String
  let subtitle: String
  /// Inputs, then slices in order, then the answer: each after all it reads.
  let boxes: [Box]
  let tensors: [Tensor]

  package init(_ model: SlicedModel) throws(SlicingError) {
    let manifest = model.manifest
    title = manifest.name
    subtitle =
      "\(manifest.slices.count) slice\(manifest.slices.count == 1 ? "" : "s"), \(manifest.totalCost) cost units"
    var boxes: [Box] = manifest.inputs.map { .input($0.name) }
    let criticalities = manifest.criticalities
    for (index, slice) in manifest.slices.enumerated() {
      let names = try model.program(of: index).operations.map(\.name)
      let (first, last) = (names.first ?? "", names.last ?? "")
      boxes.append(
        .slice(
          name: slice.name, nodes: first == last ? first : "\(first) … \(last)",
          criticality: criticalities[index]))
    }
    boxes.append(.answer)
    self.boxes = boxes

    let first = manifest.inputs.count
    var readers: [Manifest.Source: [Int]] = [:]
    for (index, slice) in manifest.slices.enumerated() {
      for source in slice.sources where readers[source]?.last != first + index {
        readers[source, default: []].append(first + index)
      }
    }
    for source in manifest.outputs where readers[source]?.last != boxes.count - 1 {
      readers[source, default: []].append(boxes.count - 1)
    }
    let sources =
      manifest.inputs.indices.map { Manifest.Source.input($0) }
      + manifest.slices.indices.flatMap { slice in
        manifest.slices[slice].outputs.indices.map { Manifest.Source.slice(slice, output: $0) }
      }
    tensors = sources.map { source in
      let giver =
        switch source {
        case .input(let index): index
        case .slice(let slice, _): first + slice
        }
      return Tensor(
        shape: manifest.specification(of: source).shape, giver: giver,
        readers: readers[source] ?? [])
    }
  }

  /// Parts per million as "41.2 %".
  static func percent(_ share: PartsPerMillion) -> String {
    let tenths = (share.parts + 500) / 1000
    return "\(tenths / 10).\(tenths % 10) %"
  }
}
