// The loops, written once over the lanes that a path's header defines. Every range here is a whole
// number of lanes; kernels.c gives what is left over to the portable path.
#include "table.h"

#include <string.h>

/// Values of a tile: loops over tiles keep what they share in the first-level cache.
#define TILE 64

// MARK: The extension, lane by lane

typedef struct {
  lanes c0, c1;
} lanes_extension;

/// An extension element that multiplies many others, with seven times its second coefficient.
typedef struct {
  lanes_multiplier c0, c1, seventh;
} lanes_factor;

KERNEL_INLINE lanes_extension extension_load(sumcheck_vector v, size_t i) {
  return (lanes_extension){lanes_load(v.c0 + i), lanes_load(v.c1 + i)};
}

/// `x` is canonical.
KERNEL_INLINE void extension_store(sumcheck_vector v, size_t i, lanes_extension x) {
  lanes_store(v.c0 + i, x.c0);
  lanes_store(v.c1 + i, x.c1);
}

KERNEL_INLINE lanes_extension extension_set(sumcheck_extension x) {
  return (lanes_extension){lanes_set(x.c0), lanes_set(x.c1)};
}

KERNEL_INLINE lanes_factor factor_set(sumcheck_extension x) {
  return (lanes_factor){
    multiplier_set(x.c0), multiplier_set(x.c1),
    multiplier_set(field_multiply(FIELD_GENERATOR, x.c1))};
}

KERNEL_INLINE lanes_extension lanes_plus(lanes_extension a, lanes_extension b) {
  return (lanes_extension){lanes_add(a.c0, b.c0), lanes_add(a.c1, b.c1)};
}

KERNEL_INLINE lanes_extension lanes_minus(lanes_extension a, lanes_extension b) {
  return (lanes_extension){lanes_subtract(a.c0, b.c0), lanes_subtract(a.c1, b.c1)};
}

/// v[half + i] - v[i].
KERNEL_INLINE lanes_extension difference_load(sumcheck_vector v, size_t half, size_t i) {
  return lanes_minus(extension_load(v, half + i), extension_load(v, i));
}

KERNEL_INLINE size_t tile_size(size_t left) { return left < TILE ? left : TILE; }

KERNEL_INLINE lanes_wide wide_two_products(lanes a, lanes b, lanes c, lanes d) {
  return wide_plus(wide_product(a, b), wide_product(c, d));
}

/// a + b * factor. One coefficient after the other, each with its multipliers from memory: both at
/// once need more registers than there are.
KERNEL_INLINE lanes_extension lanes_plus_factor(
  lanes_extension a, lanes_extension b, const lanes_factor *factor) {
  lanes_limbs b0 = lanes_limbs_of(b.c0), b1 = lanes_limbs_of(b.c1);
  lanes_extension sum;
  sum.c0 = narrow_reduce(narrow_plus_element(
    narrow_plus(narrow_product(b0, &factor->c0), narrow_product(b1, &factor->seventh)), a.c0));
  __asm__("" ::: "memory");
  sum.c1 = narrow_reduce(narrow_plus_element(
    narrow_plus(narrow_product(b0, &factor->c1), narrow_product(b1, &factor->c0)), a.c1));
  return sum;
}

KERNEL_INLINE lanes_extension lanes_times_factor(lanes_extension a, const lanes_factor *b) {
  return lanes_plus_factor((lanes_extension){lanes_set(0), lanes_set(0)}, a, b);
}

/// a + b * factor, where b is of the base field.
KERNEL_INLINE lanes_extension lanes_plus_factor_base(
  lanes_extension a, lanes b, const lanes_factor *factor) {
  lanes_limbs limbs = lanes_limbs_of(b);
  return (lanes_extension){
    narrow_reduce(narrow_plus_element(narrow_product(limbs, &factor->c0), a.c0)),
    narrow_reduce(narrow_plus_element(narrow_product(limbs, &factor->c1), a.c1))};
}

KERNEL_INLINE lanes_extension lanes_times_base(lanes_extension a, lanes b) {
  return (lanes_extension){lanes_multiply(a.c0, b), lanes_multiply(a.c1, b)};
}

KERNEL_INLINE lanes_extension extension_where(lanes_extension a, lanes bit) {
  return (lanes_extension){lanes_where(a.c0, bit), lanes_where(a.c1, bit)};
}

/// low + r * (high - low).
KERNEL_INLINE lanes_extension lanes_fold(
  lanes_extension low, lanes_extension high, const lanes_factor *r) {
  return lanes_plus_factor(low, lanes_minus(high, low), r);
}

KERNEL_INLINE lanes_extension lanes_fold_base(lanes low, lanes high, const lanes_factor *r) {
  return lanes_plus_factor_base(
    (lanes_extension){low, lanes_set(0)}, lanes_subtract(high, low), r);
}

/// A sum of products over the extension: of both first coefficients, both second, and crosswise.
typedef struct {
  lanes_wide first, second, cross;
} extension_sum;

KERNEL_INLINE extension_sum extension_sum_zero(void) {
  return (extension_sum){wide_zero(), wide_zero(), wide_zero()};
}

KERNEL_INLINE void extension_sum_add(extension_sum *sum, lanes_extension a, lanes_extension b) {
  sum->first = wide_plus(sum->first, wide_product(a.c0, b.c0));
  sum->second = wide_plus(sum->second, wide_product(a.c1, b.c1));
  sum->cross = wide_plus(sum->cross, wide_two_products(a.c0, b.c1, a.c1, b.c0));
}

