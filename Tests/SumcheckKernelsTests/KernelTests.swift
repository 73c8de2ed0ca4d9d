import Testing

/// All of the tests, one at a time: a path is selected for the whole process.
@Suite(.serialized) struct KernelTests {}
