import Auditor
import Broker
import Market
import MerkleLog
import Primitives
import Prover
import ProverHost
import Requester
import Slicing
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// Slices that are proven by the real `sumcheck`, beside others that are run again.
  @Suite(.serialized) struct ProvenSliceTests {}
}

extension ExchangeTests.ProvenSliceTests {
  private static let backends: [BackendID] = [.sumcheck, .reexec]

  @Test func proofsAndReexecutionsArePaidAndCountedApartAndTheirBundleHoldsOffline() async throws {
    let sample = try SampleModel.mlp.get()
    let verifier = [try await SharedBackend.served(.sumcheck).backend]
    try await Exchange.run(backends: Self.backends) { exchange in
      try await exchange.publish(sample)
      let key = try await exchange.party()
      try await exchange.prover(key, price: 1_000)
      let input = try sample.input()
      let asked = try await exchange.ask(sample, input, proving: .slices(["slice-1"]))
      let report = try await asked.end()
      #expect(report.state == .final)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      let costs = sample.manifest.slices.map(\.cost.units)
      var coverage = Coverage()
      (coverage.proven, coverage.provenCost) = (1, Cost(units: costs[1]))
      (coverage.reexecuted, coverage.reexecutedCost) = (2, Cost(units: costs[0] + costs[2]))
      #expect(report.coverage == coverage)
      let bonds = await exchange.balances()
      #expect(bonds[.bond(key.publicKey)] == Exchange.bond)

      let bundle = try await asked.session.bundle(asked.performed, report, sample.manifest)
      #expect(BundleAudit(bundle).provingBackends == [.sumcheck])
      let found = try await BundleAudit(bundle).run(verifyingWith: verifier)
      #expect(found.coverage == coverage)
      let again = try await BundleAudit(bundle).run(verifyingWith: nil)
      #expect(again.coverage.reexecuted == 3)
      await #expect(throws: BundleError.noVerifier(slice: "slice-1", .sumcheck)) {
        try await BundleAudit(bundle).run(verifyingWith: [])
      }
      try await refusesEveryMutation(
        of: bundle, expecting: exchange.card.brokerKey, verifyingWith: verifier)
      await refusesWhatItsProverSignedFalsely(bundle, key, verifier)
    }
  }

  /// A prover, and a broker, that sign whatever they are told to.
  private func refusesWhatItsProverSignedFalsely(
    _ bundle: Bundle, _ prover: SigningKey, _ verifier: [Backend]
  ) async {
    let proven = bundle.slices.firstIndex { $0.keyRecord.backend == .sumcheck } ?? 0
    let slice = bundle.slices[proven]
    let blobs = Dictionary(bundle.blobs.map { (Digest.of($0), $0) }) { first, _ in first }

    var proof = blobs[slice.receipt.proof] ?? []
    proof[proof.count / 3] ^= 4
    let false1 = bundle.replacing(
      proven, by: slice.signed(slice.keyRecord, proof: Digest.of(proof), by: prover),
      adding: [proof])
    await refuses(false1, "bundle-false-proof", verifier)
    // Of what is run again nothing but the outputs counts.
    await #expect(throws: Never.self) { try await BundleAudit(false1).run(verifyingWith: nil) }

    var key = blobs[slice.keyRecord.verifierKey] ?? []
    key[key.count / 2] ^= 1
    let record = KeyRecord(
      model: slice.keyRecord.model, slice: slice.keyRecord.slice, backend: .sumcheck,
      backendVersion: slice.keyRecord.backendVersion, plugin: slice.keyRecord.plugin,
      verifierKey: Digest.of(key))
    let false2 = bundle.replacing(
      proven, by: slice.signed(record, proof: slice.receipt.proof, by: prover), adding: [key])
    await refuses(false2, "bundle-foreign-key", verifier)

    // The honest proof under another statement: the context differs.
    let other = KeyRecord(
      model: slice.keyRecord.model, slice: slice.keyRecord.slice, backend: .sumcheck,
      backendVersion: "0.0.0", plugin: slice.keyRecord.plugin,
      verifierKey: slice.keyRecord.verifierKey)
    let false3 = bundle.replacing(
      proven, by: slice.signed(other, proof: slice.receipt.proof, by: prover), adding: [])
    await refuses(false3, "bundle-false-proof", verifier)
  }

  private func refuses(_ bundle: Bundle, _ code: String, _ verifier: [Backend]) async {
    await #expect {
      try await BundleAudit(bundle).run(verifyingWith: verifier)
    } throws: { error in
      (error as? BundleError)?.code == code
    }
  }

  @Test(arguments: [Misbehaviour.wrongOutput, .badProof, .badRoot])
  func cheatOnAProvenSliceIsSlashedAndAnotherProvesIt(_ cheating: Misbehaviour) async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(backends: Self.backends) { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, cheating, on: [.sumcheck])
      let honest = try await exchange.prover(price: 1_000)
      let input = try sample.input()
      let asked = try await exchange.ask(sample, input, proving: .slices(["slice-1"]))
      let report = try await asked.end()
      #expect(report.state == .final)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == [.slashed])
      #expect(faults.map(\.terms.prover) == [cheat])
      #expect(faults.map(\.terms.slice) == [1])
      #expect(report.coverage?.proven == 1)
      #expect(report.coverage?.reexecuted == 2)
      let balances = await exchange.balances()
      let stake = Int64(faults[0].terms.stake.microcredits)
      #expect(balances[.bond(cheat)] == Exchange.bond - stake)
      #expect(balances[.bond(honest)] == Exchange.bond)
    }
  }

  @Test func policyThatNamesNoSliceOrNoKeySaysWhatToDo() async throws {
    let sample = try SampleModel.mlp.get()
    // A broker without the proving backend.
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      await #expect(
        throws: RequesterError.unknownSlice(
          "slice-7", known: sample.manifest.slices.map(\.name))
      ) {
        try await exchange.ask(sample, try sample.input(), proving: .slices(["slice-7"]))
      }
      await #expect(
        throws: RequesterError.noKeys(
          slices: ["slice-0", "slice-1", "slice-2"], .sumcheck, known: [.reexec])
      ) {
        try await exchange.ask(sample, try sample.input(), proving: .all)
      }
    }
  }

  @Test func keysArePublishedForWhatABackendSupportsAndItsRestIsNoHindrance() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    let id = model.manifest.id
    let exampleC = SharedBackend.exampleC
    try await Exchange.run(backends: [exampleC, .reexec]) { exchange in
      try await exchange.publish(model)
      let keys = try await exchange.client(nil).keyRecords(of: id)
      #expect(keys.filter { $0.backend == .reexec }.map(\.slice) == [0, 1])
      #expect(keys.filter { $0.backend == exampleC }.map(\.slice) == [0])
      _ = try await exchange.prover(price: 1_000)
      let requester = try await exchange.party()
      let session = RequestSession(client: exchange.client(requester), key: requester)
      let input = [UInt8](repeating: 3, count: 16)
      var order = RequestSession.Order()
      (order.proving, order.backend) = (.all, exampleC)
      await #expect(
        throws: RequesterError.noKeys(slices: ["share"], exampleC, known: [exampleC, .reexec])
      ) {
        try await session.submit(
          model: id, manifest: model.manifest, inputs: [input], order: order)
      }
      order.proving = .none
      let performed = try await session.submit(
        model: id, manifest: model.manifest, inputs: [input], order: order)
      let report = try await within(.seconds(60)) {
        try await session.follow(performed.envelope.digest) { _ in }
      }
      #expect(report.state == .final)
      #expect(report.coverage?.reexecuted == 2)
    }
  }

  @Test func proofThatOneProcessAloneRefusesCostsNoStake() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    try await Exchange.run(backends: [SharedBackend.fault, .reexec]) { exchange in
      try await exchange.publish(model)
      let prover = try await exchange.prover(price: 1_000)
      // The broker's process has been right before; the prover's own, which proves, has not.
      let slice = model.manifest.slices[0]
      let backend = try await SharedBackend.served(SharedBackend.fault).backend
      let bundle = SliceBundle(
        onnx: try #require(model.blobs[slice.onnx]),
        program: try #require(model.blobs[slice.program]),
        boundaries: Boundaries(inputs: slice.inputs, outputs: slice.outputs))
      let verifier = try await backend.openVerifier(
        key: try await backend.compile(bundle).verifier, boundaries: bundle.boundaries)
      let tensor = [UInt8](repeating: 3, count: 16)
      _ = await verifier.verify(inputs: [tensor], outputs: [tensor], proof: [], context: .zero)
      let lease = try await exchange.provenByFault(model)
      #expect(lease.state == .released)
      #expect(lease.isReexecuted)
      #expect(await exchange.balances()[.burned] ?? 0 == 0)
      #expect(try await exchange.faults().isEmpty)
      #expect(lease.terms.prover == prover)
    }
  }

  @Test func proofsThatHangAreGivenUpInTimeAndCostNoStake() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    var parameters = Parameters()
    parameters.proveWindow = 4_000
    try await Exchange.run(parameters, backends: [SharedBackend.fault, .reexec]) { exchange in
      try await exchange.publish(model)
      let said = Said()
      let backends = [
        try await SharedBackend.faulty("HANGS_IN_PROVE"),
        try await SharedBackend.served(.reexec).backend,
      ]
      try await exchange.prover(
        try await exchange.party(), price: 1_000, with: backends, logger: said.logger)
      // The second is worked as if the first had not been.
      for count in 1...2 {
        let lease = try await exchange.provenByFault(model)
        #expect(lease.state == .released)
        #expect(lease.isReexecuted)
        #expect(said.count(of: "no proof after 1 attempts") == count)
      }
      #expect(try await exchange.faults().isEmpty)
      #expect(await exchange.balances()[.burned] ?? 0 == 0)
    }
  }

  @Test func policyIsReadAsItIsWrittenAndChoosesAsItSays() throws {
    let manifest = try SampleModel.mlp.get().manifest
    for text in ["all", "none", "top:2", "critical:1", "slice-0,slice-2"] {
      #expect(ProvingPolicy(text)?.description == text)
    }
    for (text, parts) in [("cost:25%", 250_000), ("cost:0.0125%", 125), ("cost:7ppm", 7)] {
      #expect(ProvingPolicy(text) == .cost(PartsPerMillion(clamping: UInt32(parts))))
      #expect(ProvingPolicy(text)?.description == "cost:\(parts)ppm")
    }
    for text in [
      "", "top", "top:", "top:0", "critical:-1", "critical:two", "slice-0,,slice-1", "cost",
      "cost:",
      "cost:25", "cost:0%", "cost:100.1%", "cost:1.%", "cost:.5%", "cost:0.00001%", "cost:-1ppm",
      "cost:1000001ppm",
    ] {
      #expect(ProvingPolicy(text) == nil, "'\(text)'")
    }
    #expect(try ProvingPolicy.none.chosen(of: manifest) == [])
    #expect(try ProvingPolicy.all.chosen(of: manifest) == [0, 1, 2])
    #expect(try ProvingPolicy.top(9).chosen(of: manifest) == [0, 1, 2])
    #expect(try ProvingPolicy.slices(["slice-2"]).chosen(of: manifest) == [2])
    let costs = manifest.slices.map(\.cost)
    #expect(try ProvingPolicy.top(1).chosen(of: manifest) == [costs.firstIndex(of: costs.max()!)!])
    // Just below the dearest's share it suffices; a unit more asks for the next.
    let whole = costs.reduce(0) { $0 + $1.units }
    let share = UInt32(costs.max()!.units * 1_000_000 / whole)
    func chosen(_ parts: UInt32) throws -> Int {
      try ProvingPolicy.cost(PartsPerMillion(clamping: parts)).chosen(of: manifest).count
    }
    #expect(try chosen(1) == 1)
    #expect(try chosen(share) == 1)
    #expect(try chosen(share + 1) == 2)
    #expect(try chosen(1_000_000) == 3)
    let critical = manifest.criticalities.map(\.combined)
    #expect(
      try ProvingPolicy.critical(1).chosen(of: manifest)
        == [critical.firstIndex(of: critical.max()!)!])
  }
}

