// Linux calls that Swift cannot spell, because they are variadic or hidden behind _GNU_SOURCE.
// Each is the call itself, with -1 and errno on failure; the policy stays in Swift.
#ifndef BOURSE_LINUX_H
#define BOURSE_LINUX_H

#include <spawn.h>
#include <stddef.h>

int linux_set_no_new_privileges(void);

// The calling process is killed when the thread that started it ends.
int linux_die_with_parent(void);

// An anonymous file that may be executed and sealed.
int linux_anonymous_file(const char *name);

// From here on nobody, through any descriptor, can change the anonymous file.
int linux_seal(int file);

int linux_set_nonblocking(int file);

// In the child, every descriptor from `first` upwards is closed before it runs.
int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int first);

// Removes a directory and all below it, following no link.
int linux_remove_tree(const char *path);

// A descriptor that is readable from when it was rung until it was awaited (an eventfd).
int linux_bell(void);
void linux_bell_ring(int bell);
void linux_bell_await(int bell);

// From here on malloc takes memory from the system 64 MiB at a time and keeps what is freed, for a
// process that fills its memory once and ends: page by page takes a call and a fault each.
void linux_keep_freed_memory(void);

// Bytes that malloc has handed out and not taken back, in all arenas, with what it adds to each
// block; what it keeps for later does not count.
size_t linux_allocated_bytes(void);

#endif
