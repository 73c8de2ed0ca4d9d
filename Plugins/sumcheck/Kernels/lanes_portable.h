// One lane: the loops of loops.h on plain integers, for every processor and for what is left over
// when a length is no multiple of a wider path's lanes.
#include "field.h"

#define LANES 1
#define PATH(name) name##_portable

/// Nothing: without AVX the vector is in several registers.
#define WORDS_OPAQUE(vector)

typedef uint64_t lanes;

KERNEL_INLINE lanes lanes_load(const uint64_t *p) { return *p; }
KERNEL_INLINE void lanes_store(uint64_t *p, lanes v) { *p = v; }
KERNEL_INLINE lanes lanes_set(uint64_t v) { return v; }
KERNEL_INLINE lanes lanes_load_int16(const int16_t *p) { return field_from_integer(*p); }
KERNEL_INLINE lanes lanes_load_int32(const int32_t *p) { return field_from_integer(*p); }
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) { return field_add(a, b); }
KERNEL_INLINE lanes lanes_subtract(lanes a, lanes b) { return field_subtract(a, b); }
KERNEL_INLINE lanes lanes_multiply(lanes a, lanes b) { return field_multiply(a, b); }

KERNEL_INLINE lanes lanes_times_fourth_root(lanes a) {
  return field_reduce((field_wide)a << 48);
}
KERNEL_INLINE lanes lanes_where(lanes a, lanes bit) { return a & (0 - bit); }
KERNEL_INLINE bool lanes_equal(lanes a, lanes b) { return a == b; }
KERNEL_INLINE void lanes_transpose(lanes x[LANES]) { (void)x; }
/// A sum of up to 2^29 products, low + carry 2^128.
typedef struct {
  field_wide low;
  uint64_t carry;
} lanes_wide;

KERNEL_INLINE lanes_wide wide_zero(void) { return (lanes_wide){0, 0}; }
KERNEL_INLINE lanes_wide wide_product(lanes a, lanes b) {
  return (lanes_wide){(field_wide)a * b, 0};
}

KERNEL_INLINE lanes_wide wide_plus(lanes_wide a, lanes_wide b) {
  lanes_wide sum = {0, a.carry + b.carry};
  sum.carry += __builtin_add_overflow(a.low, b.low, &sum.low);
  return sum;
}

KERNEL_INLINE lanes_wide wide_seven_times(lanes_wide a) {
  field_wide low = (field_wide)(uint64_t)a.low * 7;
  field_wide high = (field_wide)(uint64_t)(a.low >> 64) * 7 + (uint64_t)(low >> 64);
  return (lanes_wide){high << 64 | (uint64_t)low, a.carry * 7 + (uint64_t)(high >> 64)};
}

/// Where 2^128 = -2^32.
KERNEL_INLINE lanes wide_reduce(lanes_wide a) {
  return field_subtract(field_reduce(a.low), a.carry << 32);
}

KERNEL_INLINE lanes wide_reduce_long(lanes_wide a) { return wide_reduce(a); }
KERNEL_INLINE uint64_t lanes_total(lanes a) { return a; }
KERNEL_INLINE uint64_t wide_total(lanes_wide a) { return wide_reduce(a); }

/// A number that multiplies many others: nothing of it is worth keeping here.
typedef uint64_t lanes_multiplier;
typedef lanes lanes_limbs;
typedef lanes_wide lanes_narrow;

KERNEL_INLINE lanes_multiplier multiplier_set(uint64_t c) { return c; }
KERNEL_INLINE lanes_limbs lanes_limbs_of(lanes a) { return a; }
KERNEL_INLINE lanes_narrow narrow_product(lanes_limbs a, const lanes_multiplier *b) {
  return wide_product(a, *b);
}
KERNEL_INLINE lanes_narrow narrow_plus(lanes_narrow a, lanes_narrow b) { return wide_plus(a, b); }
KERNEL_INLINE lanes_narrow narrow_plus_element(lanes_narrow a, lanes b) {
  return wide_plus(a, (lanes_wide){b, 0});
}
KERNEL_INLINE lanes narrow_reduce(lanes_narrow a) { return wide_reduce(a); }

/// Products of integers of 32 bits with elements.
typedef int64_t lanes_integer;
typedef __int128 lanes_integer_sum;

KERNEL_INLINE lanes_integer integer_load_int16(const int16_t *p) { return *p; }
KERNEL_INLINE lanes_integer integer_load_int32(const int32_t *p) { return *p; }
KERNEL_INLINE lanes_integer_sum integer_sum_zero(void) { return 0; }
KERNEL_INLINE void integer_sum_add(lanes_integer_sum *sum, lanes_integer a, lanes_limbs b) {
  *sum += (lanes_integer_sum)a * b;
}
KERNEL_INLINE void integer_sum_subtract(lanes_integer_sum *sum, lanes_integer a, lanes_limbs b) {
  *sum -= (lanes_integer_sum)a * b;
}
KERNEL_INLINE lanes integer_sum_reduce(const lanes_integer_sum *sum) {
  return *sum >= 0 ? field_reduce((field_wide)*sum)
                   : field_subtract(0, field_reduce((field_wide)-*sum));
}
