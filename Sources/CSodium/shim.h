// libsodium as a Swift module: Ed25519 and CURVE keys.
#ifndef BOURSE_CSODIUM_SHIM_H
#define BOURSE_CSODIUM_SHIM_H

#include <sodium.h>

#endif
