// Linux calls that Swift cannot spell, because they are variadic or hidden behind _GNU_SOURCE.
// Each is the call itself; the policy stays in Swift.
#ifndef BOURSE_CLINUX_SHIM_H
#define BOURSE_CLINUX_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// From <linux/memfd.h> of Linux 6.3; older kernels refuse it with EINVAL.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static inline int linux_set_no_new_privileges(void) {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// The calling process is killed when the thread that started it ends.
static inline int linux_die_with_parent(void) {
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

// An anonymous file that may be executed and sealed. -1 and errno on failure.
static inline int linux_anonymous_file(const char *name) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int file = (int)syscall(SYS_memfd_create, name, flags | MFD_EXEC);
  if (file < 0 && errno == EINVAL) {
    file = (int)syscall(SYS_memfd_create, name, flags);
  }
  return file;
}

// From here on nobody, through any descriptor, can change the anonymous file.
static inline int linux_seal(int file) {
  return fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

static inline int linux_set_nonblocking(int file) {
  return fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK);
}

// In the child, every descriptor from `first` upwards is closed before it runs.
static inline int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
  extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

static inline int linux_remove_one(
    const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status, (void)type, (void)walk;
  return remove(path);
}

// Removes a directory and all below it, following no link.
static inline int linux_remove_tree(const char *path) {
  return nftw(path, linux_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

#endif
