package import Primitives

/// The operators of `fixed16/1`. A new family is a file in `Operators`, a case here, and a tag that
/// never changes.
package enum Operator: Hashable, Sendable {
  case convolution(Convolution)
  case matrixProduct(MatrixProduct)
  case relu(Relu)
  case maxPool(MaxPool)
  case averagePool(AveragePool)
  case add(Addition)
  case reshape(Reshape)
  case constant(Constant)
  case arrangement(Arrangement)
  case concatenation(Concatenation)
  case rescale(Rescaling)
  case multiply(Multiplication)
  case divide(Division)
  case extremum(Extremum)
  case function(UnaryFunction)
  case reduce(Reduction)
  case tensorProduct(TensorProduct)
  case softmax(Softmax)
  case normalize(Normalization)
  case lookup(Lookup)

  var family: any OperatorFamily {
    switch self {
    case .convolution(let family): family
    case .matrixProduct(let family): family
    case .relu(let family): family
    case .maxPool(let family): family
    case .averagePool(let family): family
    case .add(let family): family
    case .reshape(let family): family
    case .constant(let family): family
    case .arrangement(let family): family
    case .concatenation(let family): family
    case .rescale(let family): family
    case .multiply(let family): family
    case .divide(let family): family
    case .extremum(let family): family
    case .function(let family): family
    case .reduce(let family): family
    case .tensorProduct(let family): family
    case .softmax(let family): family
    case .normalize(let family): family
    case .lookup(let family): family
    }
  }

  package var operandCount: Int { family.operandCount }

  /// Multiply-accumulates, comparisons or copies of one run.
  package func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    family.steps(of: operands, giving: result)
  }

  /// Shape and exponent of the result; throws where the parameters do not fit the operands.
  package func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    try family.result(of: operands)
  }
}

/// What a family of operators must say about itself.
protocol OperatorFamily: CanonicalCodable, Hashable, Sendable {
  static var tag: UInt8 { get }
  var operandCount: Int { get }

  /// Shape and exponent of the result; throws unless all parameters fit the operands. What passes
  /// here, `run` may trust: every index it forms is in bounds and no accumulator wraps.
  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor

  func steps(of operands: [Tensor], giving result: Tensor) -> Int

  /// The largest magnitude that an accumulator could reach, whatever the operands' integers, from
  /// the actual weights, the bias and the rounding term; nil where nothing is summed.
  func accumulatorBound(of operands: [Tensor]) -> UInt64?

  /// Elements that a kernel holds and the program does not, such as a table it derives.
  var tableElementCount: Int { get }

  /// What can be prepared once per program and reused by every run.
  func kernel(operands: [Tensor], result: Tensor) -> any Kernel
}

extension OperatorFamily {
  var tableElementCount: Int { 0 }
}

/// One operation made ready for its shapes.
protocol Kernel: Sendable {
  /// int16 elements of scratch memory that `run` needs.
  var scratchCount: Int { get }

  /// Fills `result`, whose count is the result's element count; gives the lowest row-major index
  /// of an element that does not fit in int16, or nil. After a fault the result is unspecified.
  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int?
}

extension Operator: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    let family = family
    encoder.append(type(of: family).tag)
    family.encode(into: &encoder)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case Convolution.tag: self = .convolution(try decoder.record())
    case MatrixProduct.tag: self = .matrixProduct(try decoder.record())
    case Relu.tag: self = .relu(try decoder.record())
    case MaxPool.tag: self = .maxPool(try decoder.record())
    case AveragePool.tag: self = .averagePool(try decoder.record())
    case Addition.tag: self = .add(try decoder.record())
    case Reshape.tag: self = .reshape(try decoder.record())
    case Constant.tag: self = .constant(try decoder.record())
    case Arrangement.tag: self = .arrangement(try decoder.record())
    case Concatenation.tag: self = .concatenation(try decoder.record())
    case Rescaling.tag: self = .rescale(try decoder.record())
    case Multiplication.tag: self = .multiply(try decoder.record())
    case Division.tag: self = .divide(try decoder.record())
    case Extremum.tag: self = .extremum(try decoder.record())
    case UnaryFunction.tag: self = .function(try decoder.record())
    case Reduction.tag: self = .reduce(try decoder.record())
    case TensorProduct.tag: self = .tensorProduct(try decoder.record())
    case Softmax.tag: self = .softmax(try decoder.record())
    case Normalization.tag: self = .normalize(try decoder.record())
    case Lookup.tag: self = .lookup(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Operator"), at: start)
    }
  }
}
