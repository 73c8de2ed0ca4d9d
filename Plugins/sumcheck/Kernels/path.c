// Which path the kernels take: decided once by what the processor has, or by a test.
#include "path.h"

#include <stdatomic.h>

static _Atomic(const sumcheck_table *) selected;

static const sumcheck_table *table_of(sumcheck_path path) {
  switch (path) {
    case SUMCHECK_PORTABLE: return &sumcheck_table_portable;
    case SUMCHECK_AVX2:
#if defined(__x86_64__)
      if (__builtin_cpu_supports("avx2")) return &sumcheck_table_avx2;
#endif
      break;
  }
  return NULL;
}

sumcheck_path sumcheck_path_best(void) {
  return table_of(SUMCHECK_AVX2) != NULL ? SUMCHECK_AVX2 : SUMCHECK_PORTABLE;
}

const sumcheck_table *sumcheck_table_selected(void) {
  const sumcheck_table *table = atomic_load_explicit(&selected, memory_order_relaxed);
  if (table == NULL) {
    table = table_of(sumcheck_path_best());
    atomic_store_explicit(&selected, table, memory_order_relaxed);
  }
  return table;
}

sumcheck_path sumcheck_path_selected(void) {
  return sumcheck_table_selected() == &sumcheck_table_portable ? SUMCHECK_PORTABLE : SUMCHECK_AVX2;
}

bool sumcheck_path_select(sumcheck_path path) {
  const sumcheck_table *table = table_of(path);
  if (table == NULL) return false;
  atomic_store_explicit(&selected, table, memory_order_relaxed);
  return true;
}
