import CSumcheckKernels
import Testing

extension KernelTests {
  struct EncoderTests {
    private static func evaluate(_ row: some Collection<Element>, at x: Element) -> Element {
      row.reversed().reduce(Element(0)) { $0 * x + $1 }
    }

    @Test(arguments: [(0, 1), (1, 1), (2, 2), (3, 1), (4, 2), (5, 1), (6, 1), (6, 2), (7, 1)])
    func encodesRowsAsEvaluations(messageLog: Int, rateLog: Int) throws {
      let (message, length) = (1 << messageLog, 1 << (messageLog + rateLog))
      let (rowCount, stride, outStride) = (11, message + 3, 13)
      var numbers = Numbers(seed: UInt64(length))
      let int16s: [Int16] = numbers.integers(rowCount * stride)
      let int32s: [Int32] = numbers.integers(rowCount * stride)
      let base = numbers.elements(rowCount * stride)
      let root = Element(7).power((Element.modulus - 1) / UInt64(length))
      let encoder = try #require(sumcheck_encoder_create(UInt32(messageLog), UInt32(rateLog)))
      defer { sumcheck_encoder_destroy(encoder) }
      let scratch = UnsafeMutableRawPointer.allocate(
        byteCount: sumcheck_encoder_scratch_size(encoder), alignment: 64)
      defer { scratch.deallocate() }

      func expected(_ values: [Element]) -> [UInt64] {
        var out = [UInt64](repeating: 0, count: length * outStride)
        for j in 0..<length {
          let x = root.power(UInt64(j))
          for i in 0..<rowCount {
            out[j * outStride + i] =
              Self.evaluate(values[i * stride..<i * stride + message], at: x).value
          }
        }
        return out
      }
      let all = [int16s.map(Element.init), int32s.map(Element.init), base].map(expected)
      onEachPath { path in
        func expect(
          _ values: [UInt64], _ body: (UnsafeMutablePointer<UInt64>, Int, Int) -> Void
        ) {
          var out = [UInt64](repeating: 0, count: length * outStride)
          body(&out, 0, 3)
          body(&out, 3, rowCount)
          #expect(out == values, "\(path)")
        }
        expect(all[0]) {
          sumcheck_encode_int16(encoder, $0, outStride, int16s, stride, $1, $2, scratch)
        }
        expect(all[1]) {
          sumcheck_encode_int32(encoder, $0, outStride, int32s, stride, $1, $2, scratch)
        }
        expect(all[2]) {
          sumcheck_encode_base(
            encoder, $0, outStride, base.map(\.value), stride, $1, $2, scratch)
        }
      }
    }

    @Test func refusesWhatTheFieldHasNoRootFor() {
      #expect(sumcheck_encoder_create(32, 1) == nil)
      #expect(sumcheck_encoder_create(4, 0) == nil)
    }
  }
}
