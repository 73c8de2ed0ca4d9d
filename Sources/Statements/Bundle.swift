package import MerkleLog
package import Primitives

/// Everything needed to check one finished request offline: who asked for what, that the broker's
/// journal has it, who answered each slice under which signature, and the bytes behind each
/// digest.
package struct Bundle: Sendable, CanonicalCodable {
  /// A bundle above this is refused before it is read.
  package static let byteLimit = 1 << 30
  package static let blobLimit = 1 << 29

  /// One settled slice.
  package struct Slice: Sendable, CanonicalCodable {
    package let keyRecord: KeyRecord
    package let commitment: OutputCommitment
    package let receipt: Receipt
    package let batchRoot: BatchRoot
    package let inclusion: InclusionProof

    package init(
      keyRecord: KeyRecord, commitment: OutputCommitment, receipt: Receipt, batchRoot: BatchRoot,
      inclusion: InclusionProof
    ) {
      self.keyRecord = keyRecord
      self.commitment = commitment
      self.receipt = receipt
      self.batchRoot = batchRoot
      self.inclusion = inclusion
    }

    package func encode(into encoder: inout CanonicalEncoder) {
      encoder.append(keyRecord)
      encoder.append(commitment)
      encoder.append(receipt)
      encoder.append(batchRoot)
      encoder.append(inclusion)
    }

    package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
      keyRecord = try decoder.record()
      commitment = try decoder.record()
      receipt = try decoder.record()
      batchRoot = try decoder.record()
      inclusion = try decoder.record()
    }
  }

  package let network: NetworkID
  /// The requester's envelope, as it was signed.
  package let request: Envelope
  /// The broker's word that the request is in its journal.
  package let acknowledgement: Acknowledgement
  /// The broker's signature over the journal, as it stood when the bundle was made.
  package let checkpoint: Checkpoint
  /// That the request's entry, whose hash the acknowledgement names, is in that journal.
  package let entry: InclusionProof
  package let manifest: Manifest
  /// One per slice of the manifest, in its order.
  package let slices: [Slice]
  /// Merkle root over the slices' receipts.
  package let jobRoot: Digest
  /// Programs, tensors and proofs, in the order of their digests.
  package let blobs: [[UInt8]]

  package init(
    network: NetworkID, request: Envelope, acknowledgement: Acknowledgement,
    checkpoint: Checkpoint, entry: InclusionProof, manifest: Manifest, slices: [Slice],
    jobRoot: Digest, blobs: [[UInt8]]
  ) {
    self.network = network
    self.request = request
    self.acknowledgement = acknowledgement
    self.checkpoint = checkpoint
    self.entry = entry
    self.manifest = manifest
    self.slices = slices
    self.jobRoot = jobRoot
    self.blobs = blobs
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(fixed: Array("BRSBNDL3".utf8))
    encoder.append(network)
    encoder.append(request)
    encoder.append(acknowledgement)
    encoder.append(checkpoint)
    encoder.append(entry)
    encoder.append(manifest)
    encoder.append(slices)
    encoder.append(jobRoot)
    encoder.append(UInt32(blobs.count))
    for blob in blobs { encoder.append(counted: blob) }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    guard try decoder.fixed(count: 8) == Array("BRSBNDL3".utf8) else {
      throw decoder.failure(.invalid("the file is no bundle"), at: start)
    }
    network = try decoder.record()
    request = try decoder.record()
    acknowledgement = try decoder.record()
    checkpoint = try decoder.record()
    entry = try decoder.record()
    manifest = try decoder.record()
    slices = try decoder.list(limit: Manifest.sliceLimit, elementSize: 400)
    jobRoot = try decoder.record()
    let count = try decoder.count(limit: 1 << 16, elementSize: 4)
    var blobs: [[UInt8]] = []
    blobs.reserveCapacity(count)
    for _ in 0..<count { blobs.append(try decoder.counted(limit: Self.blobLimit)) }
    self.blobs = blobs
  }
}
