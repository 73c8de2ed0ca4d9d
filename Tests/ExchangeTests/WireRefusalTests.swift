import Broker
import Journal
import Market
import Primitives
import Requester
import Slicing
import Statements
import Testing

@testable import Wire

extension ExchangeTests {
  /// What the broker refuses over the wire, by its stable code; it serves on afterwards.
  @Suite(.serialized) struct WireRefusalTests {}
}

/// What the refusals of one test are tried on.
private struct Bench {
  let exchange: Exchange
  let sample: SampleModel
  let party: SigningKey
  let client: WireClient

  /// An exchange with the published model and one funded party, nothing else.
  static func run(
    quota: CommandQuota = CommandQuota(), _ body: (Bench) async throws -> Void
  ) async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(quota: quota) { exchange in
      try await exchange.publish(sample)
      let party = try await exchange.party()
      try await body(
        Bench(
          exchange: exchange, sample: sample, party: party, client: exchange.client(party)))
    }
  }

  func envelope(
    _ command: Command, _ key: SigningKey? = nil, network: NetworkID = network,
    expiry: Tick = .never
  ) -> Envelope {
    Envelope(
      network: network, nonce: .random(), expiry: expiry, body: command.canonicalBytes,
      signedBy: key ?? party)
  }

  /// The code with which the bytes of a command are refused, or with which it is rejected.
  func code(of bytes: [UInt8]) async throws -> String? {
    do {
      let answer = try await client.request(
        .command(envelope: bytes), deadline: .now + .seconds(60))
      guard case .acknowledgement(let bytes) = answer else { return "no acknowledgement" }
      return try Acknowledgement(canonicalBytes: bytes).rejection?.code
    } catch let refusal as WireRefusal {
      return refusal.code
    }
  }

  func code(of command: Command, by key: SigningKey? = nil) async throws -> String? {
    try await code(of: envelope(command, key).canonicalBytes)
  }

  func expect(
    _ expected: String, of command: Command, by key: SigningKey? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let got = try await code(of: command, by: key)
    #expect(got == expected, sourceLocation: sourceLocation)
  }

  func terms(
    _ inputs: [Digest], model: ModelID? = nil, limit: UInt64 = 2_000
  ) -> RequestTerms {
    RequestTerms(
      model: model ?? sample.manifest.id, inputs: inputs,
      assurances: sample.manifest.slices.map { _ in SliceAssurance(.proven, by: .reexec) },
      limitPrice: Price(ticks: limit), stakeMultiple: 5, spread: 0, disclosure: .parties,
      nonceCommitment: .zero, beginDeadline: Tick.now.advanced(by: 60_000),
      finalDeadline: Tick.now.advanced(by: 60_000), attemptsMax: 5,
      timeInForce: .goodTillCancelled)
  }

  func uploadedInput() async throws -> Digest { try await client.upload(try sample.input()) }

  /// The broker answers, and neither an entry nor a credit came of what was refused.
  func expectUnmoved(_ body: () async throws -> Void) async throws {
    let before = try await client.status().sequence
    let balances = await exchange.balances()
    try await body()
    #expect(try await client.status().sequence == before)
    #expect(await exchange.balances() == balances)
  }
}

