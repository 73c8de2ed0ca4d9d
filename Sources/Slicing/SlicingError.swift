package import Primitives

package enum SlicingError: CodedError, Equatable {
  case tooFewPieces(asked: Int, possible: Int)
  case tooManyCuts(asked: Int, fewest: Int)
  case pieceTooDear(node: String, cost: Int, limit: Int)
  case slicesTooDear(asked: Int, limit: Int, needed: Int)
  case unknownName(String, nearest: [String])
  case ambiguousName(String, values: [String])
  case nothingAfter(String)
  case nothingBefore(String)
  case nothingToDivide
  case dividedTwice(node: String)
  /// Names of the first nodes of slices of which each needs the next.
  case cycle([String])
  case sharedBadly(node: String)
  case missingBlob(Digest)
  case corruptBlob(Digest)
  case boundariesDiffer(slice: String)
  case costDiffers(slice: String, expected: Cost, got: Cost)
  case unusableProgram(slice: String, String)
  case unreadable(String)
  case unwritable(String)
  /// An error of the graph, the quantiser or the manifest beneath.
  case beneath(code: String, sentence: String)

  init(_ error: any Error) {
    self =
      switch error {
      case let error as SlicingError: error
      case let error as any CodedError: .beneath(code: error.code, sentence: error.sentence)
      default: .unwritable("\(error)")
      }
  }

  package var code: String {
    switch self {
    case .tooFewPieces: "too-many-slices"
    case .tooManyCuts: "too-few-slices"
    case .pieceTooDear, .slicesTooDear: "cost-limit-too-low"
    case .unknownName: "unknown-node"
    case .ambiguousName: "ambiguous-node"
    case .nothingAfter, .nothingBefore: "no-cut-there"
    case .nothingToDivide: "nothing-to-divide"
    case .dividedTwice: "divided-twice"
    case .cycle: "cyclic-slices"
    case .sharedBadly: "nodes-shared-badly"
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
      "\(asked) slices were asked for and this model can be cut into 1 to \(possible); divide a convolution with --tiles or --channels for more."
    case .tooManyCuts(let asked, let fewest):
      "\(asked) slices were asked for and the cuts, tiles and channels that were asked for make at least \(fewest); raise --slices or leave one out."
    case .pieceTooDear(let node, let cost, let limit):
      "What begins at '\(node)' costs \(cost) units by itself and a slice may cost \(limit); raise --max-cost, or divide the node with --tiles or --channels."
    case .slicesTooDear(let asked, let limit, let needed):
      "\(asked) slices of at most \(limit) units do not hold the model, which needs \(needed) of them; raise --slices or --max-cost."
    case .unknownName(let name, let nearest):
      "No node or value is called '\(name)' once the model is simplified; the nearest are \(Self.list(nearest))."
    case .ambiguousName(let name, let values):
      "\(values.count) nodes are called '\(name)'; name the value that the one you mean gives: \(Self.list(values))."
    case .nothingAfter(let name):
      "Nothing reads the result of '\(name)', so there is no cut after it; name a node before the answer."
    case .nothingBefore(let name):
      "'\(name)' reads the request's input, so there is no cut before it; name a node after it."
    case .nothingToDivide:
      "The model has no two-dimensional convolution to divide; leave out --tiles and --channels."
    case .dividedTwice(let node):
      "'\(node)' is to be divided along one axis twice; name each convolution once in --tiles and once in --channels."
    case .cycle(let names):
      "Each of these slices would need the next: \(Self.list(names)); put the nodes between them into one slice."
    case .sharedBadly(let node):
      "Node '\(node)' must be in exactly one slice."
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

  private static func list(_ names: [String]) -> String {
    names.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
      + (names.count > 8 ? " and \(names.count - 8) more" : "")
  }
}
