// The field and its extension, one element at a time. The reduction uses that 2^64 = 2^32 - 1 and
// 2^96 = -1 modulo p = 2^64 - 2^32 + 1.
#ifndef BOURSE_SUMCHECK_FIELD_H
#define BOURSE_SUMCHECK_FIELD_H

#include "bourse_sumcheck_kernels.h"

#define FIELD_P UINT64_C(0xffffffff00000001)
/// 2^64 modulo p.
#define FIELD_EPSILON UINT64_C(0xffffffff)
/// A generator of the multiplicative group, and the square that x is the root of.
#define FIELD_GENERATOR 7

typedef unsigned __int128 field_wide;

/// The loops are long, and a call would pass their vectors through memory.
#define KERNEL_INLINE static inline __attribute__((always_inline))
#define KERNEL_TILE static __attribute__((noinline))

KERNEL_INLINE uint64_t field_add(uint64_t a, uint64_t b) {
  uint64_t sum;
  bool carry = __builtin_add_overflow(a, b, &sum);
  return carry || sum >= FIELD_P ? sum - FIELD_P : sum;
}

KERNEL_INLINE uint64_t field_subtract(uint64_t a, uint64_t b) {
  return a >= b ? a - b : a - b + FIELD_P;
}

KERNEL_INLINE uint64_t field_reduce(field_wide x) {
  uint64_t low = (uint64_t)x, high = (uint64_t)(x >> 64);
  uint64_t value;
  if (__builtin_sub_overflow(low, high >> 32, &value)) value -= FIELD_EPSILON;
  if (__builtin_add_overflow(value, (high & FIELD_EPSILON) * FIELD_EPSILON, &value)) {
    value += FIELD_EPSILON;
  }
  return value >= FIELD_P ? value - FIELD_P : value;
}

KERNEL_INLINE uint64_t field_multiply(uint64_t a, uint64_t b) {
  return field_reduce((field_wide)a * b);
}

KERNEL_INLINE uint64_t field_power(uint64_t base, uint64_t exponent) {
  uint64_t power = 1;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) power = field_multiply(power, base);
    base = field_multiply(base, base);
  }
  return power;
}

KERNEL_INLINE uint64_t field_from_integer(int64_t x) {
  return x >= 0 ? (uint64_t)x : (uint64_t)x + FIELD_P;
}

KERNEL_INLINE sumcheck_extension extension_add(sumcheck_extension a, sumcheck_extension b) {
  return (sumcheck_extension){field_add(a.c0, b.c0), field_add(a.c1, b.c1)};
}

KERNEL_INLINE sumcheck_extension extension_subtract(sumcheck_extension a, sumcheck_extension b) {
  return (sumcheck_extension){field_subtract(a.c0, b.c0), field_subtract(a.c1, b.c1)};
}

KERNEL_INLINE sumcheck_extension extension_multiply(sumcheck_extension a, sumcheck_extension b) {
  uint64_t seventh = field_multiply(FIELD_GENERATOR, b.c1);
  return (sumcheck_extension){
    field_add(field_multiply(a.c0, b.c0), field_multiply(a.c1, seventh)),
    field_add(field_multiply(a.c0, b.c1), field_multiply(a.c1, b.c0))};
}

#endif
