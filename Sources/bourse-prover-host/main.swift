import Glibc
import ProverHost

// `_exit`: a plugin's destructors have no say in whether this process ends.
_exit(HostServer.run())
