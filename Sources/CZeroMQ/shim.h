// libzmq as a Swift module. Macro-only and variadic calls are added here as `static inline` shims.
#ifndef BOURSE_CZEROMQ_SHIM_H
#define BOURSE_CZEROMQ_SHIM_H

#include <zmq.h>

#endif
