// The hot loops of the `sumcheck` prover. The verifier calls none of them.
//
// Field: F_p with p = 2^64 - 2^32 + 1, and its extension E = F_p[x]/(x^2 - 7). Every element that
// is passed in or out is canonical (below p). A vector over E is two arrays, one per coefficient.
//
// Multilinear order: a function of m variables is an array of 2^m values, the *first* variable is
// the *most significant* bit of the index, and sumcheck binds the first variable first. A round
// pairs index i with i + half, so binding works in place, and a caller splits a round between
// threads by ranges of i: results are sums in E, exact, so no split changes them.
//
// Integers are read as field elements: x >= 0 as x, x < 0 as p + x.
//
// No function allocates but `sumcheck_encoder_create`, keeps a pointer, or can fail on valid
// arguments; lengths are trusted. All are safe to call at once on ranges that do not overlap.
#ifndef BOURSE_SUMCHECK_KERNELS_H
#define BOURSE_SUMCHECK_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// c0 + c1 x.
typedef struct {
  uint64_t c0, c1;
} sumcheck_extension;

/// A vector over E. What a function writes, its description says; the rest it only reads.
typedef struct {
  uint64_t *c0, *c1;
} sumcheck_vector;

/// A quadratic g by g(0) and its coefficient of X^2; the caller has g(1) from the claim.
typedef struct {
  sumcheck_extension at_zero, leading;
} sumcheck_quadratic;

// MARK: The path

/// How the kernels compute. Every path gives the same bytes.
typedef enum { SUMCHECK_PORTABLE = 0, SUMCHECK_AVX2 = 1 } sumcheck_path;

/// The fastest path that this processor has.
sumcheck_path sumcheck_path_best(void);

/// The path in use: the best one, until another is selected.
sumcheck_path sumcheck_path_selected(void);

/// Selects a path for the whole process, for tests; false where the processor lacks it.
bool sumcheck_path_select(sumcheck_path path);

// MARK: Vectors

void sumcheck_base_from_int16(uint64_t *out, const int16_t *in, size_t count);
void sumcheck_base_from_int32(uint64_t *out, const int32_t *in, size_t count);

/// Element by element. `out` may be `a` or `b`.
void sumcheck_base_add(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t count);
void sumcheck_base_subtract(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t count);
void sumcheck_base_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t count);
void sumcheck_extension_add(
  sumcheck_vector out, sumcheck_vector a, sumcheck_vector b, size_t count);
void sumcheck_extension_subtract(
  sumcheck_vector out, sumcheck_vector a, sumcheck_vector b, size_t count);
void sumcheck_extension_multiply(
  sumcheck_vector out, sumcheck_vector a, sumcheck_vector b, size_t count);
void sumcheck_extension_multiply_base(
  sumcheck_vector out, sumcheck_vector a, const uint64_t *b, size_t count);

/// out[i] = scale * a[i]; `out` may be `a`.
void sumcheck_extension_scale(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t count);

/// out[i] += scale * a[i], from each kind of source.
void sumcheck_extension_add_scaled(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t count);
void sumcheck_extension_add_scaled_base(
  sumcheck_vector out, const uint64_t *a, sumcheck_extension scale, size_t count);
void sumcheck_extension_add_scaled_int32(
  sumcheck_vector out, const int32_t *a, sumcheck_extension scale, size_t count);
void sumcheck_extension_add_scaled_int16(
  sumcheck_vector out, const int16_t *a, sumcheck_extension scale, size_t count);

/// out[i] = start * x^i.
void sumcheck_extension_powers(
  sumcheck_vector out, sumcheck_extension start, sumcheck_extension x, size_t count);

/// out[i * b_count + j] = a[i] * b[j]: the tensor product, `a` on the more significant bits.
/// `out` overlaps neither.
void sumcheck_extension_outer(
  sumcheck_vector out, sumcheck_vector a, size_t a_count, sumcheck_vector b, size_t b_count);

/// out[i * b_count + j] += a[i] * b[j].
void sumcheck_extension_outer_add(
  sumcheck_vector out, sumcheck_vector a, size_t a_count, sumcheck_vector b, size_t b_count);

