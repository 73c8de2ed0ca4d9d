import FixedPoint

/// An equation between a value and linear functionals of tensors, still to be shown. What sumchecks
/// and lookups leave behind; all claims are settled at once by the opening.
struct Claim: Sendable {
  var terms: [(wire: Wire, functional: Functional)]
  let value: Extension
}

/// A tensor that the verifier holds.
enum PublicTensor: Sendable {
  case input(Int)
  case output(Int)
  case constant([Int16])
}

extension Circuit {
  /// The form's extension at a point of its block has this value.
  func claim(
    _ form: LinearForm, at point: ArraySlice<Extension>, is value: Extension
  ) -> Claim {
    let whole = Functional(shape: form.shape, at: point)
    return Claim(
      terms: form.terms.map { term in
        (
          term.wire,
          whole.scaled(by: term.scale).pulledBack(through: term.view, to: shape(of: term.wire))
        )
      }, value: value - form.constant(at: point))
  }

  /// The claim's terms by where their tensors are: derived tensors are followed to their sources.
  func resolve(
    _ claim: Claim
  ) -> (columns: [(column: Int, functional: Functional)], public: [(PublicTensor, Functional)]) {
    var columns: [(column: Int, functional: Functional)] = []
    var known: [(PublicTensor, Functional)] = []
    var pending = claim.terms
    while let (wire, functional) = pending.popLast() {
      switch wire {
      case .column(let column): columns.append((column, functional))
      case .output(let output): known.append((.output(output), functional))
      case .one: known.append((.constant([1]), functional))
      case .tensor(let tensor):
        switch sources[tensor] {
        case .column(let column): columns.append((column, functional))
        case .input(let input): known.append((.input(input), functional))
        case .output(let output): known.append((.output(output), functional))
        case .constant(let values):
          known.append((.constant(values), summedOverBatch(functional, constant: tensor)))
        case .derived(let form):
          for term in form.terms {
            pending.append(
              (
                term.wire,
                functional.scaled(by: term.scale)
                  .pulledBack(through: term.view, to: shape(of: term.wire))
              ))
          }
        }
      }
    }
    return (columns, known)
  }

  /// A constant is the same for every inference of a batch.
  private func summedOverBatch(_ functional: Functional, constant tensor: Int) -> Functional {
    guard batch > 1 else { return functional }
    let shape = program.tensors[tensor].shape
    let maps = shape.enumerated().map { AxisMap.identity(axis: $0, size: $1) }
    return functional.pulledBack(through: .axes([.repeated(batch)] + maps), to: shape)
  }

  /// The first coordinates of a column's block within the committed vector, as an index.
  func prefix(ofColumn column: Int) -> (index: Int, length: Int) {
    let log = columns[column].layout.log
    return (columns[column].offset >> log, vectorLog - log)
  }
}

extension Scale {
  /// The extension of the integers at a point of the shape's block, where they go on over the
  /// padding of all axes but their own, whose padding is 0.
  func value(at point: ArraySlice<Extension>, shape: [Int]) -> Extension {
    switch self {
    case .uniform(let value): return Extension(value)
    case .along(let axis, let values):
      let coordinates = Layout(shape).split(point)[axis]
      let weights = Multilinear.equality(Array(coordinates), count: values.count)
      return zip(weights, values).reduce(.zero) { $0 + $1.0 * Goldilocks($1.1) }
    }
  }
}
