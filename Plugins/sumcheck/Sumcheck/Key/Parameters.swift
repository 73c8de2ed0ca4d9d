import FixedPoint
package import Primitives

/// What a verifier key fixes beside the program where the witness is committed. Nothing of it is
/// ever read from a proof.
package struct Parameters: Hashable, Sendable {
  /// log2 of the largest range table.
  package let limbBits: Int
  /// log2 of the length of a row before it is encoded.
  package let messageLog: Int
  /// The code has rate 2^-rateLog.
  package let rateLog: Int
  /// Whether the key holds the root of the weights in place of the weights.
  package let commitsWeights: Bool

  package init(limbBits: Int, messageLog: Int, rateLog: Int, commitsWeights: Bool = false) {
    (self.limbBits, self.messageLog, self.rateLog) = (limbBits, messageLog, rateLog)
    self.commitsWeights = commitsWeights
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
  /// The cheapest for a program, and what they cost.
  static func cheapest(
    for program: Program, batch: Int, commitsWeights: Bool
  ) throws(CircuitError) -> (parameters: Parameters, cost: Double) {
    var best: (parameters: Parameters, cost: Double)?
    for limbBits in [8, 16] {
      let circuit = try Circuit(
        program,
        Parameters(
          limbBits: limbBits, messageLog: 8, rateLog: 1, commitsWeights: commitsWeights),
        batch: batch)
      for messageLog in Self.messageLogs {
        for rateLog in Self.rateLogs {
          let parameters = Parameters(
            limbBits: limbBits, messageLog: messageLog, rateLog: rateLog,
            commitsWeights: commitsWeights)
          let cost = parameters.cost(of: circuit)
          if best.map({ cost < $0.cost }) ?? true { best = (parameters, cost) }
        }
      }
    }
    guard let best else { throw CircuitError(node: "program", reason: "it has no parameters") }
    return best
  }

  /// Bytes of an opening of `cells` cells, weights among them: the row combination, the columns,
  /// and their paths, which meet after about log2(columns) levels.
  func openingBytes(cells: Int) -> Int {
    let rows = cells.dividedUp(by: 1 << messageLog)
    let pathLength = Double(codeLog) - Double(queryCount).logarithm + 0.6
    let trees = commitsWeights ? 2.0 : 1
    return 16 << messageLog + queryCount * (8 * rows + Int(32 * pathLength * trees))
  }

  /// In nanoseconds of one core, if `circuit` had these parameters. Measured with AVX2: 45 ns per
  /// leaf of the lookups' trees, 30 per cell of the last sumcheck, 13 per encoded cell.
  private func cost(of circuit: Circuit) -> Double {
    let cells = circuit.cellCount + circuit.weightCellCount
    let rows = cells.dividedUp(by: 1 << messageLog)
    let time =
      45 * circuit.leafCount + 30 << (messageLog + rows.ceilingLog)
      + 13 * circuit.cellCount << rateLog
    return Double(time) + Mode.costPerByte * Double(openingBytes(cells: cells))
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
    encoder.append(commitsWeights)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    limbBits = Int(try decoder.integer(UInt8.self))
    messageLog = Int(try decoder.integer(UInt8.self))
    rateLog = Int(try decoder.integer(UInt8.self))
    commitsWeights = try decoder.bool()
    guard [8, 16].contains(limbBits), Self.messageLogs.contains(messageLog),
      Self.rateLogs.contains(rateLog)
    else {
      throw decoder.failure(.invalid("the parameters are none that sumcheck uses"), at: start)
    }
  }
}
