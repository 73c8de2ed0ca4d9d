// The public functions over vectors: each gives whole lanes to the path in use, and what is left
// over to the portable one.
#include "field.h"
#include "path.h"

/// Calls `name(arguments..., from, to)` of the path in use for whole lanes of [begin, end), and of
/// the portable path for the rest; `take` is given each result.
#define SPLIT_INTO(take, begin, end, name, ...)                                                    \
  do {                                                                                             \
    const sumcheck_table *wide = sumcheck_table_selected();                                        \
    size_t bulk = (begin) + ((end) - (begin)) / wide->lanes * wide->lanes;                         \
    if (bulk > (begin)) take(wide->name(__VA_ARGS__, begin, bulk));                                \
    if (bulk < (end)) take(sumcheck_table_portable.name(__VA_ARGS__, bulk, end));                  \
  } while (0)
#define DISCARD(nothing) nothing
#define ADD_ELEMENT(part) sum = extension_add(sum, part)
#define ADD_QUADRATIC(part) sum = quadratic_add(sum, part)
#define SPLIT(begin, end, name, ...) SPLIT_INTO(DISCARD, begin, end, name, __VA_ARGS__)

static const sumcheck_extension zero = {0, 0};
static const sumcheck_quadratic zero_quadratic = {{0, 0}, {0, 0}};

static sumcheck_quadratic quadratic_add(sumcheck_quadratic a, sumcheck_quadratic b) {
  return (sumcheck_quadratic){
    extension_add(a.at_zero, b.at_zero), extension_add(a.leading, b.leading)};
}

static sumcheck_quadratic quadratic_scale(sumcheck_quadratic a, sumcheck_extension scale) {
  return (sumcheck_quadratic){
    extension_multiply(a.at_zero, scale), extension_multiply(a.leading, scale)};
}

static sumcheck_vector vector_from(sumcheck_vector v, size_t i) {
  return (sumcheck_vector){v.c0 + i, v.c1 + i};
}

static sumcheck_extension vector_get(sumcheck_vector v, size_t i) {
  return (sumcheck_extension){v.c0[i], v.c1[i]};
}

// MARK: Vectors

void sumcheck_base_from_int16(uint64_t *out, const int16_t *in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = field_from_integer(in[i]);
}

void sumcheck_base_from_int32(uint64_t *out, const int32_t *in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = field_from_integer(in[i]);
}

