import Foundation
import Primitives
import Statements

/// On disk a sliced model is a directory: `manifest` holds the canonical bytes, `blobs/DIGEST` the
/// rest.
extension SlicedModel {
  /// One blob: an ONNX sub-model or a program.
  private static let blobByteLimit = 1 << 30

  /// Appears whole or not at all: everything is written beside `path` and then renamed. Throws
  /// where `path` already exists.
  package func write(to path: String) throws(SlicingError) {
    let (target, draft) = (URL(fileURLWithPath: path), Self.draft(of: path))
    let manager = FileManager.default
    try Self.checkAbsent(path)
    do {
      let folder = draft.appendingPathComponent("blobs")
      try manager.createDirectory(at: folder, withIntermediateDirectories: true)
      for (digest, bytes) in blobs {
        try Data(bytes).write(to: folder.appendingPathComponent(digest.description))
      }
      try Data(manifest.canonicalBytes).write(to: draft.appendingPathComponent("manifest"))
      try manager.moveItem(at: draft, to: target)
    } catch {
      try? manager.removeItem(at: draft)
      throw .unwritable("'\(path)' cannot be written")
    }
  }

  /// Throws where there is something at `path` already.
  package static func checkAbsent(_ path: String) throws(SlicingError) {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw .unwritable("'\(path)' already exists")
    }
  }

  /// Removes what an interrupted `write` of this process has left, while it may still be at work.
  package static func removeDraft(of path: String) {
    let draft = draft(of: path)
    let removed = draft.appendingPathExtension("removed")
    // Under another name first: then the writer finds no directory to write to.
    try? FileManager.default.moveItem(at: draft, to: removed)
    try? FileManager.default.removeItem(at: removed)
  }

  private static func draft(of path: String) -> URL {
    let target = URL(fileURLWithPath: path)
    return target.deletingLastPathComponent().appendingPathComponent(
      ".\(target.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier)")
  }

  /// Reads what `write` wrote and checks every digest.
  package init(directory path: String) throws(SlicingError) {
    let directory = URL(fileURLWithPath: path)
    let manifest: Manifest
    do {
      manifest = try Manifest(
        canonicalBytes: try Self.read(
          directory.appendingPathComponent("manifest"), limit: Manifest.byteLimit))
    } catch let error as SlicingError {
      throw error
    } catch {
      throw .unreadable("'\(path)/manifest' is no manifest")
    }
    var blobs: [Digest: [UInt8]] = [:]
    for slice in manifest.slices {
      for digest in [slice.onnx, slice.program] where blobs[digest] == nil {
        blobs[digest] = try Self.read(
          directory.appendingPathComponent("blobs").appendingPathComponent(digest.description),
          limit: Self.blobByteLimit)
      }
    }
    try self.init(manifest: manifest, blobs: blobs)
  }

  private static func read(_ url: URL, limit: Int) throws(SlicingError) -> [UInt8] {
    let size = (try? url.resourceValues(forKeys: [.fileSizeKey]))?.fileSize
    guard let size, size <= limit, let data = try? Data(contentsOf: url) else {
      throw .unreadable("'\(url.path)' cannot be read or is above \(limit) bytes")
    }
    return [UInt8](data)
  }
}
