// The loops, written once over the lanes that a path's header defines. Every range here is a whole
// number of lanes; kernels.c gives what is left over to the portable path.
#include "table.h"

// MARK: The extension, lane by lane

typedef struct {
  lanes c0, c1;
} lanes_extension;

/// An extension element that multiplies many others, with seven times its second coefficient.
typedef struct {
  lanes c0, c1, seventh;
} lanes_factor;

static inline lanes_extension extension_load(sumcheck_vector v, size_t i) {
  return (lanes_extension){lanes_load(v.c0 + i), lanes_load(v.c1 + i)};
}

/// `x` is canonical.
static inline void extension_store(sumcheck_vector v, size_t i, lanes_extension x) {
  lanes_store(v.c0 + i, x.c0);
  lanes_store(v.c1 + i, x.c1);
}

static inline lanes_extension extension_set(sumcheck_extension x) {
  return (lanes_extension){lanes_set(x.c0), lanes_set(x.c1)};
}

static inline lanes_factor factor_set(sumcheck_extension x) {
  return (lanes_factor){
    lanes_set(x.c0), lanes_set(x.c1), lanes_set(field_multiply(FIELD_GENERATOR, x.c1))};
}

/// Canonical, as both operands are, like those of lanes_add and lanes_subtract.
static inline lanes_extension lanes_plus(lanes_extension a, lanes_extension b) {
  return (lanes_extension){lanes_add(a.c0, b.c0), lanes_add(a.c1, b.c1)};
}

static inline lanes_extension lanes_minus(lanes_extension a, lanes_extension b) {
  return (lanes_extension){lanes_subtract(a.c0, b.c0), lanes_subtract(a.c1, b.c1)};
}

static inline lanes_wide wide_two_products(lanes a, lanes b, lanes c, lanes d) {
  return wide_plus(wide_product(a, b), wide_product(c, d));
}

static inline lanes_extension lanes_times_factor(lanes_extension a, lanes_factor b) {
  return (lanes_extension){
    wide_reduce(wide_two_products(a.c0, b.c0, a.c1, b.seventh)),
    wide_reduce(wide_two_products(a.c0, b.c1, a.c1, b.c0))};
}

static inline lanes_extension lanes_times_base(lanes_extension a, lanes b) {
  return (lanes_extension){lanes_multiply(a.c0, b), lanes_multiply(a.c1, b)};
}

/// low + r * (high - low), canonical.
static inline lanes_extension lanes_fold(
  lanes_extension low, lanes_extension high, lanes_factor r) {
  lanes_extension step = lanes_times_factor(lanes_minus(high, low), r);
  return lanes_plus(step, low);
}

static inline lanes_extension lanes_fold_base(lanes low, lanes high, lanes_factor r) {
  lanes difference = lanes_subtract(high, low);
  return (lanes_extension){
    lanes_add(lanes_multiply(difference, r.c0), low),
    lanes_multiply(difference, r.c1)};
}

/// A sum of products over the extension: of both first coefficients, both second, and crosswise.
typedef struct {
  lanes_wide first, second, cross;
} extension_sum;

static inline extension_sum extension_sum_zero(void) {
  return (extension_sum){wide_zero(), wide_zero(), wide_zero()};
}

static inline void extension_sum_add(extension_sum *sum, lanes_extension a, lanes_extension b) {
  sum->first = wide_plus(sum->first, wide_product(a.c0, b.c0));
  sum->second = wide_plus(sum->second, wide_product(a.c1, b.c1));
  sum->cross = wide_plus(sum->cross, wide_two_products(a.c0, b.c1, a.c1, b.c0));
}

/// A sum of one or two products.
static inline lanes_extension extension_sum_reduce(extension_sum sum) {
  return (lanes_extension){
    wide_reduce(wide_plus(sum.first, wide_seven_times(sum.second))), wide_reduce(sum.cross)};
}

static inline sumcheck_extension extension_sum_total(const extension_sum *sum) {
  uint64_t second = field_multiply(FIELD_GENERATOR, wide_total(sum->second));
  return (sumcheck_extension){
    field_add(wide_total(sum->first), second), wide_total(sum->cross)};
}

static inline lanes_extension lanes_times(lanes_extension a, lanes_extension b) {
  extension_sum sum = {
    wide_product(a.c0, b.c0), wide_product(a.c1, b.c1),
    wide_two_products(a.c0, b.c1, a.c1, b.c0)};
  return extension_sum_reduce(sum);
}

