package import Primitives

/// The integer weights of a linear operator: one row per output channel, row-major.
///
/// Each row has its bias, at the accumulator's exponent, and its shift, so that a row may have a
/// weight exponent of its own: weight exponent = shift + result exponent - operand exponent.
package struct LinearRows: Hashable, Sendable {
  /// Rows × columns.
  package let weights: [Int16]
  package let biases: [Int64]
  package let shifts: [UInt8]

  package static let weightLimit = 1 << 28

  package init(weights: [Int16], biases: [Int64], shifts: [UInt8]) {
    (self.weights, self.biases, self.shifts) = (weights, biases, shifts)
  }

  package var rowCount: Int { biases.count }

  /// Throws unless there are `columns` weights per row, one shift per row, and no accumulator can
  /// reach 2^62 whatever the operand.
  func validate(columns: Int) throws(ProgramError.Problem) {
    guard rowCount > 0, columns > 0, shifts.count == rowCount else {
      throw .parameters("\(rowCount) biases and \(shifts.count) shifts came; one each per row")
    }
    let (expected, overflow) = rowCount.multipliedReportingOverflow(by: columns)
    guard !overflow, weights.count == expected else {
      throw .parameters("\(weights.count) weights came and \(rowCount) × \(columns) were expected")
    }
    for row in 0..<rowCount {
      guard shifts[row] <= Requantization.shiftLimit else { throw .shift(Int(shifts[row])) }
      var sum: UInt64 = 0
      for weight in weights[row * columns..<(row + 1) * columns] {
        sum += UInt64(weight.magnitude)
      }
      guard Requantization.fits(weights: sum, bias: biases[row], shift: Int(shifts[row])) else {
        throw .accumulator
      }
    }
  }
}

extension LinearRows: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(list: biases)
    encoder.append(list: shifts)
    encodeNarrowest(weights, into: &encoder)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    biases = try decoder.integers(Int64.self, limit: Self.weightLimit)
    shifts = try decoder.integers(UInt8.self, limit: Self.weightLimit)
    weights = try decodeNarrowest(from: &decoder)
  }
}

/// Weights are stored as int8 exactly when all of them fit, so that each list has one encoding.
func encodeNarrowest(_ values: [Int16], into encoder: inout CanonicalEncoder) {
  if values.allSatisfy({ Int16(Int8(truncatingIfNeeded: $0)) == $0 }) {
    encoder.append(UInt8(1))
    encoder.append(list: values.map { Int8(truncatingIfNeeded: $0) })
  } else {
    encoder.append(UInt8(2))
    encoder.append(list: values)
  }
}

func decodeNarrowest(
  from decoder: inout CanonicalDecoder
) throws(CanonicalError) -> [Int16] {
  let start = decoder.offset
  switch try decoder.integer(UInt8.self) {
  case 1:
    return try decoder.integers(Int8.self, limit: LinearRows.weightLimit).map { Int16($0) }
  case 2:
    let values = try decoder.integers(Int16.self, limit: LinearRows.weightLimit)
    guard values.contains(where: { Int16(Int8(truncatingIfNeeded: $0)) != $0 }) else {
      throw decoder.failure(.invalid("weights that all fit in int8 are stored as int16"), at: start)
    }
    return values
  case let tag: throw decoder.failure(.unknownTag(tag, of: "weights' width"), at: start)
  }
}