extension Bundle.Slice {
  /// The same work under another key record or proof, signed by its prover all the same.
  fileprivate func signed(
    _ record: KeyRecord, proof: Digest, by prover: SigningKey
  ) -> Bundle.Slice {
    let old = receipt.statement
    let statement = Statement(
      network: old.network, request: old.request, lease: old.lease, model: old.model,
      slice: old.slice, inputs: old.inputs, outputs: old.outputs, backend: old.backend,
      keyRecord: record.digest, prover: old.prover)
    let receipts = [Receipt(statement: statement, proof: proof)]
    let batch = Batch(network: old.network, receipts: receipts, signedBy: prover)
    return Bundle.Slice(
      keyRecord: record, commitment: commitment, receipt: receipts[0],
      batchRoot: batch.signedRoot, inclusion: Batch.tree(receipts).inclusionProof(of: 0))
  }
}

extension Bundle {
  /// With another slice in the place of one, and the job root that follows.
  fileprivate func replacing(
    _ index: Int, by slice: Bundle.Slice, adding blobs: [[UInt8]]
  ) -> Bundle {
    var slices = slices
    slices[index] = slice
    return Bundle(
      network: network, request: request, acknowledgement: acknowledgement,
      checkpoint: checkpoint, entry: entry, manifest: manifest, slices: slices,
      jobRoot: MerkleTree(leaves: slices.map(\.receipt.canonicalBytes)).root,
      blobs: self.blobs + blobs)
  }
}

