// What a path provides: for each loop a function over a range that is a whole number of its lanes.
#ifndef BOURSE_SUMCHECK_TABLE_H
#define BOURSE_SUMCHECK_TABLE_H

#include "blake3.h"
#include "bourse_sumcheck_kernels.h"

#define SUMCHECK_BASE_SOURCE(entry, kind, type)                                                    \
  entry(void, add_scaled_##kind, sumcheck_vector, const type *, sumcheck_extension, size_t,        \
        size_t)                                                                                    \
  entry(sumcheck_extension, inner_##kind, const type *, sumcheck_vector, size_t, size_t)           \
  entry(void, combine_rows_##kind, sumcheck_vector, const type *, size_t, sumcheck_vector,         \
        size_t, size_t, size_t)                                                                    \
  entry(void, fold_##kind, sumcheck_vector, const type *, size_t, sumcheck_extension, size_t,      \
        size_t)                                                                                    \
  entry(sumcheck_quadratic, product_round_##kind, const type *, sumcheck_vector, size_t,           \
        size_t, size_t)                                                                            \
  entry(sumcheck_quadratic, product_fold_round_##kind, sumcheck_vector, const type *,              \
        sumcheck_vector, size_t, sumcheck_extension, size_t, size_t)

#define SUMCHECK_TABLE(entry)                                                                      \
  entry(void, base_add, uint64_t *, const uint64_t *, const uint64_t *, size_t, size_t)            \
  entry(void, base_subtract, uint64_t *, const uint64_t *, const uint64_t *, size_t, size_t)       \
  entry(void, base_multiply, uint64_t *, const uint64_t *, const uint64_t *, size_t, size_t)       \
  entry(void, extension_add, sumcheck_vector, sumcheck_vector, sumcheck_vector, size_t, size_t)    \
  entry(void, extension_subtract, sumcheck_vector, sumcheck_vector, sumcheck_vector, size_t,       \
        size_t)                                                                                    \
  entry(void, extension_multiply, sumcheck_vector, sumcheck_vector, sumcheck_vector, size_t,       \
        size_t)                                                                                    \
  entry(void, extension_multiply_base, sumcheck_vector, sumcheck_vector, const uint64_t *,         \
        size_t, size_t)                                                                            \
  entry(void, extension_scale, sumcheck_vector, sumcheck_vector, sumcheck_extension, size_t,       \
        size_t)                                                                                    \
  entry(void, add_scaled_extension, sumcheck_vector, sumcheck_vector, sumcheck_extension,          \
        size_t, size_t)                                                                            \
  entry(void, equality_double, sumcheck_vector, sumcheck_extension, size_t, size_t, size_t)        \
  entry(sumcheck_extension, inner_extension, sumcheck_vector, sumcheck_vector, size_t, size_t)     \
  entry(void, fold_extension, sumcheck_vector, sumcheck_vector, size_t, sumcheck_extension,        \
        size_t, size_t)                                                                            \
  entry(sumcheck_quadratic, product_round_extension, sumcheck_vector, sumcheck_vector, size_t,     \
        size_t, size_t)                                                                            \
  entry(sumcheck_quadratic, product_fold_round_extension, sumcheck_vector, sumcheck_vector,        \
        size_t, sumcheck_extension, size_t, size_t)                                                \
  SUMCHECK_BASE_SOURCE(entry, int16, int16_t)                                                      \
  SUMCHECK_BASE_SOURCE(entry, int32, int32_t)                                                      \
  SUMCHECK_BASE_SOURCE(entry, base, uint64_t)                                                      \
  entry(sumcheck_quadratic, equality_round, sumcheck_vector, sumcheck_vector, sumcheck_vector,     \
        size_t, size_t, size_t)                                                                    \
  entry(sumcheck_quadratic, equality_fold_round, sumcheck_vector, sumcheck_vector,                 \
        sumcheck_vector, size_t, sumcheck_extension, size_t, size_t)                               \
  entry(void, factors_round, sumcheck_extension *, const sumcheck_vector *, size_t,                \
        sumcheck_vector, size_t, size_t, size_t)                                                   \
  entry(void, denominators_int16, sumcheck_vector, const int16_t *, const int16_t *,               \
        sumcheck_extension, sumcheck_extension, size_t, size_t)                                    \
  entry(void, denominators_int32, sumcheck_vector, const int32_t *, const int32_t *,               \
        sumcheck_extension, sumcheck_extension, size_t, size_t)                                    \
  entry(void, fraction_sum, sumcheck_vector, sumcheck_vector, sumcheck_fractions, size_t,          \
        size_t)                                                                                    \
  entry(void, fraction_sum_leaves, sumcheck_vector, sumcheck_vector, const int32_t *,              \
        const int32_t *, sumcheck_vector, sumcheck_vector, size_t, size_t)                         \
  entry(sumcheck_quadratic, fraction_round, sumcheck_fractions, sumcheck_extension,                \
        sumcheck_vector, size_t, size_t, size_t)                                                   \
  entry(sumcheck_quadratic, fraction_fold_round, sumcheck_fractions, sumcheck_extension,           \
        sumcheck_vector, size_t, size_t, size_t)                                                   \
  entry(sumcheck_quadratic, fraction_round_leaves, const int32_t *, const int32_t *,               \
        sumcheck_vector, sumcheck_vector, sumcheck_extension, sumcheck_vector, size_t, size_t,     \
        size_t)                                                                                    \
  entry(sumcheck_quadratic, fraction_fold_round_leaves, sumcheck_fractions, const int32_t *,       \
        const int32_t *, sumcheck_vector, sumcheck_vector, sumcheck_extension,                     \
        sumcheck_extension, sumcheck_vector, size_t, size_t, size_t)                               \
  entry(void, encode_int16, const sumcheck_encoder *, uint64_t *, size_t, const int16_t *,         \
        size_t, size_t, uint64_t *)                                                                \
  entry(void, encode_int32, const sumcheck_encoder *, uint64_t *, size_t, const int32_t *,         \
        size_t, size_t, uint64_t *)                                                                \
  entry(void, encode_base, const sumcheck_encoder *, uint64_t *, size_t, const uint64_t *,         \
        size_t, size_t, uint64_t *)                                                                \
  entry(void, slide_int16, int32_t *, size_t, const int16_t *, const uint32_t *, const int16_t *,  \
        size_t, size_t, size_t)                                                                    \
  entry(void, blake3_inputs, uint8_t *, const uint8_t *, size_t, size_t, const blake3_mode *)      \
  entry(void, blake3_chunks, uint8_t *, const uint8_t *, uint64_t, const blake3_mode *)            \
  entry(void, blake3_parents, uint8_t *, const uint8_t *, const blake3_mode *)

typedef struct {
  size_t lanes;
#define TABLE_MEMBER(result, name, ...) result (*name)(__VA_ARGS__);
  SUMCHECK_TABLE(TABLE_MEMBER)
#undef TABLE_MEMBER
} sumcheck_table;

extern const sumcheck_table sumcheck_table_portable;
#if defined(__x86_64__)
extern const sumcheck_table sumcheck_table_avx2;
#endif

#endif
