// libcrypto as a Swift module: SHA-256, by the processor's own instructions where it has them.
//
// The functions that keep their state in the caller's memory: OpenSSL 3 prefers others, which
// allocate for every digest, and marks these as deprecated.
#ifndef BOURSE_COPENSSL_SHIM_H
#define BOURSE_COPENSSL_SHIM_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#endif