/// A sum of one or two products.
KERNEL_INLINE lanes_extension extension_sum_reduce(extension_sum sum) {
  return (lanes_extension){
    wide_reduce(wide_plus(sum.first, wide_seven_times(sum.second))), wide_reduce(sum.cross)};
}

KERNEL_INLINE sumcheck_extension extension_sum_total(const extension_sum *sum) {
  uint64_t second = field_multiply(FIELD_GENERATOR, wide_total(sum->second));
  return (sumcheck_extension){
    field_add(wide_total(sum->first), second), wide_total(sum->cross)};
}

KERNEL_INLINE lanes_extension lanes_times(lanes_extension a, lanes_extension b) {
  extension_sum sum = {
    wide_product(a.c0, b.c0), wide_product(a.c1, b.c1),
    wide_two_products(a.c0, b.c1, a.c1, b.c0)};
  return extension_sum_reduce(sum);
}

/// a * b + c * d.
KERNEL_INLINE lanes_extension lanes_cross(
  lanes_extension a, lanes_extension b, lanes_extension c, lanes_extension d) {
  extension_sum sum = {
    wide_two_products(a.c0, b.c0, c.c0, d.c0), wide_two_products(a.c1, b.c1, c.c1, d.c1),
    wide_plus(
      wide_two_products(a.c0, b.c1, a.c1, b.c0), wide_two_products(c.c0, d.c1, c.c1, d.c0))};
  return extension_sum_reduce(sum);
}

/// A sum of products of a base and an extension element.
typedef struct {
  lanes_wide c0, c1;
} mixed_sum;

KERNEL_INLINE mixed_sum mixed_sum_zero(void) { return (mixed_sum){wide_zero(), wide_zero()}; }

KERNEL_INLINE void mixed_sum_add(mixed_sum *sum, lanes a, lanes_extension b) {
  sum->c0 = wide_plus(sum->c0, wide_product(a, b.c0));
  sum->c1 = wide_plus(sum->c1, wide_product(a, b.c1));
}

KERNEL_INLINE sumcheck_extension mixed_sum_total(const mixed_sum *sum) {
  return (sumcheck_extension){wide_total(sum->c0), wide_total(sum->c1)};
}

/// g(0) and the leading coefficient of a round, where f1 - f0 and the like are what leads.
typedef struct {
  extension_sum at_zero, leading;
} round_sums;

KERNEL_INLINE round_sums round_sums_zero(void) {
  return (round_sums){extension_sum_zero(), extension_sum_zero()};
}

KERNEL_INLINE sumcheck_quadratic round_sums_total(const round_sums *sums) {
  return (sumcheck_quadratic){
    extension_sum_total(&sums->at_zero), extension_sum_total(&sums->leading)};
}

// MARK: Vectors

#define BASE_LOOP(name, operation)                                                                 \
  static void PATH(base_##name)(                                                                   \
    uint64_t *out, const uint64_t *a, const uint64_t *b, size_t begin, size_t end) {               \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_store(                                                                                 \
        out + i, operation(lanes_load(a + i), lanes_load(b + i)));                                 \
    }                                                                                              \
  }
BASE_LOOP(add, lanes_add)
BASE_LOOP(subtract, lanes_subtract)
BASE_LOOP(multiply, lanes_multiply)

#define EXTENSION_LOOP(name, operation)                                                            \
  static void PATH(extension_##name)(                                                              \
    sumcheck_vector out, sumcheck_vector a, sumcheck_vector b, size_t begin, size_t end) {         \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_extension value = operation(extension_load(a, i), extension_load(b, i));               \
      extension_store(out, i, value);                                                              \
    }                                                                                              \
  }
EXTENSION_LOOP(add, lanes_plus)
EXTENSION_LOOP(subtract, lanes_minus)
EXTENSION_LOOP(multiply, lanes_times)

static void PATH(extension_multiply_base)(
  sumcheck_vector out, sumcheck_vector a, const uint64_t *b, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension product = lanes_times_base(extension_load(a, i), lanes_load(b + i));
    extension_store(out, i, product);
  }
}

static void PATH(extension_scale)(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t begin, size_t end) {
  lanes_factor factor = factor_set(scale);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension product = lanes_times_factor(extension_load(a, i), &factor);
    extension_store(out, i, product);
  }
}

static void PATH(add_scaled_extension)(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t begin, size_t end) {
  lanes_factor factor = factor_set(scale);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension sum = lanes_plus_factor(
      extension_load(out, i), extension_load(a, i), &factor);
    extension_store(out, i, sum);
  }
}

/// One more variable of an equality: out[count + i] = r * out[i] and out[i] = (1 - r) * out[i].
static void PATH(equality_double)(
  sumcheck_vector out, sumcheck_extension r, size_t count, size_t begin, size_t end) {
  lanes_factor factor = factor_set(r);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension whole = extension_load(out, i);
    lanes_extension part = lanes_times_factor(whole, &factor);
    extension_store(out, count + i, part);
    extension_store(out, i, lanes_minus(whole, part));
  }
}

static sumcheck_extension PATH(inner_extension)(
  sumcheck_vector values, sumcheck_vector weights, size_t begin, size_t end) {
  extension_sum sum = extension_sum_zero();
  for (size_t i = begin; i < end; i += LANES) {
    extension_sum_add(&sum, extension_load(values, i), extension_load(weights, i));
  }
  return extension_sum_total(&sum);
}

// MARK: Binding one variable, and the product

// A round folds and evaluates by tiles that stay in the first-level cache: loops over one array
// hold what they need in registers, where one loop over all of them could not.

