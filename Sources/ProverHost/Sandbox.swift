import CLinux
import Glibc

/// What the host process gives up for good before any byte of a plugin is mapped. A plugin's
/// constructors run inside `dlopen`, so this comes before it.
///
/// This is the one place where the process is confined: Landlock and the seccomp filter join here.
enum Sandbox {
  /// False where the kernel refused.
  static func enter() -> Bool {
    // Swift's runtime would start a debugger on a crash; here the parent reports it.
    for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP] {
      signal(number, SIG_DFL)
    }
    // Memory of a crashed plugin holds a requester's tensors: no core files.
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    guard setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 else { return false }
    guard linux_set_no_new_privileges() == 0 else { return false }
    // A plugin that hangs must not outlive the parent that would have killed it.
    return linux_die_with_parent() == 0
  }
}
