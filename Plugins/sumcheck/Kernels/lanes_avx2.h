// Four lanes of 64 bits, each canonical. There is no unsigned comparison, so a carry is seen by
// comparing with the top bits flipped.
#include "field.h"

#include <immintrin.h>

#define LANES 4
#define PATH(name) name##_avx2

/// Keeps the compiler from taking the computation of a vector apart.
#define WORDS_OPAQUE(vector) __asm__("" : "+x"(vector))

typedef __m256i lanes;

KERNEL_INLINE lanes lanes_set(uint64_t v) { return _mm256_set1_epi64x((long long)v); }
KERNEL_INLINE lanes lanes_top_bit(void) { return lanes_set(UINT64_C(1) << 63); }
KERNEL_INLINE lanes lanes_flip(lanes a) { return _mm256_xor_si256(a, lanes_top_bit()); }
KERNEL_INLINE lanes lanes_low_half(lanes a) {
  return _mm256_and_si256(a, lanes_set(FIELD_EPSILON));
}
KERNEL_INLINE lanes lanes_high_half(lanes a) { return _mm256_srli_epi64(a, 32); }

/// The high halves where a 32-bit multiplication reads its operand; it ignores what is above.
KERNEL_INLINE lanes lanes_high_operand(lanes a) {
  return _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(a)));
}

/// 2^32 - 1 where the comparison held, else 0.
KERNEL_INLINE lanes lanes_correction(lanes comparison) { return lanes_high_half(comparison); }

KERNEL_INLINE lanes lanes_canonical(lanes a) {
  lanes above = _mm256_cmpgt_epi64(
    lanes_flip(a), lanes_set((FIELD_P - 1) ^ (UINT64_C(1) << 63)));
  return _mm256_add_epi64(a, lanes_correction(above));
}

KERNEL_INLINE lanes lanes_load(const uint64_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

KERNEL_INLINE void lanes_store(uint64_t *p, lanes v) {
  _mm256_storeu_si256((__m256i *)p, v);
}

KERNEL_INLINE lanes lanes_from_signed(lanes v) {
  return _mm256_sub_epi64(v, lanes_correction(_mm256_cmpgt_epi64(_mm256_setzero_si256(), v)));
}

KERNEL_INLINE lanes lanes_load_int16(const int16_t *p) {
  return lanes_from_signed(_mm256_cvtepi16_epi64(_mm_loadl_epi64((const __m128i *)p)));
}

KERNEL_INLINE lanes lanes_load_int32(const int32_t *p) {
  return lanes_from_signed(_mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)p)));
}

/// Keeps the compiler from taking the value's computation apart.
KERNEL_INLINE lanes lanes_opaque(lanes a) {
  __asm__("" : "+x"(a));
  return a;
}

/// a - b with the comparison of b above a already made.
KERNEL_INLINE lanes lanes_borrow(lanes a, lanes b, lanes borrows) {
  return _mm256_add_epi64(
    _mm256_sub_epi64(a, b), _mm256_and_si256(borrows, lanes_set(FIELD_P)));
}

/// As a - (p - b), which borrows where a + b < p.
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) {
  lanes flipped_a = lanes_flip(a);
  lanes flipped_b = lanes_opaque(
    _mm256_sub_epi64(lanes_set(FIELD_P ^ (UINT64_C(1) << 63)), b));
  return lanes_borrow(flipped_a, flipped_b, _mm256_cmpgt_epi64(flipped_b, flipped_a));
}

KERNEL_INLINE lanes lanes_subtract(lanes a, lanes b) {
  return lanes_borrow(a, b, _mm256_cmpgt_epi64(lanes_flip(b), lanes_flip(a)));
}

KERNEL_INLINE lanes lanes_low_half_times_epsilon(lanes a) {
  return _mm256_mul_epu32(a, lanes_opaque(lanes_set(FIELD_EPSILON)));
}