/// out[i] = f[i] + r * (f[i + distance] - f[i]) for count values from `begin`.
KERNEL_TILE void fold_tile(
  sumcheck_vector out, sumcheck_vector f, size_t distance, const lanes_factor *r, size_t begin,
  size_t count) {
  for (size_t i = begin; i < begin + count; i += LANES) {
    lanes_extension low = extension_load(f, i), high = extension_load(f, distance + i);
    extension_store(out, i, lanes_fold(low, high, r));
  }
}

/// Both values of the pairs from `begin`, which are `quarter` apart, out of those half an array on.
KERNEL_INLINE void fold_pairs(
  sumcheck_vector f, size_t quarter, const lanes_factor *r, size_t begin, size_t count) {
  fold_tile(f, f, 2 * quarter, r, begin, count);
  fold_tile(f, f, 2 * quarter, r, begin + quarter, count);
}

static void PATH(fold_extension)(
  sumcheck_vector out, sumcheck_vector f, size_t half, sumcheck_extension r, size_t begin,
  size_t end) {
  lanes_factor factor = factor_set(r);
  fold_tile(out, f, half, &factor, begin, end - begin);
}

KERNEL_TILE void product_tile(
  round_sums *sums, sumcheck_vector f, sumcheck_vector w, size_t half, size_t begin,
  size_t count) {
  extension_sum at_zero = sums->at_zero, leading = sums->leading;
  for (size_t i = begin; i < begin + count; i += LANES) {
    extension_sum_add(&at_zero, extension_load(f, i), extension_load(w, i));
  }
  for (size_t i = begin; i < begin + count; i += LANES) {
    extension_sum_add(&leading, difference_load(f, half, i), difference_load(w, half, i));
  }
  *sums = (round_sums){at_zero, leading};
}

static sumcheck_quadratic PATH(product_round_extension)(
  sumcheck_vector f, sumcheck_vector w, size_t half, size_t begin, size_t end) {
  round_sums sums = round_sums_zero();
  for (size_t i = begin; i < end; i += TILE) product_tile(&sums, f, w, half, i, tile_size(end - i));
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(product_fold_round_extension)(
  sumcheck_vector f, sumcheck_vector w, size_t quarter, sumcheck_extension r, size_t begin,
  size_t end) {
  lanes_factor factor = factor_set(r);
  round_sums sums = round_sums_zero();
  for (size_t i = begin; i < end; i += TILE) {
    size_t count = tile_size(end - i);
    fold_pairs(f, quarter, &factor, i, count);
    fold_pairs(w, quarter, &factor, i, count);
    product_tile(&sums, f, w, quarter, i, count);
  }
  return round_sums_total(&sums);
}

// MARK: From integers and base elements

#define BASE_SOURCE(kind, type, load)                                                              \
  static void PATH(add_scaled_##kind)(                                                             \
    sumcheck_vector out, const type *a, sumcheck_extension scale, size_t begin, size_t end) {      \
    lanes_factor factor = factor_set(scale);                                                       \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_extension before = extension_load(out, i);                                             \
      extension_store(out, i, lanes_plus_factor_base(before, load(a + i), &factor));               \
    }                                                                                              \
  }                                                                                                \
  KERNEL_TILE void fold_tile_##kind(                                                               \
    sumcheck_vector out, const type *f, size_t distance, const lanes_factor *r, size_t begin,      \
    size_t count) {                                                                                \
    for (size_t i = begin; i < begin + count; i += LANES) {                                        \
      extension_store(out, i, lanes_fold_base(load(f + i), load(f + distance + i), r));            \
    }                                                                                              \
  }                                                                                                \
  static void PATH(fold_##kind)(                                                                   \
    sumcheck_vector out, const type *f, size_t half, sumcheck_extension r, size_t begin,           \
    size_t end) {                                                                                  \
    lanes_factor factor = factor_set(r);                                                           \
    fold_tile_##kind(out, f, half, &factor, begin, end - begin);                                   \
  }                                                                                                \
  static sumcheck_quadratic PATH(product_fold_round_##kind)(                                       \
    sumcheck_vector folded, const type *f, sumcheck_vector w, size_t quarter,                      \
    sumcheck_extension r, size_t begin, size_t end) {                                              \
    lanes_factor factor = factor_set(r);                                                           \
    round_sums sums = round_sums_zero();                                                           \
    for (size_t i = begin; i < end; i += TILE) {                                                   \
      size_t count = tile_size(end - i);                                                           \
      fold_tile_##kind(folded, f, 2 * quarter, &factor, i, count);                                 \
      fold_tile_##kind(folded, f, 2 * quarter, &factor, i + quarter, count);                       \
      fold_pairs(w, quarter, &factor, i, count);                                                   \
      product_tile(&sums, folded, w, quarter, i, count);                                           \
    }                                                                                              \
    return round_sums_total(&sums);                                                                \
  }
BASE_SOURCE(int16, int16_t, lanes_load_int16)
BASE_SOURCE(int32, int32_t, lanes_load_int32)
BASE_SOURCE(base, uint64_t, lanes_load)

static sumcheck_extension PATH(inner_base)(
  const uint64_t *values, sumcheck_vector weights, size_t begin, size_t end) {
  mixed_sum sum = mixed_sum_zero();
  for (size_t i = begin; i < end; i += LANES) {
    mixed_sum_add(&sum, lanes_load(values + i), extension_load(weights, i));
  }
  return mixed_sum_total(&sum);
}

