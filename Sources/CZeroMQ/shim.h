// libzmq as a Swift module. Macro-only and variadic calls are added here as `static inline` shims.
#ifndef BOURSE_CZEROMQ_SHIM_H
#define BOURSE_CZEROMQ_SHIM_H

#include <stdint.h>
#include <sys/epoll.h>
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

/// An epoll instance, or -1.
static inline int bourse_poll_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

/// From now on `bourse_poll_wait` gives `number` while the descriptor is readable.
static inline int bourse_poll_add(int poll, int descriptor, uint64_t number) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = number}};
  return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
}

static inline int bourse_poll_remove(int poll, int descriptor) {
  return epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, 0);
}

/// The numbers of up to `limit` (at most 64) readable descriptors, once there are some or after
/// `timeout` milliseconds (-1 for none); returns their count.
static inline int bourse_poll_wait(int poll, uint64_t *numbers, int limit, int timeout) {
  struct epoll_event events[64];
  int count = epoll_wait(poll, events, limit < 64 ? limit : 64, timeout);
  for (int i = 0; i < count; i++) numbers[i] = events[i].data.u64;
  return count < 0 ? 0 : count;
}

#endif
