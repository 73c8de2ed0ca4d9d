// Holds the layout of version 1 on 64-bit platforms: a change here is a change of the major
// version.
#include "bourse_prover.h"

#define HOLDS(type, size) \
  _Static_assert(sizeof(void *) != 8 || sizeof(type) == (size), #type " changed its layout")

HOLDS(bourse_boundary, 32);
HOLDS(bourse_tensor, 32);
HOLDS(bourse_bytes, 16);
HOLDS(bourse_slice, 64);
HOLDS(bourse_sink, 24);
HOLDS(bourse_host, 40);
HOLDS(bourse_call, 40);
HOLDS(bourse_estimate, 32);
HOLDS(bourse_compile, 40);
HOLDS(bourse_session_options, 48);
HOLDS(bourse_inference, 32);
HOLDS(bourse_backend, 112);
HOLDS(bourse_batch, 24);
HOLDS(bourse_prover_entry, 40);
