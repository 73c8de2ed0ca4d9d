import FixedPoint

extension CircuitBuilder {
  /// out = max(x, 0), and x within int16.
  ///
  /// With tables of 2^16 rows, (x + 2^15, out) is one of them. With limbs, the high limb h of
  /// x + 2^15 and the sign b = [x >= 0] are committed: (h, b) is a row of the sign table, the low
  /// limb is in range, and b·x = out.
  mutating func relateRelu(_ tensor: Int, _ operand: Int) {
    let shape = shape(tensor)
    let mask = Mask(shape: shape)
    let shifted = Circuit.Quantity(
      form: LinearForm(shape: shape, [.init(.tensor(operand))], constant: .uniform(1 << 15)))
    let result = LinearForm(shape: shape, [.init(.tensor(tensor))])
    guard limbBits < 16 else {
      lookups.append(
        .init(
          first: shifted, second: .value(result), tag: Circuit.Table.relu.tag, mask: mask))
      return
    }
    let high = addColumn(.high(shifted), shape: shape)
    let sign = addColumn(.sign(high: high), shape: shape)
    let signForm = LinearForm(shape: shape, [.init(.column(sign))])
    lookups.append(
      .init(
        first: .init(form: LinearForm(shape: shape, [.init(.column(high))])),
        second: .value(signForm), tag: Circuit.Table.sign.tag, mask: mask))
    lookups.append(
      .init(
        first: lowLimb(of: shifted, high: high), second: .bits(.uniform(Int64(limbBits))),
        tag: Circuit.Table.range(bits: 0).tag, mask: mask))
    checks.append(
      .init(
        factors: [
          .init(form: signForm), .init(form: LinearForm(shape: shape, [.init(.tensor(operand))])),
        ], result: .form(result)))
  }

  /// out = f(x): a row of the function's own table of 2^16 rows, which has none for an x where f
  /// has no value.
  mutating func relate(
    _ tensor: Int, _ function: UnaryFunction, _ operand: Int
  ) throws(Obstacle) {
    let exponent = program.tensors[operand].exponent
    let known = functions.firstIndex { $0.function == function && $0.operandExponent == exponent }
    let index = known ?? functions.count
    if known == nil {
      guard let rows = FunctionRows(function, operand: exponent) else {
        throw Obstacle(reason: "a function without a value anywhere")
      }
      functions.append(rows)
    }
    let shape = shape(tensor)
    lookups.append(
      .init(
        first: .init(
          form: LinearForm(shape: shape, [.init(.tensor(operand))], constant: .uniform(1 << 15))),
        second: .value(LinearForm(shape: shape, [.init(.tensor(tensor))])),
        tag: Circuit.Table.function(index).tag, mask: Mask(shape: shape)))
  }
}

/// The rows (x + 2^15, f(x)) of a function. Where f has no value the row repeats another one.
struct FunctionRows: Sendable {
  let function: UnaryFunction
  let operandExponent: Int8
  let firsts: [Int32]
  let seconds: [Int16]

  /// Nil where the function has no value at all.
  init?(_ function: UnaryFunction, operand exponent: Int8) {
    (self.function, operandExponent) = (function, exponent)
    let values = (Int16.min...Int16.max).map { function($0, at: exponent) }
    guard let known = values.firstIndex(where: { $0 != nil }) else { return nil }
    firsts = values.indices.map { Int32(values[$0] == nil ? known : $0) }
    seconds = values.map { $0 ?? values[known] ?? 0 }
  }
}