/// Flips one bit in the first, the last and some seeded bytes of every part of the bundle.
func refusesEveryMutation(
  of bundle: Bundle, expecting broker: PublicKey, verifyingWith backends: [Backend]?
) async throws {
  let bytes = bundle.canonicalBytes
  await #expect(throws: Never.self) {
    try await BundleAudit(try Bundle(canonicalBytes: bytes)).run(
      expecting: broker, verifyingWith: backends)
  }
  var sizes = [
    8, bundle.network.canonicalBytes.count, bundle.request.canonicalBytes.count,
    bundle.acknowledgement.canonicalBytes.count, bundle.checkpoint.canonicalBytes.count,
    bundle.entry.canonicalBytes.count, bundle.manifest.canonicalBytes.count, 4,
  ]
  for slice in bundle.slices {
    sizes += [
      slice.keyRecord.canonicalBytes.count, slice.commitment.canonicalBytes.count,
      slice.receipt.canonicalBytes.count, slice.batchRoot.canonicalBytes.count,
      slice.inclusion.canonicalBytes.count,
    ]
  }
  sizes += [Bytes32.count, 4]
  for blob in bundle.blobs { sizes += [4, blob.count] }
  #expect(sizes.reduce(0, +) == bytes.count)
  var generator = Seeded(state: 20)
  var start = 0
  for size in sizes {
    var positions: Set = [start, start + size - 1]
    for _ in 0..<4 { positions.insert(.random(in: start..<start + size, using: &generator)) }
    for position in positions.sorted() {
      var mutated = bytes
      mutated[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      await #expect(throws: (any Error).self, "byte \(position) of part at \(start)") {
        try await BundleAudit(try Bundle(canonicalBytes: mutated)).run(
          expecting: broker, verifyingWith: backends)
      }
    }
    start += size
  }
  let stranger = SigningKey.random().publicKey
  await #expect(throws: BundleError.self) {
    try await BundleAudit(bundle).run(expecting: stranger, verifyingWith: backends)
  }
}
