import CBourseProver
import Statements

/// Memory for the C structs of one call: everything lives until the arena goes.
final class Arena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit {
    for block in blocks { block.deallocate() }
  }

  func array<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element> {
    let block = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
    for (index, element) in elements.enumerated() {
      (block + index).initialize(to: element)
    }
    blocks.append(UnsafeMutableRawPointer(block))
    return UnsafePointer(block)
  }

  func one<Value: BitwiseCopyable>(_ value: Value) -> UnsafePointer<Value> { array([value]) }

  func text(_ text: String) -> UnsafePointer<CChar> {
    // A C string ends at its first zero byte; nothing of ours has one inside.
    array(text.utf8.filter { $0 != 0 }.map { CChar(bitPattern: $0) } + [0])
  }

  func bytes(_ bytes: [UInt8]) -> bourse_bytes {
    let block = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
    block.initialize(repeating: 0, count: max(1, bytes.count))
    block.update(from: bytes, count: bytes.count)
    blocks.append(UnsafeMutableRawPointer(block))
    return bourse_bytes(data: block, length: bytes.count)
  }

  func boundary(_ specification: BoundarySpecification) -> UnsafePointer<bourse_boundary> {
    one(
      bourse_boundary(
        struct_size: size(bourse_boundary.self),
        element_type: UInt32(specification.elementType.rawValue), name: text(specification.name),
        shape: array(specification.shape.map { UInt32($0) }),
        rank: UInt32(specification.shape.count), exponent: Int32(specification.exponent)))
  }

  func boundaries(
    _ specifications: [BoundarySpecification]
  ) -> UnsafePointer<UnsafePointer<bourse_boundary>?> {
    array(specifications.map { boundary($0) })
  }

  func slice(_ bundle: SliceBundle) -> UnsafePointer<bourse_slice> {
    one(
      bourse_slice(
        struct_size: size(bourse_slice.self), reserved: 0, onnx: bytes(bundle.onnx),
        program: bytes(bundle.program), inputs: boundaries(bundle.boundaries.inputs),
        outputs: boundaries(bundle.boundaries.outputs),
        input_count: UInt32(bundle.boundaries.inputs.count),
        output_count: UInt32(bundle.boundaries.outputs.count)))
  }

  /// Nil unless there is one tensor per specification and each has its length.
  func tensors(
    _ tensors: [[UInt8]], as specifications: [BoundarySpecification]
  ) -> UnsafePointer<UnsafePointer<bourse_tensor>?>? {
    guard tensors.count == specifications.count,
      zip(tensors, specifications).allSatisfy({ $0.count == $1.byteCount })
    else { return nil }
    return array(
      zip(tensors, specifications).map { data, specification in
        let view = bytes(data)
        return one(
          bourse_tensor(
            struct_size: size(bourse_tensor.self), reserved: 0,
            boundary: boundary(specification), data: view.data, byte_length: view.length))
      })
  }

  func size<Value>(_ type: Value.Type) -> UInt32 { UInt32(MemoryLayout<Value>.size) }
}

/// The host's end of a `bourse_sink`: keeps at most `limit` bytes.
final class SinkBuffer {
  private(set) var bytes: [UInt8] = []
  private(set) var overflowed = false
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// The view borrows the buffer: keep the buffer alive until the call has returned.
  func view(in arena: Arena) -> UnsafePointer<bourse_sink> {
    arena.one(
      bourse_sink(
        struct_size: arena.size(bourse_sink.self), reserved: 0,
        context: Unmanaged.passUnretained(self).toOpaque(),
        write: { sink, bytes, length in
          guard let context = sink?.pointee.context else { return BOURSE_MALFORMED }
          return Unmanaged<SinkBuffer>.fromOpaque(context).takeUnretainedValue()
            .append(bytes, count: length)
        }))
  }

  private func append(_ data: UnsafePointer<UInt8>?, count: Int) -> bourse_status {
    // A size_t above Int.max arrives as a negative count.
    guard !overflowed, count >= 0, count <= limit - bytes.count else {
      overflowed = true
      return BOURSE_LIMIT
    }
    if let data { bytes.append(contentsOf: UnsafeBufferPointer(start: data, count: count)) }
    return BOURSE_OK
  }
}
