/// Where boxes stand and how tensors run between them, layer by layer (Sugiyama, Tagawa and Toda,
/// "Methods for visual understanding of hierarchical system structures", 1981): a box stands one
/// layer below the lowest it reads; a tensor that passes layers gets a place in each; places are
/// ordered by the mean of their neighbours' and then moved as close to these as their widths
/// permit.
struct DiagramLayout {
  struct Point {
    var x: Double
    var y: Double
  }

  struct Route {
    let tensor: Int
    let reader: Int
    /// From the giver's lower edge to the reader's upper edge, with a point in each layer between.
    let points: [Point]
  }

  static let layerGap = 84.0
  private static let gap = 28.0
  private static let railWidth = 14.0

  /// Centres, by box.
  let centres: [Point]
  let routes: [Route]
  let width: Double
  let height: Double

  /// A box, or the passage of a tensor through a layer.
  private struct Place {
    let layer: Int
    let width: Double
    var x = 0.0
  }

  /// - Parameter sizes: Of the boxes. The margin is that around everything.
  init(_ diagram: SliceDiagram, sizes: [(width: Double, height: Double)], margin: Double) {
    // Boxes come after all they read.
    var layers = [Int](repeating: 0, count: diagram.boxes.count)
    for box in diagram.boxes.indices {
      for tensor in diagram.tensors where tensor.readers.contains(box) {
        layers[box] = max(layers[box], layers[tensor.giver] + 1)
      }
    }
    var places = zip(layers, sizes).map { Place(layer: $0, width: $1.width) }
    // One chain of passages for each tensor, as deep as its furthest reader needs.
    var passages: [[Int]] = []
    var links: [(upper: Int, lower: Int)] = []
    for tensor in diagram.tensors {
      var chain = [tensor.giver]
      let deepest = tensor.readers.map { layers[$0] }.max() ?? 0
      for layer in (layers[tensor.giver] + 1)..<max(deepest, layers[tensor.giver] + 1) {
        places.append(Place(layer: layer, width: Self.railWidth))
        links.append((chain[chain.count - 1], places.count - 1))
        chain.append(places.count - 1)
      }
      for reader in tensor.readers {
        links.append((chain[layers[reader] - 1 - layers[tensor.giver]], reader))
      }
      passages.append(chain)
    }
    var rows = [[Int]](repeating: [], count: (layers.max() ?? 0) + 1)
    for index in places.indices { rows[places[index].layer].append(index) }
    Self.arrange(&places, &rows, links)

    let left = places.map { $0.x - $0.width / 2 }.min() ?? 0
    for index in places.indices { places[index].x += margin - left }
    width = (places.map { $0.x + $0.width / 2 }.max() ?? 0) + margin
    var tops: [Double] = []
    var y = margin
    let heights = rows.indices.map { row in
      rows[row].filter { $0 < sizes.count }.map { sizes[$0].height }.max() ?? 0
    }
    for row in rows.indices {
      tops.append(y)
      y += heights[row] + Self.layerGap
    }
    height = y - Self.layerGap + margin
    func middle(_ place: Int) -> Point {
      Point(x: places[place].x, y: tops[places[place].layer] + heights[places[place].layer] / 2)
    }
    let centres = diagram.boxes.indices.map(middle)
    self.centres = centres
    routes = diagram.tensors.indices.flatMap { index in
      let tensor = diagram.tensors[index]
      return tensor.readers.map { reader in
        let passed = passages[index].dropFirst().prefix(layers[reader] - layers[tensor.giver] - 1)
        return Route(tensor: index, reader: reader, points: passed.map(middle))
      }
    }
  }

  /// Orders the places of each layer and gives them their x.
  private static func arrange(
    _ places: inout [Place], _ rows: inout [[Int]], _ links: [(upper: Int, lower: Int)]
  ) {
    var above = [[Int]](repeating: [], count: places.count)
    var below = above
    for link in links {
      above[link.lower].append(link.upper)
      below[link.upper].append(link.lower)
    }
    func mean(_ neighbours: [Int], _ fallback: Double) -> Double {
      guard !neighbours.isEmpty else { return fallback }
      return neighbours.reduce(0) { $0 + places[$1].x } / Double(neighbours.count)
    }
    for row in rows { pack(row, wanted: row.indices.map { Double($0) }, &places) }
    for sweep in 0..<24 {
      let isDown = sweep.isMultiple(of: 2)
      for row in isDown ? Array(rows.indices) : rows.indices.reversed() {
        let wanted = rows[row].map { mean(isDown ? above[$0] : below[$0], places[$0].x) }
        // The order settles first; then only the distances change.
        if sweep < 12 {
          let order = rows[row].indices.sorted { (wanted[$0], $0) < (wanted[$1], $1) }
          rows[row] = order.map { rows[row][$0] }
          pack(rows[row], wanted: order.map { wanted[$0] }, &places)
        } else {
          pack(
            rows[row],
            wanted: rows[row].map { mean(above[$0] + below[$0], places[$0].x) }, &places)
        }
      }
    }
  }

  /// The places of one row as near to where they are wanted, in squares, as their widths permit:
  /// isotonic regression by pooling adjacent violators.
  private static func pack(_ row: [Int], wanted: [Double], _ places: inout [Place]) {
    var offsets: [Double] = []
    var offset = 0.0
    for (position, place) in row.enumerated() {
      if position > 0 {
        offset += (places[row[position - 1]].width + places[place].width) / 2 + gap
      }
      offsets.append(offset)
    }
    var pools: [(sum: Double, count: Int)] = []
    for (position, want) in wanted.enumerated() {
      pools.append((want - offsets[position], 1))
      while pools.count > 1 {
        let (upper, lower) = (pools[pools.count - 1], pools[pools.count - 2])
        guard lower.sum / Double(lower.count) > upper.sum / Double(upper.count) else { break }
        pools.removeLast(2)
        pools.append((lower.sum + upper.sum, lower.count + upper.count))
      }
    }
    var position = 0
    for pool in pools {
      for _ in 0..<pool.count {
        places[row[position]].x = pool.sum / Double(pool.count) + offsets[position]
        position += 1
      }
    }
  }
}
