import Foundation
import Testing

@testable import Sumcheck

/// placeholder
enum MutantCampaign {
  static let count = ProcessInfo.processInfo.environment["BOURSE_MUTANTS"].flatMap { Int($0) }
  static var isEnabled: Bool { count != nil }
}
