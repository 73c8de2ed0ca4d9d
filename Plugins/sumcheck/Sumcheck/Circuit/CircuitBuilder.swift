import FixedPoint
import Statements

/// Compiles a program, operation by operation; `Relations` holds one file for each kind.
struct CircuitBuilder {
  /// A product check has one factor per cell of a pooling window.
  static let windowLimit = 8

  let program: Program
  let limbBits: Int
  private let commitsWeights: Bool
  var sources: [Circuit.Source] = []
  var columns: [Circuit.Column] = []
  var lookups: [Circuit.Lookup] = []
  var accumulators: [Circuit.Accumulator] = []
  var checks: [Circuit.ProductCheck] = []
  var links: [LinearForm] = []
  var functions: [FunctionRows] = []
  private(set) var extent = CircuitExtent()
  /// Tensors that an activation's table bounds, so that their producer need not.
  private let boundedByReader: Set<Int>

  init(_ program: Program, _ parameters: Parameters) {
    self.program = program
    limbBits = parameters.limbBits
    commitsWeights = parameters.commitsWeights
    var bounded: Set<Int> = []
    for operation in program.operations {
      switch operation.operator {
      case .relu, .function: bounded.insert(operation.inputs[0])
      default: break
      }
    }
    boundedByReader = bounded
  }

  func shape(_ tensor: Int) -> [Int] { program.tensors[tensor].shape }

  mutating func compile() throws(CircuitError) {
    for input in program.inputs.indices {
      sources.append(.input(input))
      guard program.inputs[input].elementCount <= Self.sizeLimit else {
        throw CircuitError(node: program.inputs[input].name, reason: Obstacle.tooLarge.reason)
      }
    }
    for (index, operation) in program.operations.enumerated() {
      let tensor = program.inputs.count + index
      do throws(Obstacle) {
        try extent.reserve(operation.operator, giving: shape(tensor))
        switch operation.operator {
        case .constant(let constant): sources.append(.constant(constant.values))
        case .reshape: derive(tensor, reshape(operation.inputs[0], to: shape(tensor)))
        case .arrangement(let arrangement):
          derive(tensor, arrange(arrangement, operation.inputs[0]))
        case .concatenation(let concatenation):
          derive(tensor, concatenate(operation.inputs, axis: concatenation.axis, into: tensor))
        case .rescale(let rescaling):
          define(tensor)
          try relate(tensor, rescaling, operation.inputs[0])
        case .multiply(let multiplication):
          define(tensor)
          relate(tensor, multiplication, operation.inputs)
        case .function(let function):
          define(tensor)
          try relate(tensor, function, operation.inputs[0])
        case .convolution, .matrixProduct:
          define(tensor)
          let sum = WeightedSum(
            operation, source: shape(operation.inputs[0]), result: shape(tensor))
          if let sum { try relate(tensor, sum) }
        case .relu:
          define(tensor)
          relateRelu(tensor, operation.inputs[0])
        case .maxPool(let pool):
          define(tensor)
          try relate(tensor, pool, operation.inputs[0])
        case .averagePool(let pool):
          define(tensor)
          relate(tensor, pool, operation.inputs[0])
        case .add(let addition):
          define(tensor)
          relate(tensor, addition, operation.inputs)
        case .divide: throw Obstacle(reason: "a division of two tensors")
        case .extremum: throw Obstacle(reason: "a maximum or minimum of two tensors")
        case .reduce: throw Obstacle(reason: "a reduction over axes")
        case .tensorProduct: throw Obstacle(reason: "a product of two computed matrices")
        case .softmax: throw Obstacle(reason: "a softmax")
        case .normalize: throw Obstacle(reason: "a normalisation by computed moments")
        case .lookup: throw Obstacle(reason: "a look-up by computed indices")
        }
        try extent.count(columns, lookups, functions: functions.count)
      } catch {
        throw CircuitError(node: operation.name, reason: error.reason)
      }
    }
    for (output, tensor) in program.outputTensors.enumerated() { link(output, tensor) }
  }

