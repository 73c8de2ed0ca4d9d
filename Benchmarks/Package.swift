// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who uses the project resolves or builds it. It measures the
// built programs from outside (docs/adr/0007-benchmarks.md); `scripts/bench` builds both. Only the
// kernels of the sumcheck prover are measured from inside, by a link to their folder.
let package = Package(
  name: "bourse-benchmarks",
  targets: [
    .executableTarget(name: "bourse-benchmarks"),
    .target(name: "CSumcheckKernels"),
    .executableTarget(name: "sumcheck-kernels", dependencies: ["CSumcheckKernels"]),
  ],
  swiftLanguageModes: [.v6]
)
