import Primitives

/// Why a proof does not convince: the first constraint that fails, by name.
package enum VerificationError: CodedError, Equatable, CaseIterable {
  /// The proof ends before its last message, or goes on after it.
  case length
  /// An element is p or above.
  case element
  case instanceCount
  case boundaryCount
  case boundaryLength
  /// A round of LogUp-GKR, a product check's or a coordinate of 0, which has no second encoding.
  case layer
  case leafNumerator
  case leafDenominator
  case rootNumerator
  case rootDenominator
  case weightedSum
  case productCheck
  /// Bits that fill up a last byte are not 0.
  case packing
  /// What is run again, from the sums that a clear proof states, gives other outputs or a range
  /// fault.
  case recomputation
  case opening
  case codeword
  case merklePath
  case seal

  package var code: String { "invalid-proof" }

  package var sentence: String {
    let what =
      switch self {
      case .length: "its length is not that of a proof for this key"
      case .element: "it holds a field element that is not canonical"
      case .instanceCount: "the key's proofs are of another number of inferences"
      case .boundaryCount: "the statement has another number of boundary tensors"
      case .boundaryLength: "a boundary tensor has another length"
      case .layer: "a layer of the lookups' sum does not follow from the next"
      case .leafNumerator: "the lookups' numerators are others"
      case .leafDenominator: "the lookups' denominators are others"
      case .rootNumerator: "the lookups do not balance with their tables"
      case .rootDenominator: "a denominator of the lookups' sum is 0"
      case .weightedSum: "a convolution or matrix product is wrong"
      case .productCheck: "a product of tensors is wrong"
      case .packing: "bits that fill up a byte are not 0"
      case .recomputation: "the outputs do not follow from the sums that it states"
      case .opening: "the committed values do not satisfy all claims"
      case .codeword: "an opened column contradicts the row combination"
      case .merklePath: "an opened column is not under the root"
      case .seal: "it was made for another statement"
      }
    return "The proof is invalid: \(what); do not pay for it."
  }
}