static void PATH(combine_rows_base)(
  sumcheck_vector out, const uint64_t *rows, size_t row_stride, sumcheck_vector weights,
  size_t row_count, size_t begin, size_t end) {
  for (size_t j = begin; j < end; j += LANES) {
    mixed_sum sum = mixed_sum_zero();
    for (size_t i = 0; i < row_count; i++) {
      lanes_extension weight = {lanes_set(weights.c0[i]), lanes_set(weights.c1[i])};
      mixed_sum_add(&sum, lanes_load(rows + i * row_stride + j), weight);
    }
    lanes_extension value = {wide_reduce_long(sum.c0), wide_reduce_long(sum.c1)};
    extension_store(out, j, value);
  }
}

static sumcheck_quadratic PATH(product_round_base)(
  const uint64_t *f, sumcheck_vector w, size_t half, size_t begin, size_t end) {
  mixed_sum at_zero = mixed_sum_zero(), leading = mixed_sum_zero();
  for (size_t i = begin; i < end; i += LANES) {
    lanes f0 = lanes_load(f + i), f1 = lanes_load(f + half + i);
    mixed_sum_add(&at_zero, f0, extension_load(w, i));
    mixed_sum_add(&leading, lanes_subtract(f1, f0), difference_load(w, half, i));
  }
  return (sumcheck_quadratic){mixed_sum_total(&at_zero), mixed_sum_total(&leading)};
}

/// Products with integers: as many are summed as a column holds, and then settled into elements.
#define INTEGER_LIMIT 512

/// Columns of a row combination at once, and rows that stream past them at once.
#define COMBINED_COLUMNS 256
#define COMBINED_ROWS 8

typedef struct {
  lanes_integer_sum c0, c1;
} integer_sums;

typedef struct {
  lanes_limbs c0, c1;
} extension_limbs;

KERNEL_INLINE integer_sums integer_sums_zero(void) {
  return (integer_sums){integer_sum_zero(), integer_sum_zero()};
}

KERNEL_INLINE extension_limbs extension_limbs_of(lanes_extension a) {
  return (extension_limbs){lanes_limbs_of(a.c0), lanes_limbs_of(a.c1)};
}

KERNEL_INLINE void integer_sums_add(integer_sums *sums, lanes_integer a, extension_limbs b) {
  integer_sum_add(&sums->c0, a, b.c0);
  integer_sum_add(&sums->c1, a, b.c1);
}

KERNEL_INLINE void integer_sums_subtract(
  integer_sums *sums, lanes_integer a, extension_limbs b) {
  integer_sum_subtract(&sums->c0, a, b.c0);
  integer_sum_subtract(&sums->c1, a, b.c1);
}

KERNEL_INLINE lanes_extension integer_sums_reduce(const integer_sums *sums) {
  return (lanes_extension){integer_sum_reduce(&sums->c0), integer_sum_reduce(&sums->c1)};
}

KERNEL_INLINE sumcheck_extension integer_sums_total(const integer_sums *sums) {
  lanes_extension value = integer_sums_reduce(sums);
  return (sumcheck_extension){lanes_total(value.c0), lanes_total(value.c1)};
}

/// Elements whose products with integers `integer_sums` can hold.
KERNEL_INLINE size_t integer_tile(size_t left) {
  return left < INTEGER_LIMIT * LANES ? left : INTEGER_LIMIT * LANES;
}