/// out[i] = scale * eq(point, i) for the 2^variables values of i; point[0] belongs to the most
/// significant bit of i, and a bit of 1 takes the coordinate, 0 one minus it.
void sumcheck_equality(
  sumcheck_vector out, const sumcheck_extension *point, size_t variables,
  sumcheck_extension scale);

// MARK: Inner products

/// The sum of values[i] * weights[i].
sumcheck_extension sumcheck_inner_int16(
  const int16_t *values, sumcheck_vector weights, size_t count);
sumcheck_extension sumcheck_inner_int32(
  const int32_t *values, sumcheck_vector weights, size_t count);
sumcheck_extension sumcheck_inner_base(
  const uint64_t *values, sumcheck_vector weights, size_t count);
sumcheck_extension sumcheck_inner_extension(
  sumcheck_vector values, sumcheck_vector weights, size_t count);

/// A tensor product of two vectors, kept in two: the weight of i is high[i / low_count] * low[i %
/// low_count]. With two halves of an equality it evaluates a multilinear extension without the
/// full table. `low_count` is a power of two.
typedef struct {
  sumcheck_vector low, high;
  size_t low_count;
} sumcheck_tensor;

/// The sum of values[i] * weight(i) over the blocks [high_begin, high_end) of `low_count` values.
sumcheck_extension sumcheck_evaluate_int16(
  const int16_t *values, sumcheck_tensor weights, size_t high_begin, size_t high_end);
sumcheck_extension sumcheck_evaluate_int32(
  const int32_t *values, sumcheck_tensor weights, size_t high_begin, size_t high_end);
sumcheck_extension sumcheck_evaluate_base(
  const uint64_t *values, sumcheck_tensor weights, size_t high_begin, size_t high_end);
sumcheck_extension sumcheck_evaluate_extension(
  sumcheck_vector values, sumcheck_tensor weights, size_t high_begin, size_t high_end);

/// out[j] = the sum over rows i of weights[i] * rows[i * row_stride + j], for j in [column_begin,
/// column_end): the row combination of the commitment, and a matrix folded on its first axis.
/// `out` is indexed by j.
void sumcheck_combine_rows_int16(
  sumcheck_vector out, const int16_t *rows, size_t row_stride, sumcheck_vector weights,
  size_t row_count, size_t column_begin, size_t column_end);
void sumcheck_combine_rows_int32(
  sumcheck_vector out, const int32_t *rows, size_t row_stride, sumcheck_vector weights,
  size_t row_count, size_t column_begin, size_t column_end);
void sumcheck_combine_rows_base(
  sumcheck_vector out, const uint64_t *rows, size_t row_stride, sumcheck_vector weights,
  size_t row_count, size_t column_begin, size_t column_end);

// MARK: Binding one variable

/// out[i] = f[i] + r * (f[i + half] - f[i]) for i in [begin, end). `out` may be `f`.
void sumcheck_fold_int16(
  sumcheck_vector out, const int16_t *f, size_t half, sumcheck_extension r, size_t begin,
  size_t end);
void sumcheck_fold_int32(
  sumcheck_vector out, const int32_t *f, size_t half, sumcheck_extension r, size_t begin,
  size_t end);
void sumcheck_fold_base(
  sumcheck_vector out, const uint64_t *f, size_t half, sumcheck_extension r, size_t begin,
  size_t end);
void sumcheck_fold_extension(
  sumcheck_vector out, sumcheck_vector f, size_t half, sumcheck_extension r, size_t begin,
  size_t end);

// MARK: Sumcheck of a product, g = sum of f * w (degree 2)