/// a * b + c * d.
static inline lanes_extension lanes_cross(
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

static inline mixed_sum mixed_sum_zero(void) { return (mixed_sum){wide_zero(), wide_zero()}; }

static inline void mixed_sum_add(mixed_sum *sum, lanes a, lanes_extension b) {
  sum->c0 = wide_plus(sum->c0, wide_product(a, b.c0));
  sum->c1 = wide_plus(sum->c1, wide_product(a, b.c1));
}

static inline sumcheck_extension mixed_sum_total(const mixed_sum *sum) {
  return (sumcheck_extension){wide_total(sum->c0), wide_total(sum->c1)};
}

/// g(0) and the leading coefficient of a round, where f1 - f0 and the like are what leads.
typedef struct {
  extension_sum at_zero, leading;
} round_sums;

static inline round_sums round_sums_zero(void) {
  return (round_sums){extension_sum_zero(), extension_sum_zero()};
}

static inline sumcheck_quadratic round_sums_total(const round_sums *sums) {
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
    lanes_extension product = lanes_times_factor(extension_load(a, i), factor);
    extension_store(out, i, product);
  }
}

static void PATH(add_scaled_extension)(
  sumcheck_vector out, sumcheck_vector a, sumcheck_extension scale, size_t begin, size_t end) {
  lanes_factor factor = factor_set(scale);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension product = lanes_times_factor(extension_load(a, i), factor);
    extension_store(out, i, lanes_plus(product, extension_load(out, i)));
  }
}

/// One more variable of an equality: out[count + i] = r * out[i] and out[i] = (1 - r) * out[i].
static void PATH(equality_double)(
  sumcheck_vector out, sumcheck_extension r, size_t count, size_t begin, size_t end) {
  lanes_factor factor = factor_set(r);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension whole = extension_load(out, i);
    lanes_extension part = lanes_times_factor(whole, factor);
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

static void PATH(fold_extension)(
  sumcheck_vector out, sumcheck_vector f, size_t half, sumcheck_extension r, size_t begin,
  size_t end) {
  lanes_factor factor = factor_set(r);
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension low = extension_load(f, i), high = extension_load(f, half + i);
    extension_store(out, i, lanes_fold(low, high, factor));
  }
}