#define VECTOR_OPERATION(name)                                                                     \
  void sumcheck_base_##name(                                                                       \
    uint64_t *out, const uint64_t *a, const uint64_t *b, size_t count) {                           \
    SPLIT(0, count, base_##name, out, a, b);                                                       \
  }                                                                                                \
  void sumcheck_extension_##name(                                                                  \
    sumcheck_vector out, sumcheck_vector a, sumcheck_vector b, size_t count) {                     \
    SPLIT(0, count, extension_##name, out, a, b);                                                  \
  }
VECTOR_OPERATION(add)
VECTOR_OPERATION(subtract)
VECTOR_OPERATION(multiply)

void sumcheck_extension_multiply_base(
  sumcheck_vector out, sumcheck_vector a, const uint64_t *b, size_t count) {
  SPLIT(0, count, extension_multiply_base, out, a, b);
}

void sumcheck_extension_scale(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t count) {
  SPLIT(0, count, extension_scale, out, a, scale);
}

void sumcheck_extension_add_scaled(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t count) {
  SPLIT(0, count, add_scaled_extension, out, a, scale);
}

void sumcheck_extension_powers(
  sumcheck_vector out, sumcheck_extension start, sumcheck_extension x, size_t count) {
  if (count == 0) return;
  out.c0[0] = start.c0;
  out.c1[0] = start.c1;
  // Doubling: what is there already, times x to its length, is what comes next.
  sumcheck_extension step = x;
  for (size_t length = 1; length < count; length *= 2) {
    size_t more = length < count - length ? length : count - length;
    sumcheck_extension_scale(vector_from(out, length), out, step, more);
    step = extension_multiply(step, step);
  }
}

void sumcheck_extension_outer(
  sumcheck_vector out, sumcheck_vector a, size_t a_count, sumcheck_vector b, size_t b_count) {
  for (size_t i = 0; i < a_count; i++) {
    sumcheck_extension_scale(vector_from(out, i * b_count), b, vector_get(a, i), b_count);
  }
}

void sumcheck_extension_outer_add(
  sumcheck_vector out, sumcheck_vector a, size_t a_count, sumcheck_vector b, size_t b_count) {
  for (size_t i = 0; i < a_count; i++) {
    sumcheck_extension factor = vector_get(a, i);
    if (factor.c0 == 0 && factor.c1 == 0) continue;
    sumcheck_extension_add_scaled(vector_from(out, i * b_count), b, factor, b_count);
  }
}

void sumcheck_equality(
  sumcheck_vector out, const sumcheck_extension *point, size_t variables,
  sumcheck_extension scale) {
  out.c0[0] = scale.c0;
  out.c1[0] = scale.c1;
  // The last coordinate first: each doubling puts its variable above those that are there.
  for (size_t k = 0; k < variables; k++) {
    size_t count = (size_t)1 << k;
    SPLIT(0, count, equality_double, out, point[variables - 1 - k], count);
  }
}

// MARK: Inner products

sumcheck_extension sumcheck_inner_extension(
  sumcheck_vector values, sumcheck_vector weights, size_t count) {
  sumcheck_extension sum = zero;
  SPLIT_INTO(ADD_ELEMENT, 0, count, inner_extension, values, weights);
  return sum;
}

sumcheck_extension sumcheck_evaluate_extension(
  sumcheck_vector values, sumcheck_tensor weights, size_t high_begin, size_t high_end) {
  sumcheck_extension sum = zero;
  for (size_t i = high_begin; i < high_end; i++) {
    sumcheck_extension block = sumcheck_inner_extension(
      vector_from(values, i * weights.low_count), weights.low, weights.low_count);
    sum = extension_add(sum, extension_multiply(block, vector_get(weights.high, i)));
  }
  return sum;
}

// MARK: Binding one variable, and the product

void sumcheck_fold_extension(
  sumcheck_vector out, sumcheck_vector f, size_t half, sumcheck_extension r, size_t begin,
  size_t end) {
  SPLIT(begin, end, fold_extension, out, f, half, r);
}

sumcheck_quadratic sumcheck_product_round_extension(
  sumcheck_vector f, sumcheck_vector w, size_t half, size_t begin, size_t end) {
  sumcheck_quadratic sum = zero_quadratic;
  SPLIT_INTO(ADD_QUADRATIC, begin, end, product_round_extension, f, w, half);
  return sum;
}

sumcheck_quadratic sumcheck_product_fold_round_extension(
  sumcheck_vector f, sumcheck_vector w, size_t quarter, sumcheck_extension r, size_t begin,
  size_t end) {
  sumcheck_quadratic sum = zero_quadratic;
  SPLIT_INTO(ADD_QUADRATIC, begin, end, product_fold_round_extension, f, w, quarter, r);
  return sum;
}

// MARK: From integers and base elements

#define BASE_SOURCE(kind, type)                                                                    \
  void sumcheck_extension_add_scaled_##kind(                                                       \
    sumcheck_vector out, const type *a, sumcheck_extension scale, size_t count) {                  \
    SPLIT(0, count, add_scaled_##kind, out, a, scale);                                             \
  }                                                                                                \
  sumcheck_extension sumcheck_inner_##kind(                                                        \
    const type *values, sumcheck_vector weights, size_t count) {                                   \
    sumcheck_extension sum = zero;                                                                 \
    SPLIT_INTO(ADD_ELEMENT, 0, count, inner_##kind, values, weights);                              \
    return sum;                                                                                    \
  }                                                                                                \
  sumcheck_extension sumcheck_evaluate_##kind(                                                     \
    const type *values, sumcheck_tensor weights, size_t high_begin, size_t high_end) {             \
    sumcheck_extension sum = zero;                                                                 \
    for (size_t i = high_begin; i < high_end; i++) {                                               \
      sumcheck_extension block = sumcheck_inner_##kind(                                            \
        values + i * weights.low_count, weights.low, weights.low_count);                           \
      sum = extension_add(sum, extension_multiply(block, vector_get(weights.high, i)));            \
    }                                                                                              \
    return sum;                                                                                    \
  }                                                                                                \
  void sumcheck_combine_rows_##kind(                                                               \
    sumcheck_vector out, const type *rows, size_t row_stride, sumcheck_vector weights,             \
    size_t row_count, size_t column_begin, size_t column_end) {                                    \
    SPLIT(                                                                                         \
      column_begin, column_end, combine_rows_##kind, out, rows, row_stride, weights, row_count);   \
  }                                                                                                \
  void sumcheck_fold_##kind(                                                                       \
    sumcheck_vector out, const type *f, size_t half, sumcheck_extension r, size_t begin,           \
    size_t end) {                                                                                  \
    SPLIT(begin, end, fold_##kind, out, f, half, r);                                               \
  }                                                                                                \
  sumcheck_quadratic sumcheck_product_round_##kind(                                                \
    const type *f, sumcheck_vector w, size_t half, size_t begin, size_t end) {                     \
    sumcheck_quadratic sum = zero_quadratic;                                                       \
    SPLIT_INTO(ADD_QUADRATIC, begin, end, product_round_##kind, f, w, half);                       \
    return sum;                                                                                    \
  }                                                                                                \
  sumcheck_quadratic sumcheck_product_fold_round_##kind(                                           \
    sumcheck_vector folded, const type *f, sumcheck_vector w, size_t quarter,                      \
    sumcheck_extension r, size_t begin, size_t end) {                                              \
    sumcheck_quadratic sum = zero_quadratic;                                                       \
    SPLIT_INTO(                                                                                    \
      ADD_QUADRATIC, begin, end, product_fold_round_##kind, folded, f, w, quarter, r);             \
    return sum;                                                                                    \
  }
BASE_SOURCE(int16, int16_t)
BASE_SOURCE(int32, int32_t)
BASE_SOURCE(base, uint64_t)

// MARK: With an equality

/// The sum over blocks of what `name` gives for one block of eq.low, weighed with eq.high.
#define SUM_OF_BLOCKS(name, ...)                                                                   \
  const sumcheck_table *table = sumcheck_table_selected();                                         \
  if (eq.low_count % table->lanes != 0) table = &sumcheck_table_portable;                          \
  sumcheck_quadratic sum = zero_quadratic;                                                         \
  for (size_t high = high_begin; high < high_end; high++) {                                        \
    sumcheck_quadratic block = table->name(__VA_ARGS__, high * eq.low_count, eq.low_count);        \
    sum = quadratic_add(sum, quadratic_scale(block, vector_get(eq.high, high)));                   \
  }                                                                                                \
  return sum;

sumcheck_quadratic sumcheck_equality_round(
  sumcheck_vector f, sumcheck_vector h, sumcheck_tensor eq, size_t half, size_t high_begin,
  size_t high_end) {
  SUM_OF_BLOCKS(equality_round, f, h, eq.low, half)
}

sumcheck_quadratic sumcheck_equality_fold_round(
  sumcheck_vector f, sumcheck_vector h, sumcheck_tensor eq, size_t quarter, sumcheck_extension r,
  size_t high_begin, size_t high_end) {
  SUM_OF_BLOCKS(equality_fold_round, f, h, eq.low, quarter, r)
}

void sumcheck_factors_round(
  sumcheck_extension *coefficients, const sumcheck_vector *factors, size_t factor_count,
  sumcheck_tensor eq, size_t half, size_t high_begin, size_t high_end) {
  const sumcheck_table *table = sumcheck_table_selected();
  if (eq.low_count % table->lanes != 0) table = &sumcheck_table_portable;
  for (size_t d = 0; d <= factor_count; d++) coefficients[d] = zero;
  for (size_t high = high_begin; high < high_end; high++) {
    sumcheck_extension block[SUMCHECK_FACTOR_LIMIT + 1];
    table->factors_round(
      block, factors, factor_count, eq.low, half, high * eq.low_count, eq.low_count);
    sumcheck_extension weight = vector_get(eq.high, high);
    for (size_t d = 0; d <= factor_count; d++) {
      coefficients[d] = extension_add(coefficients[d], extension_multiply(block[d], weight));
    }
  }
}

// MARK: LogUp-GKR

void sumcheck_denominators_int16(
  sumcheck_vector q, const int16_t *c0, const int16_t *c1, sumcheck_extension constant,
  sumcheck_extension gamma, size_t count) {
  SPLIT(0, count, denominators_int16, q, c0, c1, constant, gamma);
}

void sumcheck_denominators_int32(
  sumcheck_vector q, const int32_t *c0, const int32_t *c1, sumcheck_extension constant,
  sumcheck_extension gamma, size_t count) {
  SPLIT(0, count, denominators_int32, q, c0, c1, constant, gamma);
}

void sumcheck_fraction_sum(
  sumcheck_vector p, sumcheck_vector q, sumcheck_fractions layer, size_t begin, size_t end) {
  SPLIT(begin, end, fraction_sum, p, q, layer);
}

void sumcheck_fraction_sum_leaves(
  sumcheck_vector p, sumcheck_vector q, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, size_t begin, size_t end) {
  SPLIT(begin, end, fraction_sum_leaves, p, q, p0, p1, q0, q1);
}

sumcheck_quadratic sumcheck_fraction_round(
  sumcheck_fractions layer, sumcheck_extension lambda, sumcheck_tensor eq, size_t half,
  size_t high_begin, size_t high_end) {
  SUM_OF_BLOCKS(fraction_round, layer, lambda, eq.low, half)
}

sumcheck_quadratic sumcheck_fraction_fold_round(
  sumcheck_fractions layer, sumcheck_extension r, sumcheck_tensor eq, size_t quarter,
  size_t high_begin, size_t high_end) {
  SUM_OF_BLOCKS(fraction_fold_round, layer, r, eq.low, quarter)
}

sumcheck_quadratic sumcheck_fraction_round_leaves(
  const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  sumcheck_extension lambda, sumcheck_tensor eq, size_t half, size_t high_begin,
  size_t high_end) {
  SUM_OF_BLOCKS(fraction_round_leaves, p0, p1, q0, q1, lambda, eq.low, half)
}

sumcheck_quadratic sumcheck_fraction_fold_round_leaves(
  sumcheck_fractions folded, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, sumcheck_extension lambda, sumcheck_extension r, sumcheck_tensor eq,
  size_t quarter, size_t high_begin, size_t high_end) {
  SUM_OF_BLOCKS(fraction_fold_round_leaves, folded, p0, p1, q0, q1, lambda, r, eq.low, quarter)
}

void sumcheck_histogram_int16(uint32_t *counts, const int16_t *values, size_t count) {
  for (size_t i = 0; i < count; i++) counts[values[i] + 32768] += 1;
}

size_t sumcheck_histogram_int32(
  uint32_t *counts, size_t size, const int32_t *values, size_t count) {
  size_t outside = 0;
  for (size_t i = 0; i < count; i++) {
    if (values[i] >= 0 && (size_t)values[i] < size) {
      counts[values[i]] += 1;
    } else {
      outside += 1;
    }
  }
  return outside;
}

void sumcheck_slide_int16(
  int32_t *sums, size_t sums_stride, const int16_t *operand, const uint32_t *offsets,
  const int16_t *weights, size_t columns, size_t row_count, size_t width) {
  sumcheck_table_selected()->slide_int16(
    sums, sums_stride, operand, offsets, weights, columns, row_count, width);
}
