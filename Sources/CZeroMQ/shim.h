// libzmq as a Swift module. Macro-only and variadic calls are added here as `static inline` shims.
#ifndef BOURSE_CZEROMQ_SHIM_H
#define BOURSE_CZEROMQ_SHIM_H

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

/// `ZMQ_ZAP_ENFORCE_DOMAIN`: the library always knows it, zmq.h names it among drafts only.
static const int BOURSE_ZMQ_ZAP_ENFORCE_DOMAIN = 93;

/// An eventfd that never blocks, or -1.
static inline int bourse_wake_open(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

/// Makes the eventfd readable. A full counter is readable already, so failure changes nothing.
static inline void bourse_wake_signal(int descriptor) {
  uint64_t one = 1;
  ssize_t written = write(descriptor, &one, sizeof one);
  (void)written;
}

/// Makes the eventfd unreadable until the next signal.
static inline void bourse_wake_clear(int descriptor) {
  uint64_t count;
  ssize_t taken = read(descriptor, &count, sizeof count);
  (void)taken;
}

#endif
