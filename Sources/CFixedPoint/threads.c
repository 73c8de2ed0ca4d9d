#define _GNU_SOURCE
#include "fixed16.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

enum {
  helper_limit = 63,
  // How long a helper looks for the next call before it sleeps: layers follow one another closely,
  // and waking a thread takes longer than this.
  spin_nanoseconds = 20000,
};

// One call at a time has the helpers; `caller` is held by its thread until it is done.
static pthread_mutex_t caller = PTHREAD_MUTEX_INITIALIZER;

// Everything below, unless atomic, is read and written under `door`.
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static pthread_cond_t emptied = PTHREAD_COND_INITIALIZER;
static int helpers;
static int places;               // how many helpers may still join the call
static int sleepers;
static atomic_int inside;        // how many are in it
static atomic_uint calls;        // changes with each call
static struct {
  int64_t count;
  void *context;
  int64_t (*work)(void *context, int64_t part);
  _Atomic int64_t next;
  _Atomic int64_t least;
} call;

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

// Takes parts of the call until none is left.
static void take_parts(void) {
  int64_t least = INT64_MAX;
  for (;;) {
    const int64_t part = atomic_fetch_add_explicit(&call.next, 1, memory_order_relaxed);
    if (part >= call.count) break;
    const int64_t result = call.work(call.context, part);
    if (result < least) least = result;
  }
  int64_t known = atomic_load(&call.least);
  while (least < known && !atomic_compare_exchange_weak(&call.least, &known, least)) {
  }
}

static void *help(void *unused) {
  (void)unused;
  unsigned seen = 0;
  for (;;) {
    const int64_t until = nanoseconds() + spin_nanoseconds;
    while (atomic_load_explicit(&calls, memory_order_acquire) == seen && nanoseconds() < until) {
      for (int i = 0; i < 16; i++) relax();
    }
    pthread_mutex_lock(&door);
    while (atomic_load(&calls) == seen || places == 0) {
      seen = atomic_load(&calls);
      sleepers++;
      pthread_cond_wait(&opened, &door);
      sleepers--;
    }
    seen = atomic_load(&calls);
    places--;
    atomic_fetch_add(&inside, 1);
    pthread_mutex_unlock(&door);
    take_parts();
    pthread_mutex_lock(&door);
    if (atomic_fetch_sub(&inside, 1) == 1) pthread_cond_signal(&emptied);
    pthread_mutex_unlock(&door);
  }
  return NULL;
}

// Under `door`. A thread that cannot be started is done without.
static void start_helpers(int wanted) {
  if (helpers >= wanted) return;
  // Signals are for the threads of the program, never for a helper.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  while (helpers < wanted && pthread_create(&thread, NULL, help, NULL) == 0) {
    pthread_detach(thread);
    helpers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int64_t fixed16_divide(int64_t count, int32_t threads, void *context,
                       int64_t (*work)(void *context, int64_t part)) {
  int64_t wanted = count < threads ? count - 1 : threads - 1;
  if (wanted > helper_limit) wanted = helper_limit;
  if (wanted <= 0 || pthread_mutex_trylock(&caller) != 0) {
    int64_t least = INT64_MAX;
    for (int64_t part = 0; part < count; part++) {
      const int64_t result = work(context, part);
      if (result < least) least = result;
    }
    return least;
  }
  pthread_mutex_lock(&door);
  start_helpers((int)wanted);
  call.count = count;
  call.context = context;
  call.work = work;
  atomic_store(&call.next, 0);
  atomic_store(&call.least, INT64_MAX);
  places = (int)wanted;
  atomic_fetch_add(&calls, 1);
  const int sleeping = sleepers;
  pthread_mutex_unlock(&door);
  if (sleeping > 0) {
    if (wanted == 1) pthread_cond_signal(&opened);
    else pthread_cond_broadcast(&opened);
  }

  take_parts();

  // Whoever has not come by now has nothing left to do; whoever is inside finishes its part.
  pthread_mutex_lock(&door);
  places = 0;
  pthread_mutex_unlock(&door);
  for (int i = 0; i < 1000 && atomic_load(&inside) > 0; i++) relax();
  pthread_mutex_lock(&door);
  while (atomic_load(&inside) > 0) pthread_cond_wait(&emptied, &door);
  const int64_t least = atomic_load(&call.least);
  pthread_mutex_unlock(&door);
  pthread_mutex_unlock(&caller);
  return least;
}

int32_t fixed16_processors(void) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
#endif
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int32_t)online : 1;
}
