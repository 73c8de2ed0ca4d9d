// libpng as a Swift module: its simplified interface, which never jumps out of a call.
#ifndef BOURSE_CPNG_SHIM_H
#define BOURSE_CPNG_SHIM_H

#include <png.h>

#endif