static sumcheck_quadratic PATH(product_round_extension)(
  sumcheck_vector f, sumcheck_vector w, size_t half, size_t begin, size_t end) {
  round_sums sums = round_sums_zero();
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension f0 = extension_load(f, i), w0 = extension_load(w, i);
    lanes_extension f1 = extension_load(f, half + i), w1 = extension_load(w, half + i);
    extension_sum_add(&sums.at_zero, f0, w0);
    extension_sum_add(&sums.leading, lanes_minus(f1, f0), lanes_minus(w1, w0));
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(product_fold_round_extension)(
  sumcheck_vector f, sumcheck_vector w, size_t quarter, sumcheck_extension r, size_t begin,
  size_t end) {
  lanes_factor factor = factor_set(r);
  size_t half = 2 * quarter;
  round_sums sums = round_sums_zero();
  for (size_t i = begin, j = begin + quarter; i < end; i += LANES, j += LANES) {
    lanes_extension f0 = lanes_fold(extension_load(f, i), extension_load(f, half + i), factor);
    lanes_extension f1 = lanes_fold(extension_load(f, j), extension_load(f, half + j), factor);
    lanes_extension w0 = lanes_fold(extension_load(w, i), extension_load(w, half + i), factor);
    lanes_extension w1 = lanes_fold(extension_load(w, j), extension_load(w, half + j), factor);
    extension_store(f, i, f0);
    extension_store(f, j, f1);
    extension_store(w, i, w0);
    extension_store(w, j, w1);
    extension_sum_add(&sums.at_zero, f0, w0);
    extension_sum_add(&sums.leading, lanes_minus(f1, f0), lanes_minus(w1, w0));
  }
  return round_sums_total(&sums);
}

// MARK: From integers and base elements

#define BASE_SOURCE(kind, type, load)                                                              \
  static void PATH(add_scaled_##kind)(                                                             \
    sumcheck_vector out, const type *a, sumcheck_extension scale, size_t begin, size_t end) {      \
    lanes_extension factor = extension_set(scale);                                                 \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_extension product = lanes_times_base(factor, load(a + i));                             \
      lanes_extension before = extension_load(out, i);                                             \
      extension_store(out, i, lanes_plus(product, before));                                        \
    }                                                                                              \
  }                                                                                                \
  static sumcheck_extension PATH(inner_##kind)(                                                    \
    const type *values, sumcheck_vector weights, size_t begin, size_t end) {                       \
    mixed_sum sum = mixed_sum_zero();                                                              \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      mixed_sum_add(&sum, load(values + i), extension_load(weights, i));                           \
    }                                                                                              \
    return mixed_sum_total(&sum);                                                                  \
  }                                                                                                \
  static void PATH(combine_rows_##kind)(                                                           \
    sumcheck_vector out, const type *rows, size_t row_stride, sumcheck_vector weights,             \
    size_t row_count, size_t begin, size_t end) {                                                  \
    for (size_t j = begin; j < end; j += LANES) {                                                  \
      mixed_sum sum = mixed_sum_zero();                                                            \
      for (size_t i = 0; i < row_count; i++) {                                                     \
        lanes_extension weight = {lanes_set(weights.c0[i]), lanes_set(weights.c1[i])};             \
        mixed_sum_add(&sum, load(rows + i * row_stride + j), weight);                              \
      }                                                                                            \
      lanes_extension value = {wide_reduce_long(sum.c0), wide_reduce_long(sum.c1)};                \
      extension_store(out, j, value);                                                              \
    }                                                                                              \
  }                                                                                                \
  static void PATH(fold_##kind)(                                                                   \
    sumcheck_vector out, const type *f, size_t half, sumcheck_extension r, size_t begin,           \
    size_t end) {                                                                                  \
    lanes_factor factor = factor_set(r);                                                           \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      extension_store(out, i, lanes_fold_base(load(f + i), load(f + half + i), factor));           \
    }                                                                                              \
  }                                                                                                \
  static sumcheck_quadratic PATH(product_round_##kind)(                                            \
    const type *f, sumcheck_vector w, size_t half, size_t begin, size_t end) {                     \
    mixed_sum at_zero = mixed_sum_zero(), leading = mixed_sum_zero();                              \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes f0 = load(f + i), f1 = load(f + half + i);                                             \
      lanes_extension w0 = extension_load(w, i), w1 = extension_load(w, half + i);                 \
      mixed_sum_add(&at_zero, f0, w0);                                                             \
      mixed_sum_add(&leading, lanes_subtract(f1, f0), lanes_minus(w1, w0));                        \
    }                                                                                              \
    return (sumcheck_quadratic){mixed_sum_total(&at_zero), mixed_sum_total(&leading)};             \
  }                                                                                                \
  static sumcheck_quadratic PATH(product_fold_round_##kind)(                                       \
    sumcheck_vector folded, const type *f, sumcheck_vector w, size_t quarter,                      \
    sumcheck_extension r, size_t begin, size_t end) {                                              \
    lanes_factor factor = factor_set(r);                                                           \
    size_t half = 2 * quarter;                                                                     \
    round_sums sums = round_sums_zero();                                                           \
    for (size_t i = begin, j = begin + quarter; i < end; i += LANES, j += LANES) {                 \
      lanes_extension f0 = lanes_fold_base(load(f + i), load(f + half + i), factor);               \
      lanes_extension f1 = lanes_fold_base(load(f + j), load(f + half + j), factor);               \
      lanes_extension w0 = lanes_fold(extension_load(w, i), extension_load(w, half + i), factor);  \
      lanes_extension w1 = lanes_fold(extension_load(w, j), extension_load(w, half + j), factor);  \
      extension_store(folded, i, f0);                                                              \
      extension_store(folded, j, f1);                                                              \
      extension_store(w, i, w0);                                                                   \
      extension_store(w, j, w1);                                                                   \
      extension_sum_add(&sums.at_zero, f0, w0);                                                    \
      extension_sum_add(&sums.leading, lanes_minus(f1, f0), lanes_minus(w1, w0));                  \
    }                                                                                              \
    return round_sums_total(&sums);                                                                \
  }
BASE_SOURCE(int16, int16_t, lanes_load_int16)
BASE_SOURCE(int32, int32_t, lanes_load_int32)
BASE_SOURCE(base, uint64_t, lanes_load)

// MARK: With an equality: one block of eq.low, weighed by the caller with eq.high

