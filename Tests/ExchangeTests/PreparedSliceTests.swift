import Broker
import Market
import Primitives
import Prover
import ProverHost
import Requester
import Slicing
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// A prover whose plugin compiles for longer than a lease gives for its outputs.
  @Suite(.serialized) struct PreparedSliceTests {}
}

extension ExchangeTests.PreparedSliceTests {
  private var parameters: Parameters {
    var parameters = Parameters()
    parameters.executeWindow = 1_500
    return parameters
  }

  @Test func bidsRestOnceTheSlicesThatTheyCoverArePreparedSoThatNoFirstLeaseIsLate() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    try await Exchange.run(parameters, backends: [SharedBackend.fault, .reexec]) { exchange in
      try await exchange.publish(model)
      try await exchange.slowlyCompilingProver(Said())
      try await exchange.expectsFirstLeaseInTime(model)
    }
  }

  @Test func modelThatIsPublishedLaterIsPreparedBeforeItsFirstLease() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    try await Exchange.run(parameters, backends: [SharedBackend.fault, .reexec]) { exchange in
      let said = Said()
      try await exchange.slowlyCompilingProver(said)
      try await exchange.publish(model)
      for backend in ["fault", "reexec"] {
        try await said.awaitLine("prepared slice 'rectify' for \(backend)")
      }
      try await exchange.expectsFirstLeaseInTime(model)
    }
  }
}

extension Exchange {
  fileprivate func slowlyCompilingProver(_ said: Said) async throws {
    let backends = [
      try await SharedBackend.faulty("COMPILES_SLOWLY"),
      try await SharedBackend.served(.reexec).backend,
    ]
    try await prover(try await party(), price: 1_000, with: backends, logger: said.logger)
  }

  fileprivate func expectsFirstLeaseInTime(_ model: SlicedModel) async throws {
    let lease = try await provenByFault(model)
    #expect(lease.commitment != nil)
    #expect(try await faults().isEmpty)
  }

  /// The lease of the model's first slice, proven by the backend `fault`, once it has ended.
  func provenByFault(_ model: SlicedModel) async throws -> LeaseReport {
    let requester = try await party()
    let client = client(requester)
    let session = RequestSession(client: client, key: requester)
    var order = RequestSession.Order()
    (order.proving, order.backend) = (.slices(["rectify"]), SharedBackend.fault)
    // Of positive integers the Relu is the copy that the backend makes.
    let performed = try await session.submit(
      model: model.manifest.id, manifest: model.manifest,
      inputs: [[UInt8](repeating: 3, count: 16)], order: order)
    return try await within(.seconds(60)) {
      while true {
        let report = try await client.report(on: performed.envelope.digest)
        if let lease = report.leases.first(where: { $0.terms.slice == 0 && $0.state.isFinal }) {
          return lease
        }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }
}
