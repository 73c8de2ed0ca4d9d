// One lane: the loops of loops.h on plain integers, for every processor and for what is left over
// when a length is no multiple of a wider path's lanes.
#include "field.h"

#define LANES 1
#define PATH(name) name##_portable

typedef uint64_t lanes;

static inline lanes lanes_load(const uint64_t *p) { return *p; }
static inline void lanes_store(uint64_t *p, lanes v) { *p = v; }
static inline lanes lanes_set(uint64_t v) { return v; }
static inline lanes lanes_load_int16(const int16_t *p) { return field_from_integer(*p); }
static inline lanes lanes_load_int32(const int32_t *p) { return field_from_integer(*p); }
static inline lanes lanes_add(lanes a, lanes b) { return field_add(a, b); }
static inline lanes lanes_subtract(lanes a, lanes b) { return field_subtract(a, b); }
static inline lanes lanes_multiply(lanes a, lanes b) { return field_multiply(a, b); }

/// The reduction of carry * 2^128 + x, where 2^128 = -2^32.
static inline lanes lanes_reduce(field_wide x, uint64_t carry) {
  return field_subtract(field_reduce(x), carry << 32);
}

/// a * b + c * d.
static inline lanes lanes_multiply_two(lanes a, lanes b, lanes c, lanes d) {
  field_wide sum;
  bool carry = __builtin_add_overflow((field_wide)a * b, (field_wide)c * d, &sum);
  return lanes_reduce(sum, carry);
}

/// A sum of products, reduced at its end.
typedef struct {
  field_wide low;
  uint64_t carry;
} lanes_sum;

static inline lanes_sum lanes_sum_zero(void) { return (lanes_sum){0, 0}; }

static inline void lanes_sum_add(lanes_sum *sum, lanes a, lanes b) {
  sum->carry += __builtin_add_overflow(sum->low, (field_wide)a * b, &sum->low);
}

static inline uint64_t lanes_sum_value(const lanes_sum *sum) {
  return lanes_reduce(sum->low, sum->carry);
}
