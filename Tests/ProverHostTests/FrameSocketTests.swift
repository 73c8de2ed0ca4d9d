import Foundation
import Testing

@testable import ProverHost

@Suite struct FrameSocketTests {
  private func ends() throws -> (reader: FrameSocket, writer: Int32) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    try #require(socketpair(AF_UNIX, kind, 0, &ends) == 0)
    return (FrameSocket(descriptor: ends[0]), ends[1])
  }

  private func milliseconds(_ count: UInt64) -> UInt64 { FrameSocket.now() + count * 1_000_000 }

  @Test func pausesBeforeAFrame() throws {
    let (reader, writer) = try ends()
    defer { [reader.descriptor, writer].forEach { close($0) } }
    #expect(throws: FrameSocket.Failure.paused) {
      try reader.receive(deadline: milliseconds(60_000), pause: milliseconds(1))
    }
    #expect(throws: FrameSocket.Failure.timedOut) {
      try reader.receive(deadline: milliseconds(1), pause: milliseconds(60_000))
    }
  }

  /// Its first bytes would be lost, and the rest be taken for another frame.
  @Test func pauseCutsNoFrame() throws {
    let (reader, writer) = try ends()
    defer { [reader.descriptor, writer].forEach { close($0) } }
    try #require(write(writer, [3, 0, 0, 0, 7] as [UInt8], 5) == 5)
    let rest = Thread {
      // Later than the pause, however early this runs.
      usleep(50_000)
      _ = write(writer, [8, 9] as [UInt8], 2)
    }
    let pause = milliseconds(5)
    rest.start()
    #expect(try reader.receive(deadline: milliseconds(60_000), pause: pause) == [7, 8, 9])
  }
}
