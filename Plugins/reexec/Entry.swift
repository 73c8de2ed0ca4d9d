import BoursePlugin
public import CBourseProver

// Public, or an optimised build drops the symbol that nothing here calls.
@_cdecl("bourse_prover_entry_v1")
public func bourseProverEntry() -> UnsafePointer<bourse_prover_entry> {
  PluginEntry.of(Reexec.self)
}
