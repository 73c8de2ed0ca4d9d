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
}
