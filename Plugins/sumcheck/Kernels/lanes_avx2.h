// Four lanes of 64 bits. In a register a lane is any 64-bit number, read modulo p; in memory it is
// canonical. Addition and subtraction need their *second* operand canonical: one correction by
// 2^64 = 2^32 - 1 then suffices. What each function gives is not canonical, unless it says so.
//
// There is no unsigned comparison, so a carry is seen by comparing with the top bits flipped.
#include "field.h"

#include <immintrin.h>

#define LANES 4
#define PATH(name) name##_avx2

typedef __m256i lanes;

static inline lanes lanes_set(uint64_t v) { return _mm256_set1_epi64x((long long)v); }
static inline lanes lanes_top_bit(void) { return lanes_set(UINT64_C(1) << 63); }
static inline lanes lanes_flip(lanes a) { return _mm256_xor_si256(a, lanes_top_bit()); }
static inline lanes lanes_low_half(lanes a) {
  return _mm256_and_si256(a, lanes_set(FIELD_EPSILON));
}
static inline lanes lanes_high_half(lanes a) { return _mm256_srli_epi64(a, 32); }

/// The high halves where a 32-bit multiplication reads its operand; it ignores what is above.
static inline lanes lanes_high_operand(lanes a) {
  return _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(a)));
}

/// 2^32 - 1 where the comparison held, else 0.
static inline lanes lanes_correction(lanes comparison) { return lanes_high_half(comparison); }

static inline lanes lanes_canonical(lanes a) {
  lanes above = _mm256_cmpgt_epi64(
    lanes_flip(a), lanes_set((FIELD_P - 1) ^ (UINT64_C(1) << 63)));
  return _mm256_add_epi64(a, lanes_correction(above));
}

static inline lanes lanes_load(const uint64_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}

static inline void lanes_store(uint64_t *p, lanes v) {
  _mm256_storeu_si256((__m256i *)p, v);
}

static inline lanes lanes_from_signed(lanes v) {
  return _mm256_sub_epi64(v, lanes_correction(_mm256_cmpgt_epi64(_mm256_setzero_si256(), v)));
}

static inline lanes lanes_load_int16(const int16_t *p) {
  return lanes_from_signed(_mm256_cvtepi16_epi64(_mm_loadl_epi64((const __m128i *)p)));
}

static inline lanes lanes_load_int32(const int32_t *p) {
  return lanes_from_signed(_mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)p)));
}

static inline lanes lanes_add(lanes a, lanes b) {
  lanes flipped = lanes_flip(a);
  lanes sum = _mm256_add_epi64(flipped, b);
  lanes carry = _mm256_cmpgt_epi64(flipped, sum);
  return lanes_flip(_mm256_add_epi64(sum, lanes_correction(carry)));
}

static inline lanes lanes_subtract(lanes a, lanes b) {
  lanes flipped = lanes_flip(a);
  lanes difference = _mm256_sub_epi64(flipped, b);
  lanes borrow = _mm256_cmpgt_epi64(difference, flipped);
  return lanes_flip(_mm256_sub_epi64(difference, lanes_correction(borrow)));
}

static inline lanes lanes_multiply(lanes a, lanes b) {
  lanes a_high = lanes_high_operand(a), b_high = lanes_high_operand(b);
  lanes low = _mm256_mul_epu32(a, b), top = _mm256_mul_epu32(a_high, b_high);
  lanes first = _mm256_add_epi64(_mm256_mul_epu32(a_high, b), lanes_high_half(low));
  lanes second = _mm256_add_epi64(_mm256_mul_epu32(a, b_high), lanes_low_half(first));
  lanes high = _mm256_add_epi64(
    top, _mm256_add_epi64(lanes_high_half(first), lanes_high_half(second)));
  low = _mm256_blend_epi32(low, _mm256_slli_epi64(second, 32), 0xaa);
  // low + 2^64 (high's low half) + 2^96 (high's high half).
  lanes flipped = lanes_flip(low);
  lanes difference = _mm256_sub_epi64(flipped, lanes_high_half(high));
  lanes borrow = _mm256_cmpgt_epi64(difference, flipped);
  difference = _mm256_sub_epi64(difference, lanes_correction(borrow));
  lanes sum = _mm256_add_epi64(difference, _mm256_mul_epu32(high, lanes_set(FIELD_EPSILON)));
  lanes carry = _mm256_cmpgt_epi64(difference, sum);
  return lanes_flip(_mm256_add_epi64(sum, lanes_correction(carry)));
}

