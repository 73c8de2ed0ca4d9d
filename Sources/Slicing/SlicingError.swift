package import Primitives

package enum SlicingError: CodedError, Equatable {
  case tooFewPieces(asked: Int, possible: Int)
  case missingBlob(Digest)
  case corruptBlob(Digest)
  case boundariesDiffer(slice: String)
  case costDiffers(slice: String, expected: Cost, got: Cost)
  case unusableProgram(slice: String, String)
  case unreadable(String)
  case unwritable(String)
  /// An error of the graph, the quantiser or the manifest beneath.
  case beneath(code: String, sentence: String)

  init(_ error: any CodedError) {
    self = error as? SlicingError ?? .beneath(code: error.code, sentence: error.sentence)
  }

  package var code: String {
    switch self {
    case .tooFewPieces: "too-many-slices"
    case .missingBlob: "missing-blob"
    case .corruptBlob: "corrupt-blob"
    case .boundariesDiffer, .costDiffers: "invalid-manifest"
    case .unusableProgram: "invalid-program"
    case .unreadable: "unreadable-model"
    case .unwritable: "unwritable-model"
    case .beneath(let code, _): code
    }
  }

  package var sentence: String {
    switch self {
    case .tooFewPieces(let asked, let possible):
      "\(asked) slices were asked for and this model can be cut into 1 to \(possible)."
    case .missingBlob(let digest): "Blob \(digest) is missing; slice or download the model again."
    case .corruptBlob(let digest):
      "Blob \(digest) has other bytes than its name says; slice or download the model again."
    case .boundariesDiffer(let slice):
      "The program of '\(slice)' has other boundaries than the manifest; slice the model again."
    case .costDiffers(let slice, let expected, let got):
      "The program of '\(slice)' costs \(expected) units and the manifest says \(got); slice the model again."
    case .unusableProgram(let slice, let why): "The program of '\(slice)' cannot be used: \(why)"
    case .unreadable(let what): "\(what); give a directory that 'bourse model slice' wrote."
    case .unwritable(let what): "\(what); give a new directory under one that can be written."
    case .beneath(_, let sentence): sentence
    }
  }
}