#define INTEGER_SOURCE(kind, type)                                                                 \
  static sumcheck_extension PATH(inner_##kind)(                                                    \
    const type *values, sumcheck_vector weights, size_t begin, size_t end) {                       \
    sumcheck_extension total = {0, 0};                                                             \
    for (size_t start = begin; start < end; start += INTEGER_LIMIT * LANES) {                      \
      integer_sums sums = integer_sums_zero();                                                     \
      for (size_t i = start; i < start + integer_tile(end - start); i += LANES) {                  \
        extension_limbs weight = extension_limbs_of(extension_load(weights, i));                   \
        integer_sums_add(&sums, integer_load_##kind(values + i), weight);                          \
      }                                                                                            \
      total = extension_add(total, integer_sums_total(&sums));                                     \
    }                                                                                              \
    return total;                                                                                  \
  }                                                                                                \
  static sumcheck_quadratic PATH(product_round_##kind)(                                            \
    const type *f, sumcheck_vector w, size_t half, size_t begin, size_t end) {                     \
    sumcheck_quadratic total = {{0, 0}, {0, 0}};                                                   \
    for (size_t start = begin; start < end; start += INTEGER_LIMIT / 2 * LANES) {                  \
      size_t count = integer_tile(2 * (end - start)) / 2;                                          \
      integer_sums at_zero = integer_sums_zero(), leading = integer_sums_zero();                   \
      for (size_t i = start; i < start + count; i += LANES) {                                      \
        extension_limbs weight = extension_limbs_of(extension_load(w, i));                         \
        integer_sums_add(&at_zero, integer_load_##kind(f + i), weight);                            \
      }                                                                                            \
      /* Not by f1 - f0, which may have 33 bits. */                                                \
      for (size_t i = start; i < start + count; i += LANES) {                                      \
        extension_limbs weight = extension_limbs_of(difference_load(w, half, i));                  \
        integer_sums_add(&leading, integer_load_##kind(f + half + i), weight);                     \
        integer_sums_subtract(&leading, integer_load_##kind(f + i), weight);                       \
      }                                                                                            \
      total.at_zero = extension_add(total.at_zero, integer_sums_total(&at_zero));                  \
      total.leading = extension_add(total.leading, integer_sums_total(&leading));                  \
    }                                                                                              \
    return total;                                                                                  \
  }                                                                                                \
  /* Adds up to COMBINED_ROWS rows, each times its weight, to the sums of some columns. */         \
  KERNEL_TILE void combine_tile_##kind(                                                            \
    integer_sums *sums, const type *rows, size_t row_stride, const extension_limbs *weights,       \
    size_t row_count, size_t columns) {                                                            \
    for (size_t j = 0; j < columns; j += LANES) {                                                  \
      integer_sums sum = sums[j / LANES];                                                          \
      for (size_t i = 0; i < row_count; i++) {                                                     \
        integer_sums_add(&sum, integer_load_##kind(rows + i * row_stride + j), weights[i]);        \
      }                                                                                            \
      sums[j / LANES] = sum;                                                                       \
    }                                                                                              \
  }                                                                                                \
  static void PATH(combine_rows_##kind)(                                                           \
    sumcheck_vector out, const type *rows, size_t row_stride, sumcheck_vector weights,             \
    size_t row_count, size_t begin, size_t end) {                                                  \
    for (size_t start = begin; start < end; start += COMBINED_COLUMNS) {                           \
      size_t columns = end - start < COMBINED_COLUMNS ? end - start : COMBINED_COLUMNS;            \
      lanes_extension zero = extension_set((sumcheck_extension){0, 0});                            \
      for (size_t j = start; j < start + columns; j += LANES) extension_store(out, j, zero);       \
      for (size_t first = 0; first < row_count; first += INTEGER_LIMIT) {                          \
        size_t last = row_count - first < INTEGER_LIMIT ? row_count : first + INTEGER_LIMIT;       \
        integer_sums sums[COMBINED_COLUMNS / LANES];                                               \
        for (size_t j = 0; j < columns; j += LANES) sums[j / LANES] = integer_sums_zero();         \
        for (size_t row = first; row < last; row += COMBINED_ROWS) {                               \
          size_t count = last - row < COMBINED_ROWS ? last - row : COMBINED_ROWS;                  \
          extension_limbs factors[COMBINED_ROWS];                                                  \
          for (size_t i = 0; i < count; i++) {                                                     \
            factors[i] = extension_limbs_of((lanes_extension){                                     \
              lanes_set(weights.c0[row + i]), lanes_set(weights.c1[row + i])});                    \
          }                                                                                        \
          combine_tile_##kind(                                                                     \
            sums, rows + row * row_stride + start, row_stride, factors, count, columns);           \
        }                                                                                          \
        for (size_t j = 0; j < columns; j += LANES) {                                              \
          lanes_extension sum = integer_sums_reduce(&sums[j / LANES]);                             \
          extension_store(out, start + j, lanes_plus(extension_load(out, start + j), sum));        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
INTEGER_SOURCE(int16, int16_t)
INTEGER_SOURCE(int32, int32_t)

// MARK: With an equality: one block of eq.low, weighed by the caller with eq.high

/// Two coefficients of the values of a tile.
typedef struct {
  uint64_t c0[TILE], c1[TILE];
} tile_buffer;

KERNEL_INLINE sumcheck_vector tile_vector(tile_buffer *buffer) {
  return (sumcheck_vector){buffer->c0, buffer->c1};
}

KERNEL_INLINE sumcheck_vector vector_at(sumcheck_vector v, size_t i) {
  return (sumcheck_vector){v.c0 + i, v.c1 + i};
}

/// out[k] = f[half + k] - f[k].
KERNEL_TILE void difference_tile(
  sumcheck_vector out, sumcheck_vector f, size_t half, size_t count) {
  for (size_t k = 0; k < count; k += LANES) extension_store(out, k, difference_load(f, half, k));
}

/// Adds eq * a * b.
KERNEL_TILE void weighted_tile(
  extension_sum *sum, sumcheck_vector a, sumcheck_vector b, sumcheck_vector eq, size_t count) {
  extension_sum total = *sum;
  for (size_t k = 0; k < count; k += LANES) {
    lanes_extension product = lanes_times(extension_load(a, k), extension_load(b, k));
    extension_sum_add(&total, product, extension_load(eq, k));
  }
  *sum = total;
}

/// Adds eq * f * h at 0 and its coefficient of X^2, for the pairs `half` apart.
KERNEL_INLINE void equality_tile(
  round_sums *sums, sumcheck_vector f, sumcheck_vector h, sumcheck_vector eq, size_t half,
  size_t count) {
  weighted_tile(&sums->at_zero, f, h, eq, count);
  tile_buffer df, dh;
  difference_tile(tile_vector(&df), f, half, count);
  difference_tile(tile_vector(&dh), h, half, count);
  weighted_tile(&sums->leading, tile_vector(&df), tile_vector(&dh), eq, count);
}

static sumcheck_quadratic PATH(equality_round)(
  sumcheck_vector f, sumcheck_vector h, sumcheck_vector eq, size_t half, size_t base,
  size_t count) {
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += TILE) {
    sumcheck_vector ft = vector_at(f, base + k), ht = vector_at(h, base + k);
    equality_tile(&sums, ft, ht, vector_at(eq, k), half, tile_size(count - k));
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(equality_fold_round)(
  sumcheck_vector f, sumcheck_vector h, sumcheck_vector eq, size_t quarter, sumcheck_extension r,
  size_t base, size_t count) {
  lanes_factor factor = factor_set(r);
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += TILE) {
    size_t size = tile_size(count - k);
    fold_pairs(f, quarter, &factor, base + k, size);
    fold_pairs(h, quarter, &factor, base + k, size);
    sumcheck_vector ft = vector_at(f, base + k), ht = vector_at(h, base + k);
    equality_tile(&sums, ft, ht, vector_at(eq, k), quarter, size);
  }
  return round_sums_total(&sums);
}

/// Adds to the coefficients the product of the lines through both values of each factor, times eq.
static void PATH(factors_round)(
  sumcheck_extension *coefficients, const sumcheck_vector *factors, size_t factor_count,
  sumcheck_vector eq, size_t half, size_t base, size_t count) {
  lanes_extension zero = extension_set((sumcheck_extension){0, 0});
  lanes_extension totals[SUMCHECK_FACTOR_LIMIT + 1], product[SUMCHECK_FACTOR_LIMIT + 1];
  for (size_t d = 0; d <= factor_count; d++) totals[d] = zero;
  for (size_t k = 0; k < count; k += LANES) {
    product[0] = extension_load(eq, k);
    for (size_t degree = 0; degree < factor_count; degree++) {
      lanes_extension start = extension_load(factors[degree], base + k);
      lanes_extension step = difference_load(factors[degree], half, base + k);
      product[degree + 1] = lanes_times(product[degree], step);
      for (size_t d = degree; d > 0; d--) {
        product[d] = lanes_cross(product[d], start, product[d - 1], step);
      }
      product[0] = lanes_times(product[0], start);
    }
    for (size_t d = 0; d <= factor_count; d++) totals[d] = lanes_plus(totals[d], product[d]);
  }
  for (size_t d = 0; d <= factor_count; d++) {
    coefficients[d] = (sumcheck_extension){lanes_total(totals[d].c0), lanes_total(totals[d].c1)};
  }
}

// MARK: LogUp-GKR

#define DENOMINATORS(kind, type, load)                                                             \
  static void PATH(denominators_##kind)(                                                           \
    sumcheck_vector q, const type *c0, const type *c1, sumcheck_extension constant,                \
    sumcheck_extension gamma, size_t begin, size_t end) {                                          \
    lanes_extension offset = extension_set(constant);                                              \
    lanes_factor minus_gamma = factor_set(extension_subtract((sumcheck_extension){0, 0}, gamma));  \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_extension value = {lanes_subtract(offset.c0, load(c0 + i)), offset.c1};                \
      if (c1) value = lanes_plus_factor_base(value, load(c1 + i), &minus_gamma);                   \
      extension_store(q, i, value);                                                                \
    }                                                                                              \
  }
DENOMINATORS(int16, int16_t, lanes_load_int16)
DENOMINATORS(int32, int32_t, lanes_load_int32)

static void PATH(fraction_sum)(
  sumcheck_vector p, sumcheck_vector q, sumcheck_fractions layer, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension p0 = extension_load(layer.p0, i), p1 = extension_load(layer.p1, i);
    lanes_extension q0 = extension_load(layer.q0, i), q1 = extension_load(layer.q1, i);
    extension_store(p, i, lanes_cross(p0, q1, p1, q0));
    extension_store(q, i, lanes_times(q0, q1));
  }
}

KERNEL_INLINE lanes load_numerator(const int32_t *p, size_t i) {
  return p ? lanes_load_int32(p + i) : lanes_set(1);
}

/// Whether count numerators are 0 or 1, as those of lookups are.
KERNEL_INLINE bool numerators_are_bits(const int32_t *p, size_t count) {
  uint32_t bits = 0;
  if (p) {
    for (size_t k = 0; k < count; k++) bits |= (uint32_t)p[k];
  }
  return bits < 2;
}

static void PATH(fraction_sum_leaves)(
  sumcheck_vector p, sumcheck_vector q, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, size_t begin, size_t end) {
  for (size_t start = begin; start < end; start += TILE) {
    size_t stop = start + tile_size(end - start);
    bool areBits = numerators_are_bits(p0 ? p0 + start : NULL, stop - start)
      && numerators_are_bits(p1 ? p1 + start : NULL, stop - start);
    for (size_t i = start; i < stop; i += LANES) {
      lanes_extension d0 = extension_load(q0, i), d1 = extension_load(q1, i);
      lanes n0 = load_numerator(p0, i), n1 = load_numerator(p1, i);
      lanes_extension sum =
        areBits ? lanes_plus(extension_where(d0, n1), extension_where(d1, n0))
                : lanes_plus(lanes_times_base(d0, n1), lanes_times_base(d1, n0));
      extension_store(p, i, sum);
      extension_store(q, i, lanes_times(d0, d1));
    }
  }
}

/// Adds eq * (a b + c d).
KERNEL_TILE void cross_tile(
  extension_sum *sum, sumcheck_vector a, sumcheck_vector b, sumcheck_vector c, sumcheck_vector d,
  sumcheck_vector eq, size_t count) {
  extension_sum total = *sum;
  for (size_t k = 0; k < count; k += LANES) {
    // One coefficient after the other: both at once need more registers than there are.
    lanes_wide first = wide_two_products(
      lanes_load(a.c0 + k), lanes_load(b.c0 + k), lanes_load(c.c0 + k), lanes_load(d.c0 + k));
    lanes_wide second = wide_two_products(
      lanes_load(a.c1 + k), lanes_load(b.c1 + k), lanes_load(c.c1 + k), lanes_load(d.c1 + k));
    lanes_extension value;
    value.c0 = wide_reduce(wide_plus(first, wide_seven_times(second)));
    __asm__("" ::: "memory");
    lanes_wide left = wide_two_products(
      lanes_load(a.c0 + k), lanes_load(b.c1 + k), lanes_load(c.c0 + k), lanes_load(d.c1 + k));
    lanes_wide right = wide_two_products(
      lanes_load(a.c1 + k), lanes_load(b.c0 + k), lanes_load(c.c1 + k), lanes_load(d.c0 + k));
    value.c1 = wide_reduce(wide_plus(left, right));
    extension_sum_add(&total, value, extension_load(eq, k));
  }
  *sum = total;
}

/// Adds eq * (a b + c bit), where every bit is 0 or 1.
KERNEL_TILE void masked_tile(
  extension_sum *sum, sumcheck_vector a, sumcheck_vector b, sumcheck_vector c,
  const uint64_t *bit, sumcheck_vector eq, size_t count) {
  extension_sum total = *sum;
  for (size_t k = 0; k < count; k += LANES) {
    lanes_extension product = lanes_times(extension_load(a, k), extension_load(b, k));
    lanes_extension masked = extension_where(extension_load(c, k), lanes_load(bit + k));
    extension_sum_add(&total, lanes_plus(product, masked), extension_load(eq, k));
  }
  *sum = total;
}

// The numerators of lookups are bits, and mostly the same in both halves: binding their variable
// leaves them as they are. A tile is looked at before it is computed; others end the look at once.

/// Whether the values `distance` on are the same.
KERNEL_INLINE bool tile_repeats(sumcheck_vector f, size_t distance, size_t count) {
  for (size_t k = 0; k < count; k += LANES) {
    if (!lanes_equal(lanes_load(f.c0 + k), lanes_load(f.c0 + distance + k))) return false;
    if (!lanes_equal(lanes_load(f.c1 + k), lanes_load(f.c1 + distance + k))) return false;
  }
  return true;
}

KERNEL_INLINE bool tile_is_bits(sumcheck_vector f, size_t count) {
  for (size_t k = 0; k < count; k++) {
    if (f.c0[k] > 1 || f.c1[k] != 0) return false;
  }
  return true;
}

KERNEL_INLINE void fold_numerators(
  sumcheck_vector p, size_t distance, const lanes_factor *r, size_t begin, size_t count) {
  if (tile_repeats(vector_at(p, begin), distance, count)) return;
  fold_tile(p, p, distance, r, begin, count);
}

/// Adds eq * (p0 q1 + p1 q0) at 0 and its coefficient of X^2, for the pairs `half` apart.
KERNEL_INLINE void fraction_tile(
  round_sums *sums, sumcheck_fractions layer, sumcheck_vector eq, size_t half, size_t begin,
  size_t count) {
  sumcheck_vector p0 = vector_at(layer.p0, begin), p1 = vector_at(layer.p1, begin);
  sumcheck_vector q0 = vector_at(layer.q0, begin), q1 = vector_at(layer.q1, begin);
  if (tile_is_bits(p0, count)) {
    masked_tile(&sums->at_zero, p1, q0, q1, p0.c0, eq, count);
  } else {
    cross_tile(&sums->at_zero, p0, q1, p1, q0, eq, count);
  }
  tile_buffer dp0, dp1, dq0, dq1;
  difference_tile(tile_vector(&dp1), p1, half, count);
  difference_tile(tile_vector(&dq0), q0, half, count);
  if (tile_repeats(p0, half, count)) {
    weighted_tile(&sums->leading, tile_vector(&dp1), tile_vector(&dq0), eq, count);
    return;
  }
  difference_tile(tile_vector(&dp0), p0, half, count);
  difference_tile(tile_vector(&dq1), q1, half, count);
  cross_tile(
    &sums->leading, tile_vector(&dp0), tile_vector(&dq1), tile_vector(&dp1), tile_vector(&dq0),
    eq, count);
}

/// p1 += lambda q1.
KERNEL_TILE void lambda_tile(
  sumcheck_fractions layer, const lanes_factor *lambda, size_t begin, size_t count) {
  for (size_t i = begin; i < begin + count; i += LANES) {
    lanes_extension p1 = extension_load(layer.p1, i), q1 = extension_load(layer.q1, i);
    extension_store(layer.p1, i, lanes_plus_factor(p1, q1, lambda));
  }
}

static sumcheck_quadratic PATH(fraction_round)(
  sumcheck_fractions layer, sumcheck_extension lambda, sumcheck_vector eq, size_t half,
  size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda);
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += TILE) {
    size_t size = tile_size(count - k);
    lambda_tile(layer, &factor, base + k, size);
    lambda_tile(layer, &factor, base + half + k, size);
    fraction_tile(&sums, layer, vector_at(eq, k), half, base + k, size);
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(fraction_fold_round)(
  sumcheck_fractions layer, sumcheck_extension r, sumcheck_vector eq, size_t quarter, size_t base,
  size_t count) {
  lanes_factor factor = factor_set(r);
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += TILE) {
    size_t size = tile_size(count - k);
    fold_numerators(layer.p0, 2 * quarter, &factor, base + k, size);
    fold_numerators(layer.p0, 2 * quarter, &factor, base + quarter + k, size);
    fold_pairs(layer.p1, quarter, &factor, base + k, size);
    fold_pairs(layer.q0, quarter, &factor, base + k, size);
    fold_pairs(layer.q1, quarter, &factor, base + k, size);
    fraction_tile(&sums, layer, vector_at(eq, k), quarter, base + k, size);
  }
  return round_sums_total(&sums);
}

/// Whether a tile's numerators are bits, and the same in both halves.
KERNEL_INLINE bool numerators_repeat(const int32_t *p, size_t half, size_t count) {
  if (p == NULL) return true;
  return memcmp(p, p + half, count * sizeof *p) == 0 && numerators_are_bits(p, count);
}

/// A round at the leaves: what leads is lambda * q0 q1 where no numerator changes, and kept apart.
typedef struct {
  round_sums sums;
  extension_sum leading_times_lambda;
} leaves_sums;

/// Adds eq * (p0 q1 + (p1 + lambda q1) q0), where `areBits` is of p0 and p1.
KERNEL_TILE void leaves_tile(
  extension_sum *sum, const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  const lanes_factor *lambda, sumcheck_vector eq, size_t count, bool areBits) {
  extension_sum total = *sum;
  for (size_t k = 0; k < count; k += LANES) {
    lanes_extension d0 = extension_load(q0, k), d1 = extension_load(q1, k);
    lanes_extension n1 = {load_numerator(p1, k), lanes_set(0)};
    lanes n0 = load_numerator(p0, k);
    lanes_extension left = areBits ? extension_where(d1, n0) : lanes_times_base(d1, n0);
    lanes_extension value = lanes_plus(left, lanes_times(lanes_plus_factor(n1, d1, lambda), d0));
    extension_sum_add(&total, value, extension_load(eq, k));
  }
  *sum = total;
}

/// Adds what leads of the same, for numerators that may change.
KERNEL_TILE void leaves_difference_tile(
  extension_sum *sum, const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  const lanes_factor *lambda, sumcheck_vector eq, size_t half, size_t count) {
  extension_sum total = *sum;
  for (size_t k = 0; k < count; k += LANES) {
    lanes_extension d0 = difference_load(q0, half, k), d1 = difference_load(q1, half, k);
    lanes n0 = lanes_subtract(load_numerator(p0, half + k), load_numerator(p0, k));
    lanes_extension n1 = {
      lanes_subtract(load_numerator(p1, half + k), load_numerator(p1, k)), lanes_set(0)};
    lanes_extension value = lanes_plus(
      lanes_times_base(d1, n0), lanes_times(lanes_plus_factor(n1, d1, lambda), d0));
    extension_sum_add(&total, value, extension_load(eq, k));
  }
  *sum = total;
}

static sumcheck_quadratic PATH(fraction_round_leaves)(
  const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  sumcheck_extension lambda, sumcheck_vector eq, size_t half, size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda);
  leaves_sums sums = {round_sums_zero(), extension_sum_zero()};
  for (size_t k = 0; k < count; k += TILE) {
    size_t i = base + k, size = tile_size(count - k);
    const int32_t *n0 = p0 ? p0 + i : NULL, *n1 = p1 ? p1 + i : NULL;
    sumcheck_vector d0 = vector_at(q0, i), d1 = vector_at(q1, i), weights = vector_at(eq, k);
    bool repeat = numerators_repeat(n0, half, size) && numerators_repeat(n1, half, size);
    leaves_tile(&sums.sums.at_zero, n0, n1, d0, d1, &factor, weights, size, repeat);
    if (repeat) {
      tile_buffer b0, b1;
      difference_tile(tile_vector(&b0), d0, half, size);
      difference_tile(tile_vector(&b1), d1, half, size);
      weighted_tile(
        &sums.leading_times_lambda, tile_vector(&b0), tile_vector(&b1), weights, size);
    } else {
      leaves_difference_tile(&sums.sums.leading, n0, n1, d0, d1, &factor, weights, half, size);
    }
  }
  sumcheck_quadratic total = round_sums_total(&sums.sums);
  sumcheck_extension product = extension_sum_total(&sums.leading_times_lambda);
  total.leading = extension_add(total.leading, extension_multiply(product, lambda));
  return total;
}

/// The fold of a numerator.
KERNEL_TILE void numerator_tile(
  sumcheck_vector out, const int32_t *p, size_t distance, const lanes_factor *r, size_t begin,
  size_t count) {
  if (p && memcmp(p + begin, p + distance + begin, count * sizeof *p) != 0) {
    fold_tile_int32(out, p, distance, r, begin, count);
    return;
  }
  for (size_t i = begin; i < begin + count; i += LANES) {
    extension_store(out, i, (lanes_extension){load_numerator(p, i), lanes_set(0)});
  }
}

static sumcheck_quadratic PATH(fraction_fold_round_leaves)(
  sumcheck_fractions folded, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, sumcheck_extension lambda, sumcheck_extension r, sumcheck_vector eq,
  size_t quarter, size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda), fold = factor_set(r);
  round_sums sums = round_sums_zero();
  size_t half = 2 * quarter;
  for (size_t k = 0; k < count; k += TILE) {
    size_t size = tile_size(count - k);
    for (size_t i = base + k; i < half; i += quarter) {
      numerator_tile(folded.p0, p0, half, &fold, i, size);
      numerator_tile(folded.p1, p1, half, &fold, i, size);
      fold_tile(folded.q0, q0, half, &fold, i, size);
      fold_tile(folded.q1, q1, half, &fold, i, size);
      lambda_tile(folded, &factor, i, size);
    }
    fraction_tile(&sums, folded, vector_at(eq, k), quarter, base + k, size);
  }
  return round_sums_total(&sums);
}

const sumcheck_table PATH(sumcheck_table) = {
  LANES,
#define TABLE_ENTRY(result, name, ...) PATH(name),
  SUMCHECK_TABLE(TABLE_ENTRY)
#undef TABLE_ENTRY
};