/// low + 2^64 (high's low half) + 2^96 top, for top below 2^32; `flipped` is low.
KERNEL_INLINE lanes lanes_reduce(lanes flipped, lanes high, lanes top) {
  lanes difference = _mm256_sub_epi64(flipped, top);
  lanes borrow = _mm256_cmpgt_epi64(difference, flipped);
  difference = _mm256_sub_epi64(difference, lanes_correction(borrow));
  // As in lanes_add: the first term need not be canonical, the second is at most p - 2^32.
  lanes complement = lanes_opaque(_mm256_sub_epi64(
    lanes_set(FIELD_P ^ (UINT64_C(1) << 63)), lanes_low_half_times_epsilon(high)));
  return lanes_borrow(difference, complement, _mm256_cmpgt_epi64(complement, difference));
}

KERNEL_INLINE lanes lanes_multiply(lanes a, lanes b) {
  lanes a_high = lanes_high_operand(a), b_high = lanes_high_operand(b);
  lanes low = _mm256_mul_epu32(a, b), top = _mm256_mul_epu32(a_high, b_high);
  lanes first = _mm256_add_epi64(_mm256_mul_epu32(a_high, b), lanes_high_half(low));
  lanes second = _mm256_add_epi64(_mm256_mul_epu32(a, b_high), lanes_low_half(first));
  lanes high = _mm256_add_epi64(
    top, _mm256_add_epi64(lanes_high_half(first), lanes_high_half(second)));
  low = _mm256_blend_epi32(low, _mm256_slli_epi64(second, 32), 0xaa);
  return lanes_reduce(lanes_flip(low), high, lanes_high_half(high));
}

/// 2^48 a.
KERNEL_INLINE lanes lanes_times_fourth_root(lanes a) {
  return lanes_reduce(
    lanes_flip(_mm256_slli_epi64(a, 48)), _mm256_srli_epi64(a, 16), _mm256_srli_epi64(a, 48));
}

/// `a` in the lanes where `bit` is 1, 0 where it is 0.
KERNEL_INLINE lanes lanes_where(lanes a, lanes bit) {
  return _mm256_and_si256(a, _mm256_sub_epi64(_mm256_setzero_si256(), bit));
}

KERNEL_INLINE bool lanes_equal(lanes a, lanes b) {
  return _mm256_movemask_epi8(_mm256_cmpeq_epi64(a, b)) == -1;
}