static sumcheck_quadratic PATH(equality_round)(
  sumcheck_vector f, sumcheck_vector h, sumcheck_vector eq, size_t half, size_t base,
  size_t count) {
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k;
    lanes_extension f0 = extension_load(f, i), h0 = extension_load(h, i);
    lanes_extension f1 = extension_load(f, half + i), h1 = extension_load(h, half + i);
    lanes_extension weight = extension_load(eq, k);
    extension_sum_add(&sums.at_zero, lanes_times(f0, h0), weight);
    extension_sum_add(&sums.leading, lanes_times(lanes_minus(f1, f0), lanes_minus(h1, h0)), weight);
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(equality_fold_round)(
  sumcheck_vector f, sumcheck_vector h, sumcheck_vector eq, size_t quarter, sumcheck_extension r,
  size_t base, size_t count) {
  lanes_factor factor = factor_set(r);
  size_t half = 2 * quarter;
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k, j = i + quarter;
    lanes_extension f0 = lanes_fold(extension_load(f, i), extension_load(f, half + i), factor);
    lanes_extension f1 = lanes_fold(extension_load(f, j), extension_load(f, half + j), factor);
    lanes_extension h0 = lanes_fold(extension_load(h, i), extension_load(h, half + i), factor);
    lanes_extension h1 = lanes_fold(extension_load(h, j), extension_load(h, half + j), factor);
    extension_store(f, i, f0);
    extension_store(f, j, f1);
    extension_store(h, i, h0);
    extension_store(h, j, h1);
    lanes_extension weight = extension_load(eq, k);
    extension_sum_add(&sums.at_zero, lanes_times(f0, h0), weight);
    extension_sum_add(&sums.leading, lanes_times(lanes_minus(f1, f0), lanes_minus(h1, h0)), weight);
  }
  return round_sums_total(&sums);
}

// MARK: LogUp-GKR

#define DENOMINATORS(kind, type, load)                                                             \
  static void PATH(denominators_##kind)(                                                           \
    sumcheck_vector q, const type *c0, const type *c1, sumcheck_extension constant,                \
    sumcheck_extension gamma, size_t begin, size_t end) {                                          \
    lanes_extension offset = extension_set(constant), factor = extension_set(gamma);               \
    for (size_t i = begin; i < end; i += LANES) {                                                  \
      lanes_extension value = {lanes_subtract(offset.c0, load(c0 + i)), offset.c1};                \
      if (c1) {                                                                                    \
        lanes_extension product = lanes_times_base(factor, load(c1 + i));                          \
        value = lanes_minus(value, product);                                                       \
      }                                                                                            \
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

static inline lanes load_numerator(const int32_t *p, size_t i) {
  return p ? lanes_load_int32(p + i) : lanes_set(1);
}

static void PATH(fraction_sum_leaves)(
  sumcheck_vector p, sumcheck_vector q, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i += LANES) {
    lanes_extension d0 = extension_load(q0, i), d1 = extension_load(q1, i);
    lanes_extension n0 = p1 ? lanes_times_base(d0, lanes_load_int32(p1 + i)) : d0;
    lanes_extension n1 = p0 ? lanes_times_base(d1, lanes_load_int32(p0 + i)) : d1;
    extension_store(p, i, lanes_plus(n0, n1));
    extension_store(q, i, lanes_times(d0, d1));
  }
}

/// The four values of a pair of nodes; p1 holds p1 + lambda q1.
typedef struct {
  lanes_extension p0, p1, q0, q1;
} lanes_fractions;

static inline void fraction_sums_add(
  round_sums *sums, lanes_fractions low, lanes_fractions high, lanes_extension weight) {
  extension_sum_add(&sums->at_zero, lanes_cross(low.p0, low.q1, low.p1, low.q0), weight);
  lanes_extension difference = lanes_cross(
    lanes_minus(high.p0, low.p0), lanes_minus(high.q1, low.q1), lanes_minus(high.p1, low.p1),
    lanes_minus(high.q0, low.q0));
  extension_sum_add(&sums->leading, difference, weight);
}

static inline lanes_fractions fractions_load(sumcheck_fractions layer, size_t i) {
  return (lanes_fractions){
    extension_load(layer.p0, i), extension_load(layer.p1, i), extension_load(layer.q0, i),
    extension_load(layer.q1, i)};
}

static inline void fractions_store(sumcheck_fractions layer, size_t i, lanes_fractions x) {
  extension_store(layer.p0, i, x.p0);
  extension_store(layer.p1, i, x.p1);
  extension_store(layer.q0, i, x.q0);
  extension_store(layer.q1, i, x.q1);
}

static inline lanes_fractions fractions_fold(
  lanes_fractions low, lanes_fractions high, lanes_factor r) {
  return (lanes_fractions){
    lanes_fold(low.p0, high.p0, r), lanes_fold(low.p1, high.p1, r), lanes_fold(low.q0, high.q0, r),
    lanes_fold(low.q1, high.q1, r)};
}

static sumcheck_quadratic PATH(fraction_round)(
  sumcheck_fractions layer, sumcheck_extension lambda, sumcheck_vector eq, size_t half,
  size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda);
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k;
    lanes_fractions low = fractions_load(layer, i), high = fractions_load(layer, half + i);
    low.p1 = lanes_plus(lanes_times_factor(low.q1, factor), low.p1);
    high.p1 = lanes_plus(lanes_times_factor(high.q1, factor), high.p1);
    extension_store(layer.p1, i, low.p1);
    extension_store(layer.p1, half + i, high.p1);
    fraction_sums_add(&sums, low, high, extension_load(eq, k));
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(fraction_fold_round)(
  sumcheck_fractions layer, sumcheck_extension r, sumcheck_vector eq, size_t quarter, size_t base,
  size_t count) {
  lanes_factor factor = factor_set(r);
  round_sums sums = round_sums_zero();
  size_t half = 2 * quarter;
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k, j = i + quarter;
    lanes_fractions low = fractions_fold(
      fractions_load(layer, i), fractions_load(layer, half + i), factor);
    lanes_fractions high = fractions_fold(
      fractions_load(layer, j), fractions_load(layer, half + j), factor);
    fractions_store(layer, i, low);
    fractions_store(layer, j, high);
    fraction_sums_add(&sums, low, high, extension_load(eq, k));
  }
  return round_sums_total(&sums);
}