  /// Why an operation cannot be compiled; the builder adds its name.
  struct Obstacle: Error { let reason: String }

  /// The tensor is an output, and then public, or a committed column.
  private mutating func define(_ tensor: Int) {
    if let output = program.outputTensors.firstIndex(of: tensor) {
      sources.append(.output(output))
    } else {
      sources.append(.column(addColumn(.tensor(tensor), shape: shape(tensor))))
    }
  }

  private mutating func derive(_ tensor: Int, _ form: LinearForm) { sources.append(.derived(form)) }

  /// An output that is not where its tensor is read from must equal it.
  private mutating func link(_ output: Int, _ tensor: Int) {
    if case .output(output) = sources[tensor] { return }
    links.append(
      LinearForm(
        shape: shape(tensor),
        [.init(.output(output)), .init(.tensor(tensor), scale: .uniform(-1))]))
  }

  mutating func addColumn(_ content: Circuit.Column.Content, shape: [Int]) -> Int {
    columns.append(Circuit.Column(content: content, layout: Layout(shape)))
    return columns.count - 1
  }

  /// Columns of weights, which the key commits to and not the proof.
  var weightColumns: [Int] {
    columns.indices.filter {
      if case .weights = columns[$0].content { true } else { false }
    }
  }

  /// A sum's accumulator; its weights are a column where they are committed.
  mutating func addAccumulator(_ sum: WeightedSum) -> Int {
    var sum = sum
    if commitsWeights {
      sum.column = addColumn(.weights(accumulator: accumulators.count), shape: sum.weightShape)
    }
    accumulators.append(.weighted(sum))
    return accumulators.count - 1
  }

  /// Whether `tensor` is within int16 without a lookup of its own: as bytes of the statement, or
  /// through the table of what reads it.
  func isBounded(_ tensor: Int) -> Bool {
    if boundedByReader.contains(tensor) { return true }
    if case .output = sources[tensor] { return true }
    return false
  }

  /// 0 <= quantity < 2^bits on every cell of the mask.
  ///
  /// Beyond `limbBits` bits the high part h is committed, and both h and quantity - 2^limbBits·h
  /// are checked: then quantity = 2^limbBits·h + l with both in their ranges, as integers, because
  /// neither side reaches p.
  mutating func checkRange(_ quantity: Circuit.Quantity, bits: Scale, mask: Mask) {
    let (low, high) = (bits.mapped { min($0, limbBits) }, bits.mapped { max($0 - limbBits, 0) })
    let tag = Circuit.Table.range(bits: 0).tag
    guard high.largest > 0 else {
      lookups.append(.init(first: quantity, second: .bits(bits), tag: tag, mask: mask))
      return
    }
    let column = addColumn(.high(quantity), shape: quantity.form.shape)
    checkRange(
      .init(form: LinearForm(shape: quantity.form.shape, [.init(.column(column))])), bits: high,
      mask: mask)
    lookups.append(
      .init(
        first: lowLimb(of: quantity, high: column), second: .bits(low), tag: tag, mask: mask))
  }

  /// quantity - 2^limbBits·high.
  func lowLimb(of quantity: Circuit.Quantity, high column: Int) -> Circuit.Quantity {
    var result = quantity
    result.form.terms.append(.init(.column(column), scale: .uniform(-1 << Int64(limbBits))))
    return result
  }
}

extension Scale {
  func mapped(_ transform: (Int) -> Int) -> Scale {
    switch self {
    case .uniform(let value): .uniform(Int64(transform(Int(value))))
    case .along(let axis, let values):
      .along(axis: axis, values.map { Int64(transform(Int($0))) })
    }
  }

  var values: [Int64] {
    switch self {
    case .uniform(let value): [value]
    case .along(_, let values): values
    }
  }

  var largest: Int64 { values.reduce(0, max) }
}
