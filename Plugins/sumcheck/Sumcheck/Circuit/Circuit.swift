package import FixedPoint
import Statements

/// A program compiled into what a proof speaks about: committed columns, lookups, products and
/// linear equations (`docs/sumcheck.md`). Prover and verifier derive it from the verifier key
/// alone, so a proof can choose nothing.
///
/// With a batch of more than one inference, every tensor has a leading axis that counts them.
package struct Circuit: Sendable {
  /// Where the verifier finds a tensor.
  enum Source: Sendable {
    /// A boundary tensor of the statement, read as it is.
    case input(Int)
    case output(Int)
    case constant([Int16])
    case column(Int)
    /// A linear image of other tensors, without a constant; it exists nowhere.
    case derived(LinearForm)
  }

  /// A block of the committed vector.
  struct Column: Sendable {
    enum Content: Sendable {
      case tensor(Int)
      /// The bits of a quantity above its lowest `limbBits`.
      case high(Quantity)
      /// Whether the committed high limb says that the quantity is at least 2^15.
      case sign(high: Int)
      /// How often each row of a table is looked up.
      case multiplicities(Table)
      /// The weights of an accumulator, [row, inner axes of one group], under the key's own root.
      case weights(accumulator: Int)
    }

    let content: Content
    let layout: Layout
    /// First cell in the committed vector; a multiple of the block's size.
    var offset = 0
  }

  /// A form, plus the accumulator of an operation that is no linear form of tensors.
  struct Quantity: Hashable, Sendable {
    var form: LinearForm
    var accumulator: Int?
  }

  /// The rows (first, second) that a lookup may name, each at an index of its own.
  enum Table: Hashable, Sendable {
    /// (v, bits) for v in 0..<2^bits.
    case range(bits: Int)
    /// (x + 2^15, max(x, 0)) for every int16 x.
    case relu
    /// (v, v >= 2^7) for v in 0..<2^8: the high limb of x + 2^15 with the sign of x >= 0.
    case sign
    /// The rows of one of the circuit's functions.
    case function(Int)

    var log: Int {
      switch self {
      case .range(let bits): bits
      case .relu, .function: 16
      case .sign: 8
      }
    }

    /// Keeps rows of different kinds of table apart.
    var tag: Int64 {
      switch self {
      case .range: 1
      case .relu: 2
      case .sign: 3
      case .function(let index): 4 + Int64(index)
      }
    }
  }

  /// Every cell of the mask holds a row of the table of this tag.
  struct Lookup: Sendable {
    enum Second: Sendable {
      /// The range table of so many bits.
      case bits(Scale)
      case value(LinearForm)
    }

    let first: Quantity
    let second: Second
    let tag: Int64
    let mask: Mask

    var shape: [Int] { first.form.shape }
  }

  /// An intermediate that is bilinear in tensors and weights.
  enum Accumulator: Sendable {
    case weighted(WeightedSum)
    /// The product of two tensors, cell by cell.
    case product(LinearForm, LinearForm)
  }

  /// On every cell, the product of the factors is the result.
  struct ProductCheck: Sendable {
    /// The form, plus 1 where the mask, if there is one, is 0.
    struct Factor: Sendable {
      let form: LinearForm
      var outside: Mask?
    }

    enum Result: Sendable {
      case form(LinearForm)
      /// 1 where the mask is 0.
      case outside(Mask)
    }

    let factors: [Factor]
    let result: Result

    var shape: [Int] { factors[0].form.shape }
  }

  /// A leaf block of a LogUp tree.
  enum Block: Sendable {
    case lookup(Int)
    case table(Int)
  }

  /// Blocks in order of falling size; what they leave of 2^log leaves is empty.
  struct Tree: Sendable {
    let log: Int
    let blocks: [Block]
  }

  package let program: Program
  package let parameters: Parameters
  /// Inferences of one proof.
  package let batch: Int
  let sources: [Source]
  let columns: [Column]
  let lookups: [Lookup]
  let accumulators: [Accumulator]
  let checks: [ProductCheck]
  /// Forms that are 0 on every cell: outputs that are linear images of other tensors.
  let links: [LinearForm]
  let functions: [FunctionRows]
  /// A table and the column of its multiplicities.
  let tables: [(table: Table, column: Int)]
  let trees: [Tree]
  /// Rows of the witness's matrix, each of 2^messageLog elements: the first of the vector.
  let rowCount: Int
  /// Rows of the weights' matrix, further down in the same vector; none where weights are public.
  /// All other rows are 0.
  let weightRows: Range<Int>
  /// log2 of the vector's length, padded.
  let vectorLog: Int

  func layout(_ block: Block) -> Layout {
    switch block {
    case .lookup(let index): Layout(lookups[index].shape)
    case .table(let index): Layout([1 << tables[index].table.log])
    }
  }

  func shape(of wire: Wire) -> [Int] {
    switch wire {
    case .tensor(let tensor): leading + program.tensors[tensor].shape
    case .column(let column): columns[column].layout.shape
    case .output(let output): leading + program.outputs[output].shape
    case .one: []
    }
  }

  /// The axis that counts the batch; none for a single inference.
  var leading: [Int] { batch == 1 ? [] : [batch] }

  /// Cells of the witness, without what pads it.
  let cellCount: Int

  /// Committed weights.
  var weightCellCount: Int {
    weightRows.count << parameters.messageLog
  }

  /// Leaves of all trees.
  var leafCount: Int { trees.reduce(0) { $0 + 1 << $1.log } }
}

/// Why a slice cannot be compiled.
package struct CircuitError: Error, Sendable, Equatable {
  /// The operation's name, or its kind where the program as a whole is at fault.
  package let node: String
  package let reason: String

  package init(node: String, reason: String) { (self.node, self.reason) = (node, reason) }
}
