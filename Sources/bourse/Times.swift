import Foundation
import Primitives

/// A tick for people: UTC, to the millisecond.
func describe(_ tick: Tick) -> String {
  guard tick < .never, tick.milliseconds < 1 << 52 else { return "never" }
  let date = Date(timeIntervalSince1970: Double(tick.milliseconds) / 1000)
  return date.formatted(
    .iso8601.year().month().day().dateSeparator(.dash).dateTimeSeparator(.space)
      .time(includingFractionalSeconds: true).timeSeparator(.colon))
}

/// The time of day alone.
func describe(timeOf tick: Tick) -> String { String(describe(tick).suffix(12)) }

/// A length of time: "350 ms", "4.2 s", "3 min 5 s", "2 h 10 min", "4 d 3 h".
func describe(milliseconds: UInt64) -> String {
  let seconds = milliseconds / 1000
  switch seconds {
  case 0: return "\(milliseconds) ms"
  case 1..<60: return "\(seconds).\(milliseconds % 1000 / 100) s"
  case 60..<3600: return "\(seconds / 60) min \(seconds % 60) s"
  case 3600..<86_400: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
  default: return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
  }
}

/// A tick as seen from another: "in 4.2 s", "350 ms ago", "now".
func describe(_ tick: Tick, from now: Tick) -> String {
  if tick == now { return "now" }
  return tick > now
    ? "in " + describe(milliseconds: tick.milliseconds - now.milliseconds)
    : describe(milliseconds: now.milliseconds - tick.milliseconds) + " ago"
}