/// The round over f and w of 2 * half values, for the pairs (i, i + half), i in [begin, end).
sumcheck_quadratic sumcheck_product_round_int16(
  const int16_t *f, sumcheck_vector w, size_t half, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_round_int32(
  const int32_t *f, sumcheck_vector w, size_t half, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_round_base(
  const uint64_t *f, sumcheck_vector w, size_t half, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_round_extension(
  sumcheck_vector f, sumcheck_vector w, size_t half, size_t begin, size_t end);

/// Binds the variable of the round before to r, and gives the next round, in one pass over
/// memory: f and w have 4 * quarter values before and 2 * quarter after. i in [begin, end) of [0,
/// quarter). w is folded in place; f too, or, from integers, into `folded`.
sumcheck_quadratic sumcheck_product_fold_round_int16(
  sumcheck_vector folded, const int16_t *f, sumcheck_vector w, size_t quarter,
  sumcheck_extension r, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_fold_round_int32(
  sumcheck_vector folded, const int32_t *f, sumcheck_vector w, size_t quarter,
  sumcheck_extension r, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_fold_round_base(
  sumcheck_vector folded, const uint64_t *f, sumcheck_vector w, size_t quarter,
  sumcheck_extension r, size_t begin, size_t end);
sumcheck_quadratic sumcheck_product_fold_round_extension(
  sumcheck_vector f, sumcheck_vector w, size_t quarter, sumcheck_extension r, size_t begin,
  size_t end);

// MARK: Sumcheck of a product with an equality, g = sum of eq(z, .) * f * h (degree 3)
//
// Gruen's form (ePrint 2024/108): the round's cubic is c * ((1 - z_k) (1 - X) + z_k X) * t(X),
// where z_k is the round's coordinate, c the equality of the coordinates already bound with their
// challenges, and t the quadratic that these functions give, with `eq` the tensor of the equality
// of the coordinates after z_k (of half, or quarter, values in all). t(1) follows from the claim.
// The two tables of `eq` let it shrink without a multiplication: leave the first coordinate out.

/// f and h have 2 * half values; half = low_count * (number of values in eq.high).
sumcheck_quadratic sumcheck_equality_round(
  sumcheck_vector f, sumcheck_vector h, sumcheck_tensor eq, size_t half, size_t high_begin,
  size_t high_end);

/// Folds f and h in place, from 4 * quarter values to 2 * quarter, and gives the next round.
sumcheck_quadratic sumcheck_equality_fold_round(
  sumcheck_vector f, sumcheck_vector h, sumcheck_tensor eq, size_t quarter, sumcheck_extension r,
  size_t high_begin, size_t high_end);

/// The most factors of a product.
#define SUMCHECK_FACTOR_LIMIT 16

/// The same for a product of factor_count factors: coefficients[d] is t's of X^d, for d from 0 to
/// factor_count. The caller binds the factors with `sumcheck_fold_extension`.
void sumcheck_factors_round(
  sumcheck_extension *coefficients, const sumcheck_vector *factors, size_t factor_count,
  sumcheck_tensor eq, size_t half, size_t high_begin, size_t high_end);

// MARK: LogUp-GKR

/// A layer of fractions p/q, split by its first variable: node i of the layer above is
/// p0[i]/q0[i] + p1[i]/q1[i] = (p0 q1 + p1 q0) / (q0 q1).
typedef struct {
  sumcheck_vector p0, p1, q0, q1;
} sumcheck_fractions;

/// q[i] = constant - c0[i] - gamma * c1[i]; c1 may be null, and then its term is absent.
void sumcheck_denominators_int16(
  sumcheck_vector q, const int16_t *c0, const int16_t *c1, sumcheck_extension constant,
  sumcheck_extension gamma, size_t count);
void sumcheck_denominators_int32(
  sumcheck_vector q, const int32_t *c0, const int32_t *c1, sumcheck_extension constant,
  sumcheck_extension gamma, size_t count);

/// The layer above, p[i] = p0 q1 + p1 q0 and q[i] = q0 q1, for i in [begin, end). `p` and `q` may
/// be `p0` and `q0`.
void sumcheck_fraction_sum(
  sumcheck_vector p, sumcheck_vector q, sumcheck_fractions layer, size_t begin, size_t end);

/// The same from the leaves, whose numerators are integers; a null array stands for ones.
void sumcheck_fraction_sum_leaves(
  sumcheck_vector p, sumcheck_vector q, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, size_t begin, size_t end);

/// A layer's sumcheck is over eq * (p0 q1 + p1 q0 + lambda q0 q1), which is eq * (p0 q1 + (p1 +
/// lambda q1) q0); the quadratic is t of Gruen's form, as above. The first round *replaces p1 by
/// p1 + lambda q1* in place: the value at the end is of that sum, and the caller subtracts lambda
/// q1 from it. The four arrays have 2 * half values.
sumcheck_quadratic sumcheck_fraction_round(
  sumcheck_fractions layer, sumcheck_extension lambda, sumcheck_tensor eq, size_t half,
  size_t high_begin, size_t high_end);

/// Folds the four arrays in place, from 4 * quarter values to 2 * quarter, and gives the next
/// round. p1 already holds p1 + lambda q1.
sumcheck_quadratic sumcheck_fraction_fold_round(
  sumcheck_fractions layer, sumcheck_extension r, sumcheck_tensor eq, size_t quarter,
  size_t high_begin, size_t high_end);

/// The first round at the leaves, whose numerators are integers (null for ones). Writes nothing.
sumcheck_quadratic sumcheck_fraction_round_leaves(
  const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  sumcheck_extension lambda, sumcheck_tensor eq, size_t half, size_t high_begin,
  size_t high_end);

/// The second round at the leaves: folds them, from 4 * quarter values, into the 2 * quarter of
/// each array of `folded`, where p1 holds p1 + lambda q1. folded.q0 and .q1 may be q0 and q1.
sumcheck_quadratic sumcheck_fraction_fold_round_leaves(
  sumcheck_fractions folded, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, sumcheck_extension lambda, sumcheck_extension r, sumcheck_tensor eq,
  size_t quarter, size_t high_begin, size_t high_end);

/// counts[v + 2^15] += 1 for each value; `counts` has 2^16 entries.
void sumcheck_histogram_int16(uint32_t *counts, const int16_t *values, size_t count);

/// counts[v] += 1 for each value in [0, size); returns how many values lay outside.
size_t sumcheck_histogram_int32(
  uint32_t *counts, size_t size, const int32_t *values, size_t count);

// MARK: Accumulators

/// sums[r * sums_stride + x] = the sum over k of weights[r * columns + k] * operand[offsets[k] + x]
/// modulo 2^16, in [0, 2^16), for r below row_count and x below width: one line of a convolution's
/// results, with the operand padded beforehand. Reads up to 15 elements beyond each line's last.
void sumcheck_slide_int16(
  int32_t *sums, size_t sums_stride, const int16_t *operand, const uint32_t *offsets,
  const int16_t *weights, size_t columns, size_t row_count, size_t width);

// MARK: Reed-Solomon code

/// Encodes rows of 2^message_log elements into 2^(message_log + rate_log): the row is the
/// coefficients of a polynomial, lowest first, and position j is its value at w^j, where w =
/// 7^((p - 1) / 2^(message_log + rate_log)). Immutable once made, so shared by threads.
typedef struct sumcheck_encoder sumcheck_encoder;

/// Null where memory is lacking; message_log + rate_log <= 32, rate_log >= 1. The caller destroys
/// it.
sumcheck_encoder *sumcheck_encoder_create(unsigned message_log, unsigned rate_log);
void sumcheck_encoder_destroy(sumcheck_encoder *encoder);

/// Bytes of scratch memory that one call of an encoding function needs; 64-byte aligned.
size_t sumcheck_encoder_scratch_size(const sumcheck_encoder *encoder);

/// Encodes rows [row_begin, row_end): row i starts at rows + i * row_stride, and its position j
/// goes to out[j * out_stride + i], so that a column of the code is contiguous. Several threads
/// encode ranges of rows of one matrix; ranges that begin at multiples of 8 share no cache line.
void sumcheck_encode_int16(
  const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const int16_t *rows,
  size_t row_stride, size_t row_begin, size_t row_end, void *scratch);
void sumcheck_encode_int32(
  const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const int32_t *rows,
  size_t row_stride, size_t row_begin, size_t row_end, void *scratch);
void sumcheck_encode_base(
  const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const uint64_t *rows,
  size_t row_stride, size_t row_begin, size_t row_end, void *scratch);

// MARK: BLAKE3

/// The 32-byte BLAKE3 of `length` bytes. `key` is 32 bytes for the standard's keyed mode, or null
/// for its plain one.
void sumcheck_blake3(uint8_t *out, const uint8_t *bytes, size_t length, const uint8_t *key);

/// out[32 * i ...] = BLAKE3 of the `length` bytes at bytes + i * stride, for i in [begin, end):
/// the leaves of a Merkle tree with the column length and stride, or its parents with 64 and 64.
void sumcheck_blake3_many(
  uint8_t *out, const uint8_t *bytes, size_t stride, size_t length, const uint8_t *key,
  size_t begin, size_t end);

// MARK: Waiting

/// One step of a short wait for another thread: tells the processor that this one only waits.
static inline void sumcheck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
