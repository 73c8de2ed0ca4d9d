// swift-tools-version: 6.2
import PackageDescription

// Chosen once, here, for every Swift target of the package (docs/adr/0001-layout.md).
let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let sqlite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let serviceLifecycle = Target.Dependency.product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(
  name: "UnixSignals", package: "swift-service-lifecycle")

// The prover and the verifier of `sumcheck` are built for the processors that have AVX2.
#if arch(x86_64)
  let vectorSettings: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=x86-64-v3"])]
#else
  let vectorSettings: [SwiftSetting] = []
#endif

func library(
  _ name: String, _ dependencies: [Target.Dependency], path: String? = nil,
  exclude: [String] = [], settings: [SwiftSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: path, exclude: exclude,
    swiftSettings: swiftSettings + settings)
}

func tests(
  _ subject: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(
    name: "\(subject)Tests", dependencies: dependencies, exclude: exclude,
    swiftSettings: swiftSettings)
}

let package = Package(
  name: "bourse",
  products: [
    .executable(name: "bourse", targets: ["bourse"]),
    .executable(name: "bourse-prover-host", targets: ["bourse-prover-host"]),
    .library(name: "bourse-reexec", type: .dynamic, targets: ["ReexecPlugin"]),
    .library(name: "bourse-sumcheck", type: .dynamic, targets: ["SumcheckPlugin"]),
    .library(name: "bourse-example-c", type: .dynamic, targets: ["ExampleCPlugin"]),
    .library(name: "CBourseProver", targets: ["CBourseProver"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  // A target may depend only on targets above it in this list (docs/architecture.md);
  // Tests/LayoutTests reads the imports and holds the direction.
  targets: [
    .systemLibrary(name: "CZeroMQ"),
    .systemLibrary(name: "CSodium"),
    .systemLibrary(name: "COpenSSL"),
    .systemLibrary(name: "CPNG"),
    .target(name: "CLinux"),
    .target(name: "CBourseProver"),
    .target(name: "CFixedPoint"),
    library("Primitives", ["CSodium", "COpenSSL"]),
    library("MerkleLog", ["Primitives"]),
    library("Statements", ["Primitives", "MerkleLog"]),
    library("ModelGraph", ["Primitives", protobuf]),
    library("TensorFiles", ["CPNG", "Primitives", "ModelGraph"]),
    library("FixedPoint", ["CFixedPoint", "Primitives", "Statements"]),
    library(
      "Quantization", ["Primitives", "Statements", "ModelGraph", "TensorFiles", "FixedPoint"]),
    library("Slicing", ["Primitives", "Statements", "ModelGraph", "FixedPoint", "Quantization"]),
    library("Market", ["Primitives", "MerkleLog", "Statements", heap]),
    library(
      "Migrations", [], path: "migrations",
      exclude: ["0001-journal.sql", "0002-acknowledgements.sql", "0003-digests.sql"]),
    library(
      "Journal", ["Primitives", "MerkleLog", "Statements", "Market", "Migrations", grdb, sqlite]),
    library("Replay", ["Primitives", "MerkleLog", "Statements", "Market", "Journal"]),
    library("ProverHost", ["CBourseProver", "CLinux", "Primitives", "Statements", logging]),
    library("PluginCheck", ["Primitives", "Statements", "FixedPoint", "ProverHost"]),
    library("Verdicts", ["Primitives", "Statements", "ProverHost"]),
    library(
      "Wire",
      ["CZeroMQ", "Primitives", "MerkleLog", "Statements", "Market", "CSodium", deque, logging]),
    library(
      "Broker",
      [
        "Primitives", "MerkleLog", "Statements", "FixedPoint", "Market", "Journal", "ProverHost",
        "Verdicts", "Wire", deque, logging, serviceLifecycle,
      ]),
    library(
      "VerifierWorker",
      [
        "Primitives", "Statements", "ProverHost", "Verdicts", "Wire", logging, serviceLifecycle,
      ]),
    library(
      "Prover",
      [
        "Primitives", "MerkleLog", "Statements", "Market", "ProverHost", "Wire", logging,
        serviceLifecycle,
      ]),
    library("Requester", ["Primitives", "Statements", "Slicing", "Market", "Wire"]),
    library(
      "Auditor",
      [
        "Primitives", "MerkleLog", "Statements", "FixedPoint", "Market", "Journal", "Replay",
        "ProverHost", "Verdicts",
      ]),
    .executableTarget(
      name: "bourse",
      dependencies: [
        "CLinux", "Primitives", "MerkleLog", "Statements", "ModelGraph", "TensorFiles",
        "FixedPoint", "Quantization", "Slicing", "Market", "Journal", "Replay", "ProverHost",
        "PluginCheck", "Verdicts", "Wire", "Broker", "VerifierWorker", "Prover", "Requester",
        "Auditor",
        argumentParser, logging, serviceLifecycle, unixSignals,
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "bourse-prover-host", dependencies: ["ProverHost"], swiftSettings: swiftSettings),
    library("BoursePlugin", ["CBourseProver", "Primitives", "Statements", "FixedPoint"]),
    library(
      "ReexecPlugin", ["CBourseProver", "Primitives", "FixedPoint", "BoursePlugin"],
      path: "Plugins/reexec"),
    .target(name: "CSumcheckKernels", path: "Plugins/sumcheck/Kernels"),
    library(
      "Sumcheck", ["CSumcheckKernels", "Primitives", "Statements", "FixedPoint"],
      path: "Plugins/sumcheck/Sumcheck", settings: vectorSettings),
    library(
      "SumcheckPlugin", ["CBourseProver", "Primitives", "FixedPoint", "BoursePlugin", "Sumcheck"],
      path: "Plugins/sumcheck/Plugin"),
    .target(
      name: "ExampleCPlugin", dependencies: ["CBourseProver"], path: "Plugins/example-c",
      exclude: ["README.md"], publicHeadersPath: "."),

    tests("Primitives", ["Primitives"]),
    tests("MerkleLog", ["MerkleLog", "Primitives"]),
    tests("Statements", ["Statements", "MerkleLog", "Primitives"]),
    tests("ModelGraph", ["ModelGraph", "Primitives"]),
    tests("TensorFiles", ["TensorFiles", "ModelGraph", "Primitives"]),
    tests("FixedPoint", ["FixedPoint", "Primitives", "Statements"]),
    tests(
      "Quantization",
      [
        "Quantization", "TensorFiles", "FixedPoint", "ModelGraph", "Statements", "Primitives",
        protobuf,
      ]),
    tests(
      "Slicing",
      [
        "Slicing", "Quantization", "FixedPoint", "ModelGraph", "Statements", "Primitives",
        protobuf,
      ]),
    tests("Market", ["Market", "MerkleLog", "Statements", "Primitives", heap]),
    tests(
      "Journal",
      [
        "Journal", "Replay", "Migrations", "Market", "MerkleLog", "Statements", "Primitives", grdb,
      ],
      exclude: ["Golden"]),
    tests(
      "ProverHost", ["ProverHost", "PluginCheck", "FixedPoint", "Statements", "Primitives"],
      exclude: ["Fixtures"]),
    tests("Wire", ["Wire", "Market", "CZeroMQ", "Statements", "Primitives", logging]),
    tests(
      "Exchange",
      [
        "Broker", "VerifierWorker", "Prover", "Requester", "Auditor", "Slicing", "Quantization",
        "ModelGraph", "Verdicts", "Wire", "Journal", "Replay", "ProverHost", "Market",
        "FixedPoint", "MerkleLog", "Statements", "Primitives", logging, serviceLifecycle,
      ]),
    tests("SumcheckKernels", ["CSumcheckKernels"]),
    tests("Sumcheck", ["CSumcheckKernels", "Sumcheck", "FixedPoint", "Statements", "Primitives"]),
    tests("Layout", []),
  ],
  swiftLanguageModes: [.v6]
)
