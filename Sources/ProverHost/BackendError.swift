package import Primitives

/// Why a plugin's file cannot be used at all. Found by the host process before or while opening it.
package enum PluginFault: UInt8, Sendable, Hashable {
  case missing = 1
  case digestMismatch = 2
  case notLoadable = 3
  case noEntry = 4
  case wrongABI = 5
  case malformedDescriptor = 6
  case refusedToStart = 7
  case noSuchBackend = 8

  var code: String {
    switch self {
    case .missing: "plugin-missing"
    case .digestMismatch: "plugin-digest-mismatch"
    case .notLoadable: "plugin-not-loadable"
    case .noEntry: "plugin-has-no-entry"
    case .wrongABI: "plugin-wrong-abi"
    case .malformedDescriptor: "plugin-malformed"
    case .refusedToStart: "plugin-refused-to-start"
    case .noSuchBackend: "no-such-backend"
    }
  }
}

/// What a plugin's function came to other than success: `bourse_status` of the C header.
package enum PluginStatus: Int32, Sendable, Hashable {
  case failed = 1
  case cancelled = 2
  case unsupported = 3
  case malformed = 4
  case badKey = 5
  case rangeFault = 6
  case limit = 7
  case outOfMemory = 8

  var code: String {
    switch self {
    case .failed: "backend-failed"
    case .cancelled: "backend-cancelled"
    case .unsupported: "slice-unsupported"
    case .malformed: "backend-arguments-malformed"
    case .badKey: "backend-key-unusable"
    case .rangeFault: "range-fault"
    case .limit: "backend-limit-exceeded"
    case .outOfMemory: "backend-out-of-memory"
    }
  }
}

/// Why a call to a backend gave no result. The parent process is unharmed in every case, and the
/// next call starts a fresh host process where one is needed.
package enum BackendError: CodedError, Equatable {
  case hostUnavailable(String)
  case pluginUnusable(PluginFault, String)
  /// The plugin's function returned a status; the text is its own diagnostic.
  case refused(PluginStatus, String)
  /// The backend takes the slice, and not with these options; the text is its own diagnostic.
  case optionsRefused(String, String)
  case crashed(HostOperation, String)
  case deadlineExceeded(HostOperation, milliseconds: Int)
  case cancelled(HostOperation)
  /// What came back is not an answer to what was asked.
  case malformedAnswer(HostOperation, String)
  case requestTooLarge(HostOperation, bytes: Int)
  /// The backend does not offer `bourse.batch/1`.
  case batchesUnsupported(BackendID)

  package var isDeadlineExceeded: Bool {
    if case .deadlineExceeded = self { true } else { false }
  }

  package var code: String {
    switch self {
    case .hostUnavailable: "prover-host-unavailable"
    case .pluginUnusable(let fault, _): fault.code
    case .refused(let status, _): status.code
    case .optionsRefused: "backend-option-refused"
    case .crashed: "backend-crashed"
    case .deadlineExceeded: "backend-deadline-exceeded"
    case .cancelled: "backend-call-cancelled"
    case .malformedAnswer: "backend-answer-malformed"
    case .requestTooLarge: "backend-request-too-large"
    case .batchesUnsupported: "batches-unsupported"
    }
  }

  package var sentence: String {
    switch self {
    case .hostUnavailable(let why):
      "The prover host could not be started: \(why); build bourse-prover-host beside this program or name its path."
    case .pluginUnusable(_, let why):
      "The plugin cannot be used: \(why)."
    case .refused(_, let diagnostic):
      diagnostic.isEmpty ? "The backend gave no reason; look at its log." : diagnostic
    case .optionsRefused(let options, let diagnostic):
      "The backend refuses the options '\(options)': \(diagnostic) Leave out or change what it does not take."
    case .crashed(let operation, let how):
      "The backend died in '\(operation)' (\(how)); its job was not done, and it is started again when it is next called."
    case .deadlineExceeded(let operation, let milliseconds):
      "The backend did not end '\(operation)' within the \(milliseconds) ms it had, and is killed where it still is at it; allow more time or give it a smaller slice."
    case .cancelled(let operation):
      "'\(operation)' was cancelled by its caller."
    case .malformedAnswer(let operation, let what):
      "The backend was killed because its answer to '\(operation)' is malformed: \(what); report it to the plugin's author."
    case .requestTooLarge(let operation, let bytes):
      "'\(operation)' takes at most \(FrameSocket.frameLimit) bytes and got \(bytes); use smaller slices."
    case .batchesUnsupported(let backend):
      "Backend '\(backend.name)' makes no proofs of several inferences; prove them one by one."
    }
  }
}
