package import FixedPoint
package import Primitives

/// What a verifier key fixes beside the program. Nothing of it is ever read from a proof.
package struct Parameters: Hashable, Sendable {
  /// log2 of the largest range table.
  package let limbBits: Int
  /// log2 of the length of a row before it is encoded.
  package let messageLog: Int
  /// The code has rate 2^-rateLog.
  package let rateLog: Int

  package init(limbBits: Int, messageLog: Int, rateLog: Int) {
    (self.limbBits, self.messageLog, self.rateLog) = (limbBits, messageLog, rateLog)
  }

  /// Every code is longer than the number of columns opened.
  static let messageLogs = 8...14
  static let rateLogs = 1...2

  var codeLog: Int { messageLog + rateLog }

  /// Columns opened: ceil(102 / -log2((1 + 2^-rateLog) / 2)), so that a matrix outside the unique
  /// decoding radius survives with probability at most 2^-102.
  var queryCount: Int { rateLog == 1 ? 246 : 151 }
}

extension Parameters {
  /// The cheapest parameters for a program, by nanoseconds of one core and bytes of proof.
  package init(for program: Program) throws(CircuitError) {
    var best: (parameters: Parameters, cost: Double)?
    for limbBits in [8, 16] {
      let circuit = try Circuit(
        program, Parameters(limbBits: limbBits, messageLog: 8, rateLog: 1))
      for messageLog in Self.messageLogs {
        for rateLog in Self.rateLogs {
          let parameters = Parameters(
            limbBits: limbBits, messageLog: messageLog, rateLog: rateLog)
          let cost = parameters.cost(cells: circuit.cellCount, leaves: circuit.leafCount)
          if best.map({ cost < $0.cost }) ?? true { best = (parameters, cost) }
        }
      }
    }
    guard let best else { throw CircuitError(node: "program", reason: "it has no parameters") }
    self = best.parameters
  }

  /// Bytes of an opening of `cells` cells: the row combination, the columns, and their paths, which
  /// meet after about log2(columns) levels.
  func openingBytes(cells: Int) -> Int {
    let rows = (cells + (1 << messageLog) - 1) >> messageLog
    let pathLength = Double(codeLog) - Double(queryCount).logarithm + 0.6
    return 16 << messageLog + queryCount * (8 * rows + Int(32 * pathLength))
  }

  /// Measured on one core with AVX2: 45 ns per leaf of the lookups' trees, 30 per cell of the last
  /// sumcheck, 13 per encoded cell. A byte of proof weighs as much as 20 ns.
  private func cost(cells: Int, leaves: Int) -> Double {
    let rows = (cells + (1 << messageLog) - 1) >> messageLog
    let time =
      45 * leaves + 30 << (messageLog + rows.ceilingLog) + 13 * cells << rateLog
    return Double(time) + 20 * Double(openingBytes(cells: cells))
  }
}

extension Double {
  /// log2 to a few hundredths, enough for an estimate: exponent, and the significand's line.
  fileprivate var logarithm: Double { Double(exponent) + significand - 1 }
}

extension Parameters: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(UInt8(limbBits))
    encoder.append(UInt8(messageLog))
    encoder.append(UInt8(rateLog))
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder
    limbBits = Int(try decoder.integer(UInt8.self))
    messageLog = Int(try decoder.integer(UInt8.self))
    rateLog = Int(try decoder.integer(UInt8.self))
    guard [8, 16].contains(limbBits), Self.messageLogs.contains(messageLog),
      Self.rateLogs.contains(rateLog)
    else {
      throw start.failure(.invalid("the parameters are none that sumcheck uses"))
    }
  }
}