/// A sum of products in columns of 32 bits, low + mid 2^32 + high 2^64 + top 2^96: each column has
/// 64 bits, so that up to 2^29 products are summed without a carry.
typedef struct {
  lanes low, mid, high, top;
} lanes_wide;

static inline lanes_wide wide_zero(void) {
  lanes zero = _mm256_setzero_si256();
  return (lanes_wide){zero, zero, zero, zero};
}

static inline lanes_wide wide_product(lanes a, lanes b) {
  lanes a_high = lanes_high_operand(a), b_high = lanes_high_operand(b);
  lanes low = _mm256_mul_epu32(a, b), top = _mm256_mul_epu32(a_high, b_high);
  lanes first = _mm256_add_epi64(_mm256_mul_epu32(a_high, b), lanes_high_half(low));
  lanes second = _mm256_mul_epu32(a, b_high);
  return (lanes_wide){
    lanes_low_half(low),
    _mm256_add_epi64(lanes_low_half(first), lanes_low_half(second)),
    _mm256_add_epi64(
      _mm256_add_epi64(lanes_high_half(first), lanes_high_half(second)), lanes_low_half(top)),
    lanes_high_half(top)};
}

static inline lanes_wide wide_plus(lanes_wide a, lanes_wide b) {
  return (lanes_wide){
    _mm256_add_epi64(a.low, b.low), _mm256_add_epi64(a.mid, b.mid),
    _mm256_add_epi64(a.high, b.high), _mm256_add_epi64(a.top, b.top)};
}

static inline lanes seven_times(lanes a) {
  return _mm256_sub_epi64(_mm256_slli_epi64(a, 3), a);
}

static inline lanes_wide wide_seven_times(lanes_wide a) {
  return (lanes_wide){
    seven_times(a.low), seven_times(a.mid), seven_times(a.high), seven_times(a.top)};
}

/// A sum of at most 16 products, modulo p. With 2^64 = 2^32 - 1 and 2^96 = -1 it is
/// (low - high - top) + 2^32 (mid + high); the constants add p = 2^32 (2^32 - 1) + 1 and move 2^40
/// from the second term to the first, which is then never negative.
static inline lanes wide_reduce(lanes_wide a) {
  lanes upper = _mm256_add_epi64(
    _mm256_add_epi64(a.mid, a.high), lanes_set(FIELD_EPSILON - 256));
  lanes lower = _mm256_sub_epi64(
    _mm256_add_epi64(a.low, lanes_set((UINT64_C(1) << 40) + 1)), _mm256_add_epi64(a.high, a.top));
  lower = _mm256_add_epi64(
    lower, _mm256_mul_epu32(lanes_high_half(upper), lanes_set(FIELD_EPSILON)));
  lanes flipped = lanes_flip(_mm256_slli_epi64(upper, 32));
  lanes sum = _mm256_add_epi64(flipped, lower);
  lanes carry = _mm256_cmpgt_epi64(flipped, sum);
  return lanes_flip(_mm256_add_epi64(sum, lanes_correction(carry)));
}

/// A sum of any length, modulo p.
static inline lanes wide_reduce_long(lanes_wide a) {
  a.mid = _mm256_add_epi64(a.mid, lanes_high_half(a.low));
  a.high = _mm256_add_epi64(a.high, lanes_high_half(a.mid));
  a.top = _mm256_add_epi64(a.top, lanes_high_half(a.high));
  lanes_wide lower = {
    lanes_low_half(a.low), lanes_low_half(a.mid), lanes_low_half(a.high), _mm256_setzero_si256()};
  return lanes_subtract(wide_reduce(lower), a.top);
}

/// The sum over the lanes, canonical.
static inline uint64_t wide_total(lanes_wide a) {
  uint64_t parts[LANES];
  lanes_store(parts, lanes_canonical(wide_reduce_long(a)));
  return field_add(field_add(parts[0], parts[1]), field_add(parts[2], parts[3]));
}
