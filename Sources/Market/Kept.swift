/// A value that never changes, kept once however often what holds it is copied: the rules look at a
/// lease and a request many times for each time that they read all of its terms.
package struct Kept<Value: Sendable>: Sendable {
  private final class Box: Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  private let box: Box

  init(_ value: Value) { box = Box(value) }

  package var value: Value { box.value }
}

/// The same for a value that comes later, if at all.
@propertyWrapper
package struct KeptIfAny<Value: Sendable>: Sendable {
  /// Where only a part of the value is read, or whether there is one.
  package private(set) var projectedValue: Kept<Value>?

  package init(wrappedValue: Value?) { projectedValue = wrappedValue.map { Kept($0) } }

  package var wrappedValue: Value? {
    get { projectedValue?.value }
    set { projectedValue = newValue.map { Kept($0) } }
  }
}