static inline lanes_fractions leaves_load(
  const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1, size_t i,
  lanes_factor lambda) {
  lanes_fractions leaves;
  leaves.p0 = (lanes_extension){load_numerator(p0, i), lanes_set(0)};
  leaves.q0 = extension_load(q0, i);
  leaves.q1 = extension_load(q1, i);
  leaves.p1 = lanes_times_factor(leaves.q1, lambda);
  leaves.p1.c0 = lanes_add(leaves.p1.c0, load_numerator(p1, i));
  return leaves;
}

static sumcheck_quadratic PATH(fraction_round_leaves)(
  const int32_t *p0, const int32_t *p1, sumcheck_vector q0, sumcheck_vector q1,
  sumcheck_extension lambda, sumcheck_vector eq, size_t half, size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda);
  round_sums sums = round_sums_zero();
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k;
    lanes_fractions low = leaves_load(p0, p1, q0, q1, i, factor);
    lanes_fractions high = leaves_load(p0, p1, q0, q1, half + i, factor);
    fraction_sums_add(&sums, low, high, extension_load(eq, k));
  }
  return round_sums_total(&sums);
}

static sumcheck_quadratic PATH(fraction_fold_round_leaves)(
  sumcheck_fractions folded, const int32_t *p0, const int32_t *p1, sumcheck_vector q0,
  sumcheck_vector q1, sumcheck_extension lambda, sumcheck_extension r, sumcheck_vector eq,
  size_t quarter, size_t base, size_t count) {
  lanes_factor factor = factor_set(lambda), fold = factor_set(r);
  round_sums sums = round_sums_zero();
  size_t half = 2 * quarter;
  for (size_t k = 0; k < count; k += LANES) {
    size_t i = base + k, j = i + quarter;
    lanes_fractions low = fractions_fold(
      leaves_load(p0, p1, q0, q1, i, factor), leaves_load(p0, p1, q0, q1, half + i, factor), fold);
    lanes_fractions high = fractions_fold(
      leaves_load(p0, p1, q0, q1, j, factor), leaves_load(p0, p1, q0, q1, half + j, factor), fold);
    fractions_store(folded, i, low);
    fractions_store(folded, j, high);
    fraction_sums_add(&sums, low, high, extension_load(eq, k));
  }
  return round_sums_total(&sums);
}

const sumcheck_table PATH(sumcheck_table) = {
  LANES,
#define TABLE_ENTRY(result, name, ...) PATH(name),
  SUMCHECK_TABLE(TABLE_ENTRY)
#undef TABLE_ENTRY
};