/// Lane i of x[j] becomes lane j of x[i].
KERNEL_INLINE void lanes_transpose(lanes x[LANES]) {
  lanes a = _mm256_unpacklo_epi64(x[0], x[1]), b = _mm256_unpackhi_epi64(x[0], x[1]);
  lanes c = _mm256_unpacklo_epi64(x[2], x[3]), d = _mm256_unpackhi_epi64(x[2], x[3]);
  x[0] = _mm256_permute2x128_si256(a, c, 0x20);
  x[1] = _mm256_permute2x128_si256(b, d, 0x20);
  x[2] = _mm256_permute2x128_si256(a, c, 0x31);
  x[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

/// A sum of products, as units + 2^32 upper, signed and unsigned: with 2^64 = 2^32 - 1 and
/// 2^96 = -1 two columns hold a product, and 2^28 of them without a carry.
typedef struct {
  lanes units, upper;
} lanes_wide;

KERNEL_INLINE lanes_wide wide_zero(void) {
  return (lanes_wide){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

KERNEL_INLINE lanes_wide wide_product(lanes a, lanes b) {
  lanes a_high = lanes_high_operand(a), b_high = lanes_high_operand(b);
  lanes low = _mm256_mul_epu32(a, b), top = _mm256_mul_epu32(a_high, b_high);
  lanes first = _mm256_add_epi64(_mm256_mul_epu32(a_high, b), lanes_high_half(low));
  lanes second = _mm256_add_epi64(_mm256_mul_epu32(a, b_high), lanes_low_half(first));
  lanes high = _mm256_add_epi64(
    top, _mm256_add_epi64(lanes_high_half(first), lanes_high_half(second)));
  lanes middle = lanes_low_half(high);
  return (lanes_wide){
    _mm256_sub_epi64(lanes_low_half(low), _mm256_add_epi64(middle, lanes_high_half(high))),
    _mm256_add_epi64(lanes_low_half(second), middle)};
}

KERNEL_INLINE lanes_wide wide_plus(lanes_wide a, lanes_wide b) {
  return (lanes_wide){
    _mm256_add_epi64(a.units, b.units), _mm256_add_epi64(a.upper, b.upper)};
}

KERNEL_INLINE lanes seven_times(lanes a) {
  return _mm256_sub_epi64(_mm256_slli_epi64(a, 3), a);
}

KERNEL_INLINE lanes_wide wide_seven_times(lanes_wide a) {
  return (lanes_wide){seven_times(a.units), seven_times(a.upper)};
}

/// Of at most 16 products. The constants add p = 2^32 (2^32 - 1) + 1 and move 2^40 from the second
/// term to the first, which is then never negative; both are canonical, and added as in lanes_add.
KERNEL_INLINE lanes wide_reduce(lanes_wide a) {
  lanes upper = _mm256_add_epi64(a.upper, lanes_set(FIELD_EPSILON - 256));
  lanes complement = _mm256_sub_epi64(
    lanes_set((FIELD_P - (UINT64_C(1) << 40) - 1) ^ (UINT64_C(1) << 63)), a.units);
  complement = lanes_opaque(_mm256_sub_epi64(
    complement, lanes_low_half_times_epsilon(lanes_high_half(upper))));
  lanes flipped = lanes_flip(_mm256_slli_epi64(upper, 32));
  return lanes_borrow(flipped, complement, _mm256_cmpgt_epi64(complement, flipped));
}

/// Of a sum of any length.
KERNEL_INLINE lanes wide_reduce_long(lanes_wide a) {
  lanes units = _mm256_add_epi64(
    a.units, lanes_low_half_times_epsilon(lanes_high_half(a.upper)));
  // Flipped, signed is unsigned, and 2^63 too much.
  lanes shifted = lanes_canonical(lanes_flip(units));
  lanes sum = lanes_add(shifted, _mm256_slli_epi64(a.upper, 32));
  return lanes_subtract(sum, lanes_top_bit());
}

/// The sum over the lanes.
KERNEL_INLINE uint64_t lanes_total(lanes a) {
  uint64_t parts[LANES];
  lanes_store(parts, a);
  return field_add(field_add(parts[0], parts[1]), field_add(parts[2], parts[3]));
}

KERNEL_INLINE uint64_t wide_total(lanes_wide a) { return lanes_total(wide_reduce_long(a)); }

// Products with a number that multiplies many others. The others are cut into limbs of 22, 21 and
// 21 bits, and the number is kept times each limb's power of two, so that the partial products, of
// 54 bits, are added without a carry: half the work of a product in general.

/// c, 2^22 c and 2^43 c modulo p, and their high halves.
typedef struct {
  lanes low[3], high[3];
} lanes_multiplier;

typedef struct {
  lanes x0, x1, x2;
} lanes_limbs;

KERNEL_INLINE lanes_multiplier multiplier_set(uint64_t c) {
  uint64_t scaled[3] = {
    c, field_multiply(c, UINT64_C(1) << 22), field_multiply(c, UINT64_C(1) << 43)};
  lanes_multiplier multiplier;
  for (int k = 0; k < 3; k++) {
    multiplier.low[k] = lanes_set(scaled[k]);
    multiplier.high[k] = lanes_set(scaled[k] >> 32);
  }
  return multiplier;
}

KERNEL_INLINE lanes_limbs lanes_limbs_of(lanes a) {
  return (lanes_limbs){
    _mm256_and_si256(a, lanes_set((1 << 22) - 1)),
    _mm256_and_si256(_mm256_srli_epi64(a, 22), lanes_set((1 << 21) - 1)),
    _mm256_srli_epi64(a, 43)};
}

/// A sum of at most 8 products with multipliers, and elements: units + 2^32 upper, each below 2^58.
typedef struct {
  lanes units, upper;
} lanes_narrow;

KERNEL_INLINE lanes_narrow narrow_product(lanes_limbs a, const lanes_multiplier *b) {
  return (lanes_narrow){
    _mm256_add_epi64(
      _mm256_add_epi64(_mm256_mul_epu32(a.x0, b->low[0]), _mm256_mul_epu32(a.x1, b->low[1])),
      _mm256_mul_epu32(a.x2, b->low[2])),
    _mm256_add_epi64(
      _mm256_add_epi64(_mm256_mul_epu32(a.x0, b->high[0]), _mm256_mul_epu32(a.x1, b->high[1])),
      _mm256_mul_epu32(a.x2, b->high[2]))};
}

KERNEL_INLINE lanes_narrow narrow_plus(lanes_narrow a, lanes_narrow b) {
  return (lanes_narrow){
    _mm256_add_epi64(a.units, b.units), _mm256_add_epi64(a.upper, b.upper)};
}

KERNEL_INLINE lanes_narrow narrow_plus_element(lanes_narrow a, lanes b) {
  return (lanes_narrow){
    _mm256_add_epi64(a.units, lanes_low_half(b)), _mm256_add_epi64(a.upper, lanes_high_half(b))};
}

KERNEL_INLINE lanes narrow_reduce(lanes_narrow a) {
  lanes complement = lanes_opaque(_mm256_sub_epi64(
    _mm256_sub_epi64(lanes_set(FIELD_P ^ (UINT64_C(1) << 63)), a.units),
    lanes_low_half_times_epsilon(lanes_high_half(a.upper))));
  lanes flipped = lanes_flip(_mm256_slli_epi64(a.upper, 32));
  return lanes_borrow(flipped, complement, _mm256_cmpgt_epi64(complement, flipped));
}

// Products of integers with elements: an integer of 32 bits with the limbs of an element, signed.

/// In the low half of each lane.
typedef __m256i lanes_integer;

/// A sum of at most 2^9 products, a column for each limb.
typedef struct {
  lanes s0, s1, s2;
} lanes_integer_sum;

KERNEL_INLINE lanes_integer integer_load_int16(const int16_t *p) {
  return _mm256_cvtepi16_epi64(_mm_loadl_epi64((const __m128i *)p));
}

KERNEL_INLINE lanes_integer integer_load_int32(const int32_t *p) {
  return _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)p));
}

KERNEL_INLINE lanes_integer_sum integer_sum_zero(void) {
  lanes zero = _mm256_setzero_si256();
  return (lanes_integer_sum){zero, zero, zero};
}

KERNEL_INLINE void integer_sum_add(lanes_integer_sum *sum, lanes_integer a, lanes_limbs b) {
  sum->s0 = _mm256_add_epi64(sum->s0, _mm256_mul_epi32(a, b.x0));
  sum->s1 = _mm256_add_epi64(sum->s1, _mm256_mul_epi32(a, b.x1));
  sum->s2 = _mm256_add_epi64(sum->s2, _mm256_mul_epi32(a, b.x2));
}

KERNEL_INLINE void integer_sum_subtract(lanes_integer_sum *sum, lanes_integer a, lanes_limbs b) {
  sum->s0 = _mm256_sub_epi64(sum->s0, _mm256_mul_epi32(a, b.x0));
  sum->s1 = _mm256_sub_epi64(sum->s1, _mm256_mul_epi32(a, b.x1));
  sum->s2 = _mm256_sub_epi64(sum->s2, _mm256_mul_epi32(a, b.x2));
}

KERNEL_INLINE lanes integer_sum_reduce(const lanes_integer_sum *sum) {
  lanes s1 = lanes_multiply(lanes_from_signed(sum->s1), lanes_set(UINT64_C(1) << 22));
  lanes s2 = lanes_multiply(lanes_from_signed(sum->s2), lanes_set(UINT64_C(1) << 43));
  return lanes_add(lanes_from_signed(sum->s0), lanes_add(s1, s2));
}
