import Foundation
import Glibc
import Primitives

/// A private key in a file that its owner alone can read.
struct KeyFile: Codable {
  let publicKey: String
  let seed: String

  static let byteLimit = 4096

  init(_ key: SigningKey) {
    publicKey = key.publicKey.description
    seed = Hexadecimal.text(key.seed.bytes)
  }

  static func read(_ path: String) throws -> SigningKey {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw KeyFileError.unreadable(path)
    }
    defer { try? handle.close() }
    guard let data = try? handle.read(upToCount: byteLimit),
      let file = try? JSONDecoder().decode(KeyFile.self, from: data),
      let seed = Hexadecimal.bytes(file.seed).flatMap({ Bytes32($0) })
    else { throw KeyFileError.malformed(path) }
    let key = SigningKey(seed: seed)
    guard key.publicKey.description == file.publicKey else { throw KeyFileError.malformed(path) }
    return key
  }

  /// Never replaces a file: a lost key is lost stake.
  static func create(_ key: SigningKey, at path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else {
      throw errno == EEXIST ? KeyFileError.exists(path) : KeyFileError.unwritable(path)
    }
    defer { close(descriptor) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let bytes = [UInt8](try encoder.encode(KeyFile(key))) + [UInt8(ascii: "\n")]
    guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      unlink(path)
      throw KeyFileError.unwritable(path)
    }
  }

  /// The key in the file, which is made where there is none.
  static func readOrCreate(_ path: String) throws -> SigningKey {
    if FileManager.default.fileExists(atPath: path) { return try read(path) }
    let key = SigningKey.random()
    try create(key, at: path)
    return key
  }
}

enum KeyFileError: CodedError {
  case unreadable(String)
  case unwritable(String)
  case malformed(String)
  case exists(String)

  var code: String {
    switch self {
    case .unreadable: "key-file-unreadable"
    case .unwritable: "key-file-unwritable"
    case .malformed: "key-file-malformed"
    case .exists: "key-file-exists"
    }
  }

  var sentence: String {
    switch self {
    case .unreadable(let path):
      "The key file '\(path)' cannot be read; make one with `bourse keys new \(path)`."
    case .unwritable(let path):
      "The key file '\(path)' cannot be written; is the folder there and writable?"
    case .malformed(let path):
      "'\(path)' is not a key file of ours; restore it from a copy or make a new one with `bourse keys new`."
    case .exists(let path):
      "'\(path)' exists and is not replaced, because a lost key is lost money; choose another name."
    }
  }
}