private func expectRefusal(
  _ expected: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async throws {
  do {
    try await body()
    Issue.record("nothing was refused", sourceLocation: sourceLocation)
  } catch let refusal as WireRefusal {
    #expect(refusal.code == expected, sourceLocation: sourceLocation)
  }
}

extension ExchangeTests.WireRefusalTests {
  @Test func refusesMalformedForgedForeignAndExpiredCommands() async throws {
    try await Bench.run { bench in
      try await bench.expectUnmoved {
        let bond = Command.bond(amount: Amount(microcredits: 5))
        #expect(try await bench.code(of: [UInt8]()) == "malformed-command")
        #expect(try await bench.code(of: [1, 2, 3]) == "malformed-command")
        let good = bench.envelope(bond).canonicalBytes
        var generator = Seeded(state: 3)
        for _ in 0..<64 {
          var mutated = good
          mutated[.random(in: 0..<good.count, using: &generator)] ^=
            1 << UInt8.random(in: 0..<8, using: &generator)
          let code = try await bench.code(of: mutated)
          #expect(
            ["malformed-command", "false-signature", "foreign-network"].contains(code), "\(code)")
        }
        #expect(try await bench.code(of: good.dropLast()) == "malformed-command")
        #expect(try await bench.code(of: good + [0]) == "malformed-command")
        // One command under the signature of another.
        let other = bench.envelope(.withdraw(amount: Amount(microcredits: 5)))
        let swapped = good.dropLast(Signature.count) + other.signature.bytes
        #expect(try await bench.code(of: Array(swapped)) == "false-signature")
        let foreign = bench.envelope(bond, network: NetworkID("elsewhere")!)
        #expect(try await bench.code(of: foreign.canonicalBytes) == "foreign-network")
        let expired = bench.envelope(bond, expiry: Tick(milliseconds: 1))
        #expect(try await bench.code(of: expired.canonicalBytes) == "expired")
      }
    }
  }

  @Test func refusesAuthorsThatAreUnknownOrNoKeys() async throws {
    try await Bench.run { bench in
      try await bench.expectUnmoved {
        let bond = Command.bond(amount: Amount(microcredits: 5))
        #expect(try await bench.code(of: bond, by: .random()) == "unknown-author")
        let good = bench.envelope(bond).canonicalBytes
        let key = bench.party.publicKey.bytes
        let start = try #require(
          good.indices.first { good[$0...].starts(with: key) })
        // Points of order 4, 1, 2 and 8 (RFC 8032's curve), and a y that is not below the prime.
        let zero = [UInt8](repeating: 0, count: 32)
        let one = [1] + zero.dropLast()
        let minusOne = [0xec] + [UInt8](repeating: 0xff, count: 30) + [0x7f]
        let eighth = try #require(
          Hexadecimal.bytes(
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
        let large = [0xee] + [UInt8](repeating: 0xff, count: 30) + [0x7f]
        for point in [zero, one, minusOne, eighth, large] {
          var forged = good
          forged.replaceSubrange(start..<start + 32, with: point)
          #expect(try await bench.code(of: forged) == "malformed-command")
        }
      }
    }
  }

  @Test func repeatedCommandActsOnceAndGetsTheSameBytesWhateverItsExpiry() async throws {
    try await Bench.run { bench in
      let soon = Tick.now.advanced(by: 1_500)
      let bytes = bench.envelope(.bond(amount: Amount(microcredits: 5)), expiry: soon)
        .canonicalBytes
      func deliver() async throws -> [UInt8] {
        let answer = try await bench.client.request(
          .command(envelope: bytes), deadline: .now + .seconds(60))
        guard case .acknowledgement(let bytes) = answer else { return [] }
        return bytes
      }
      let first = try await deliver()
      #expect(try Acknowledgement(canonicalBytes: first).isAuthentic)
      let sequence = try await bench.client.status().sequence
      // Also all at once.
      try await withThrowingTaskGroup(of: [UInt8].self) { group in
        for _ in 0..<8 {
          group.addTask { [client = bench.client] in
            let answer = try await client.request(
              .command(envelope: bytes), deadline: .now + .seconds(60))
            guard case .acknowledgement(let bytes) = answer else { return [] }
            return bytes
          }
        }
        for try await again in group { #expect(again == first) }
      }
      #expect(try await bench.client.status().sequence == sequence)
      #expect(await bench.exchange.balances()[.bond(bench.party.publicKey)] == 5)
      // What has acted gets its stored word whatever its expiry.
      while Tick.now <= soon { try await Task.sleep(for: .milliseconds(20)) }
      #expect(try await deliver() == first)
    }
  }

  @Test func rejectsWhoCannotPay() async throws {
    try await Bench.run { bench in
      let bid = BidTerms(
        backend: .reexec, scope: .any, price: Price(ticks: 1_000), capacity: 1)
      try await bench.expect("bond-too-small", of: .placeBid(bid))
      let poor = try await bench.exchange.party(1)
      let input = try await bench.exchange.client(poor).upload(try bench.sample.input())
      let request = bench.terms([input])
      try await bench.expect("insufficient-funds", of: .submitRequest(request), by: poor)
      let all = Amount(microcredits: UInt64(Exchange.deposit) + 1)
      for command in [Command.withdraw(amount: all), .bond(amount: all)] {
        try await bench.expect("insufficient-funds", of: command)
      }
      let deposit = Command.deposit(owner: poor.publicKey, amount: Amount(microcredits: 1))
      try await bench.expect("not-operator", of: deposit)
    }
  }

  @Test func refusesAKeyThatHasMoreRejectedThanAKeyMay() async throws {
    let clock = StandingClock()
    let limits = CommandQuota.Limits(
      rejections: CommandQuota.Allowance(burst: 3, interval: .seconds(1)))
    try await Bench.run(quota: CommandQuota(limits: limits) { clock.now }) { bench in
      let all = Command.withdraw(amount: Amount(microcredits: UInt64(Exchange.deposit) + 1))
      let rejected = bench.envelope(all).canonicalBytes
      #expect(try await bench.code(of: rejected) == "insufficient-funds")
      // What has acted is not journaled again, and counts once.
      #expect(try await bench.code(of: rejected) == "insufficient-funds")
      for _ in 0..<2 { try await bench.expect("insufficient-funds", of: all) }
      let bond = Command.bond(amount: Amount(microcredits: 5))
      try await bench.expectUnmoved {
        try await bench.expect("too-many-rejections", of: all)
        try await bench.expect("too-many-rejections", of: bond)
      }
      let other = try await bench.exchange.party()
      #expect(try await bench.code(of: bond, by: other) == nil)
      clock.pass(.seconds(1))
      #expect(try await bench.code(of: bond) == nil)
    }
  }

  @Test func refusesStrangersAllTogetherUntilTheyHaveAnAccount() async throws {
    let clock = StandingClock()
    let limits = CommandQuota.Limits(
      strangers: CommandQuota.Allowance(burst: 2, interval: .seconds(1)))
    try await Bench.run(quota: CommandQuota(limits: limits) { clock.now }) { bench in
      let bond = Command.bond(amount: Amount(microcredits: 5))
      let stranger = SigningKey.random()
      try await bench.expectUnmoved {
        for _ in 0..<2 { try await bench.expect("unknown-author", of: bond, by: .random()) }
        try await bench.expect("too-many-strangers", of: bond, by: stranger)
      }
      #expect(try await bench.code(of: bond) == nil)
      // Served from the acknowledgement of its deposit on.
      let deposit = Command.deposit(
        owner: stranger.publicKey, amount: Amount(microcredits: 5))
      #expect(try await bench.code(of: deposit, by: bench.exchange.operatorKey) == nil)
      #expect(try await bench.code(of: bond, by: stranger) == nil)
    }
  }

  @Test func rejectsAmountsThatOverflow() async throws {
    try await Bench.run { bench in
      let input = try await bench.uploadedInput()
      let owner = bench.party.publicKey
      let most = Command.deposit(owner: owner, amount: .maximum)
      try await bench.expect("amount-too-large", of: most, by: bench.exchange.operatorKey)
      for excess in [Amount.maximum.microcredits + 1, .max] {
        let bond = Command.bond(amount: Amount(microcredits: excess))
        try await bench.expect("malformed-command", of: bond)
      }
      for limit in [UInt64.max, 1 << 62] {
        let request = Command.submitRequest(bench.terms([input], limit: limit))
        try await bench.expect("amount-too-large", of: request)
      }
      let bid = BidTerms(backend: .reexec, scope: .any, price: Price(ticks: .max), capacity: 1)
      try await bench.expect("invalid-bid", of: .placeBid(bid))
    }
  }

  @Test func refusesBlobsThatAreMissingOrOfAnotherSize() async throws {
    try await Bench.run { bench in
      let short = try await bench.client.upload([1, 2, 3])
      try await bench.expectUnmoved {
        let missing = Command.submitRequest(bench.terms([Digest.of([9])]))
        try await bench.expect("blob-missing", of: missing)
        let wrong = Command.submitRequest(bench.terms([short]))
        try await bench.expect("blob-size-wrong", of: wrong)
      }
    }
  }

  /// A lease could be made between the look for its blobs and the decision, with no blob there.
  @Test func refusesBlobsOfWhatIsNotKnownYet() async throws {
    try await Bench.run { bench in
      try await bench.expectUnmoved {
        let next = OutputCommitment(
          network: network, lease: LeaseID(ordinal: 1), outputs: [Digest.of([9])],
          nonceCommitment: .zero, signedBy: .random())
        try await bench.expect("unknown-lease", of: .commitOutput(next))
        let terms = bench.terms([Digest.of([9])], model: Digest.of([8]))
        try await bench.expect("unknown-model", of: .submitRequest(terms))
      }
    }
  }

  @Test func refusesManifestsThatTheirProgramsDoNotBear() async throws {
    try await Bench.run { bench in
      let manifest = bench.sample.manifest
      func changed(
        _ semantics: String, program: Digest, cost: Cost? = nil
      ) throws -> Command {
        let first = manifest.slices[0]
        let slice = Manifest.Slice(
          name: first.name, onnx: first.onnx, program: program, sources: first.sources,
          inputs: first.inputs, outputs: first.outputs, cost: cost ?? first.cost,
          influence: first.influence)
        return .publishModel(
          try Manifest(
            name: manifest.name, semantics: semantics, inputs: manifest.inputs,
            slices: [slice] + manifest.slices.dropFirst(), outputs: manifest.outputs))
      }
      let garbage = try await bench.client.upload([1, 2, 3])
      try await bench.expectUnmoved {
        let semantics = manifest.semantics
        for program in [manifest.slices[1].program, manifest.slices[0].onnx, garbage] {
          let command = try changed(semantics, program: program)
          try await bench.expect("invalid-program", of: command)
        }
        let honest = manifest.slices[0]
        for units in [honest.cost.units - 1, honest.cost.units + 1] {
          let command = try changed(
            semantics, program: honest.program, cost: Cost(units: units))
          try await bench.expect("cost-wrong", of: command)
        }
        let missing = try changed(semantics, program: Digest.of([9]))
        try await bench.expect("blob-missing", of: missing)
        let other = try changed("float32/1", program: manifest.slices[0].program)
        try await bench.expect("unsupported-semantics", of: other)
      }
    }
  }

  @Test func refusesTheBrokersOwnCommandsFromWhomever() async throws {
    try await Bench.run { bench in
      let verdict = VerdictRecord(
        lease: LeaseID(ordinal: 1), attempt: 1, verdict: .valid, evidence: .zero)
      let record = KeyRecord(
        model: bench.sample.manifest.id, slice: 0, backend: .reexec, backendVersion: "1",
        plugin: .zero, verifierKey: .zero)
      try await bench.expectUnmoved {
        for key in [bench.party, bench.exchange.operatorKey, bench.exchange.brokerKey] {
          for command in [Command.tick, .recordVerdict(verdict), .publishKey(record)] {
            try await bench.expect("reserved-for-broker", of: command, by: key)
          }
        }
      }
    }
  }

  @Test func refusesReadersToWhomATensorIsNotDisclosed() async throws {
    try await Bench.run { bench in
      let bytes = try bench.sample.input()
      let asked = try await bench.exchange.ask(bench.sample, bytes)
      let digest = Digest.of(bytes)
      let own = try await bench.exchange.client(asked.requester)
        .download(digest, byteLimit: bytes.count)
      #expect(own == bytes)
      let operatorKey = bench.exchange.operatorKey
      for reader in [nil, bench.party, operatorKey, SigningKey.random()] {
        let client = bench.exchange.client(reader)
        try await expectRefusal("not-disclosed") {
          _ = try await client.download(digest, byteLimit: bytes.count)
        }
        // The model is for everyone.
        let program = bench.sample.manifest.slices[0].program
        _ = try await client.download(program, byteLimit: 1 << 20)
      }
    }
  }

  @Test func refusesToDiscloseATensorToWhoeverMerelyNamesIt() async throws {
    try await Bench.run { bench in
      let bytes = try bench.sample.input()
      let asked = try await bench.exchange.ask(bench.sample, bytes)
      // Anyone may read a request's terms, and with them the digests of its inputs.
      let terms = try await bench.client.report(on: asked.id).terms
      let theft = Command.submitRequest(bench.terms(terms.inputs))
      try await bench.expect("blob-missing", of: theft)
      let first = bench.sample.manifest.slices[0]
      let slice = Manifest.Slice(
        name: first.name, onnx: terms.inputs[0], program: first.program, sources: first.sources,
        inputs: first.inputs, outputs: first.outputs, cost: first.cost,
        influence: first.influence)
      let manifest = try Manifest(
        name: "theft", semantics: bench.sample.manifest.semantics,
        inputs: bench.sample.manifest.inputs, slices: [slice],
        outputs: [.slice(0, output: 0)])
      try await bench.expect("blob-missing", of: .publishModel(manifest))
      try await expectRefusal("not-disclosed") {
        _ = try await bench.client.download(terms.inputs[0], byteLimit: bytes.count)
      }
      // Who has the bytes may use them, whoever sent them first.
      _ = try await bench.client.upload(bytes)
      let accepted = try await bench.code(of: theft)
      #expect(accepted == nil)
    }
  }

  @Test func refusesNobodyWhereSomebodyIsNeeded() async throws {
    try await Bench.run { bench in
      let nobody = bench.exchange.client(nil)
      try await expectRefusal("hello-needed") { _ = try await nobody.work() }
      try await expectRefusal("hello-needed") { _ = try await nobody.upload([1]) }
      let stranger = bench.exchange.client(.random())
      let work = try await stranger.work()
      #expect(work.isEmpty)
      try await expectRefusal("unknown-author") { _ = try await stranger.upload([1]) }
      let unknown = Digest.of([9])
      try await expectRefusal("unknown-model") { _ = try await nobody.model(unknown) }
      try await expectRefusal("unknown-request") { _ = try await nobody.report(on: unknown) }
      #expect(try await nobody.status().network == network)
    }
  }

  @Test func refusesMoreBlobsOfAKeyThanMayWaitForItsCommands() async throws {
    let sample = try SampleModel.mlp.get()
    let room = sample.model.blobs.values.reduce(0) { $0 + max(UInt64($1.count), 4096) }
    let limits = BlobStore.Limits(unnamedBytes: room, chunk: Frame.chunkLimit)
    try await Exchange.run(blobLimits: limits) { exchange in
      // The model takes all of the room, until it is published.
      try await exchange.publish(sample)
      let client = exchange.client(exchange.operatorKey)
      let blobs = (0...room / 4096).map { Array("blob \($0)".utf8) }
      for blob in blobs.dropLast() { _ = try await client.upload(blob) }
      let last = blobs[blobs.count - 1]
      try await expectRefusal("blob-too-much-unnamed") { _ = try await client.upload(last) }
      // Another key has room of its own.
      _ = try await exchange.client(try await exchange.party()).upload(last)
    }
  }
}
