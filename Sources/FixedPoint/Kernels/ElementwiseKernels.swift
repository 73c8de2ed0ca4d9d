import CFixedPoint

struct ReluKernel: DividedKernel {
  let count: Int

  var stages: [KernelStage] { [.elementwise(count)] }

  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int? {
    let elements = KernelStage.elements(of: part, in: count)
    fixed16_raise(
      invocation.path, invocation.result + elements.lowerBound,
      invocation.operands[0] + elements.lowerBound, Int64(elements.count), 0)
    return nil
  }
}

struct AdditionKernel: DividedKernel, RectifiableKernel {
  private let operation: Addition
  private let count: Int
  private var isRectified = false

  init(operation: Addition, count: Int) { (self.operation, self.count) = (operation, count) }

  var stages: [KernelStage] { [.elementwise(count)] }

  var rectified: any Kernel {
    var copy = self
    copy.isRectified = true
    return copy
  }

  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int? {
    let elements = KernelStage.elements(of: part, in: count)
    let start = elements.lowerBound
    let element = fixed16_add(
      invocation.path, invocation.result + start, invocation.operands[0] + start,
      invocation.operands[1] + start, Int64(elements.count), Int32(operation.leftAlignment),
      Int32(operation.rightAlignment), Int32(operation.shift), isRectified ? 0 : .min)
    return element == .max ? nil : start + Int(element)
  }
}
