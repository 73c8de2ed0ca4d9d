import CFixedPoint

/// The instructions that the inner loops may use. Every choice gives the same bytes.
package enum Instructions: Sendable, CaseIterable {
  /// Plain C, on every machine.
  case portable
  /// 256-bit integer vectors of x86-64.
  case avx2

  /// The widest of this processor.
  package static let best: Instructions = fixed16_best_path() == FIXED16_AVX2 ? .avx2 : .portable

  var path: fixed16_path {
    switch self {
    case .portable: FIXED16_PORTABLE
    case .avx2: FIXED16_AVX2
    }
  }
}

/// What one run hands to a kernel. The memory is the run's own; an operand may be read, never
/// written, up to `operandSlack` elements beyond its end.
struct Invocation {
  static let operandSlack = 32

  let operands: [UnsafePointer<Int16>]
  let result: UnsafeMutablePointer<Int16>
  let scratch: UnsafeMutablePointer<Int16>
  let instructions: Instructions

  var path: fixed16_path { instructions.path }
}

/// A kernel whose work is divided, so that several threads may share it: stages, one after the
/// other, of parts that run in any order and at the same time. How it is divided depends on the
/// shapes alone, and no element is written by two parts.
protocol DividedKernel: Kernel {
  var stages: [KernelStage] { get }

  /// Like `Kernel.run`, for the elements of one part.
  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int?
}

struct KernelStage: Sendable {
  let partCount: Int
  /// Multiply-accumulates, comparisons or copies of all parts.
  let steps: Int

  /// Parts below this are not worth a second thread's attention: about five microseconds.
  static let partSteps = 1 << 18
  static let partElements = 1 << 14

  /// Parts of a loop over `elements` elements that are touched once.
  static func elementwise(_ elements: Int) -> KernelStage {
    // An element costs as much as some ten multiply-accumulates, for it is loaded and stored.
    KernelStage(
      partCount: (elements - 1) / partElements + 1, steps: elements * (partSteps / partElements))
  }

  static func elements(of part: Int, in count: Int) -> Range<Int> {
    part * partElements..<min(count, (part + 1) * partElements)
  }
}

extension DividedKernel {
  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let invocation = Invocation(
      operands: operands, result: result, scratch: scratch, instructions: .best)
    for (index, stage) in stages.enumerated() {
      var fault: Int?
      for part in 0..<stage.partCount {
        fault = lowest(fault, run(stage: index, part: part, invocation))
      }
      if fault != nil { return fault }
    }
    return nil
  }
}

/// One stage of one run, as the threads that share it see it.
struct StageTask {
  let kernel: any DividedKernel
  let stage: Int
  let invocation: Invocation

  /// All parts, on up to `threads` threads where the stage is worth it; gives the lowest fault.
  func run(_ shape: KernelStage, threads: Int) -> Int? {
    let isShared = shape.steps >= 2 * KernelStage.partSteps
    let lowest = withUnsafePointer(to: self) { task in
      fixed16_divide(
        Int64(shape.partCount), isShared ? Int32(clamping: threads) : 1,
        UnsafeMutableRawPointer(mutating: task)
      ) { context, part in
        guard let task = context?.assumingMemoryBound(to: StageTask.self).pointee else {
          return .max
        }
        return task.kernel.run(stage: task.stage, part: Int(part), task.invocation)
          .map { Int64($0) } ?? .max
      }
    }
    return lowest == .max ? nil : Int(lowest)
  }
}

/// A kernel that can raise its results to 0 on the way, after the range check, so that a Relu that
/// alone reads them costs nothing.
protocol RectifiableKernel: Kernel {
  var rectified: any Kernel { get }
}

/// Divides a product of `units` (images and groups), `extent` positions or lines of each, and
/// `panels` of rows into parts of about `KernelStage.partSteps` products.
struct ProductParts: Sendable {
  private let units: Int
  private let extent: Int
  private let panels: Int
  private let unitsPerPart: Int
  private let bandLength: Int
  private let panelsPerPart: Int
  let stage: KernelStage

  /// `steps` products in all; a band is a multiple of `granule` positions or lines.
  init(units: Int, extent: Int, panels: Int, steps: Int, granule: Int) {
    (self.units, self.extent, self.panels) = (units, extent, panels)
    let perUnit = max(1, steps / units)
    unitsPerPart = max(1, min(units, KernelStage.partSteps / perUnit))
    let divisions = (perUnit - 1) / KernelStage.partSteps + 1
    let granules = (extent - 1) / granule + 1
    let bands = min(divisions, granules)
    bandLength = ((granules - 1) / bands + 1) * granule
    panelsPerPart = (panels - 1) / min(panels, (divisions - 1) / bands + 1) + 1
    let parts =
      ((units - 1) / unitsPerPart + 1) * ((extent - 1) / bandLength + 1)
      * ((panels - 1) / panelsPerPart + 1)
    stage = KernelStage(partCount: parts, steps: steps)
  }

  /// The units, positions or lines, and panels of one part.
  func ranges(of part: Int) -> (units: Range<Int>, extent: Range<Int>, panels: Range<Int>) {
    let panelParts = (panels - 1) / panelsPerPart + 1
    let bands = (extent - 1) / bandLength + 1
    let panel = part % panelParts * panelsPerPart
    let position = part / panelParts % bands * bandLength
    let unit = part / panelParts / bands * unitsPerPart
    return (
      unit..<min(units, unit + unitsPerPart), position..<min(extent, position + bandLength),
      panel..<min(panels, panel + panelsPerPart)
    )
  }
}

/// The lower of two faults, where nil is none.
@inline(__always)
func lowest(_ left: Int?, _ right: Int?) -> Int? {
  guard let left, let right else { return left ?? right }
  return min(left, right)
}
