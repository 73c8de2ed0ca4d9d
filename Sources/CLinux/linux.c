#define _GNU_SOURCE
#include "bourse_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// From Linux 6.3; older kernels refuse it with EINVAL.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int linux_set_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int linux_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

int linux_anonymous_file(const char *name) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int file = (int)syscall(SYS_memfd_create, name, flags | MFD_EXEC);
  if (file < 0 && errno == EINVAL) file = (int)syscall(SYS_memfd_create, name, flags);
  return file;
}

int linux_seal(int file) {
  return fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int linux_set_nonblocking(int file) {
  return fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK);
}

int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status, (void)type, (void)walk;
  return remove(path);
}

int linux_remove_tree(const char *path) {
  return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int linux_bell(void) { return eventfd(0, EFD_CLOEXEC); }

void linux_bell_ring(int bell) { (void)eventfd_write(bell, 1); }

void linux_bell_await(int bell) {
  eventfd_t count;
  (void)eventfd_read(bell, &count);
}

void linux_keep_freed_memory(void) {
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

size_t linux_allocated_bytes(void) {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
