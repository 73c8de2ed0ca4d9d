// The loops of fixed16.h, once for each path: the including file defines NAME, and FIXED16_SIMD
// where AVX2 may be used. Only the sums of products are written by hand for AVX2; the rest is plain
// C that the compiler makes wide, so that there is one text of the semantics.

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "fixed16.h"

#ifdef FIXED16_SIMD
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum { tile_positions = 6, tile_lanes = 16, slide_positions = 16, slide_lanes = 4 };

#ifndef FIXED16_SIMD
typedef int16_t octets __attribute__((vector_size(16)));
typedef int32_t quads __attribute__((vector_size(16)));
#define EVEN(x) __builtin_convertvector(__builtin_shufflevector(x, x, 0, 2, 4, 6), quads)
#define ODD(x) __builtin_convertvector(__builtin_shufflevector(x, x, 1, 3, 5, 7), quads)
#endif

INLINE int64_t NAME(minimum)(int64_t a, int64_t b) { return a < b ? a : b; }

// Requantises `count` × `width` sums, to which bias and rounding term are added already, into
// out[i · out_stride + j]; gives the least index outside int16. Element [i][j] has the shift of j
// (`by_column`) or of i, and the index i · stride_i + j · stride_j.
#define FINISH(TYPE, UNSIGNED)                                                                     \
  UNSIGNED outside = 0;                                                                            \
  for (int i = 0; i < count; i++) {                                                                \
    for (int j = 0; j < width; j++) {                                                              \
      TYPE value = sums[i * tile_lanes + j] >> shifts[by_column ? j : i];                          \
      outside |= (UNSIGNED)value + 32768;                                                          \
      int16_t narrow = (int16_t)value;                                                             \
      out[i * out_stride + j] = narrow > least ? narrow : least;                                   \
    }                                                                                              \
  }                                                                                                \
  if (__builtin_expect((outside >> 16) == 0, 1)) return INT64_MAX;                                 \
  int64_t lowest = INT64_MAX;                                                                      \
  for (int i = 0; i < count; i++) {                                                                \
    for (int j = 0; j < width; j++) {                                                              \
      TYPE value = sums[i * tile_lanes + j] >> shifts[by_column ? j : i];                          \
      if (value != (int16_t)value) lowest = NAME(minimum)(lowest, i * stride_i + j * stride_j);    \
    }                                                                                              \
  }                                                                                                \
  return lowest;

INLINE int64_t NAME(finish_narrow)(int16_t *restrict out, int64_t out_stride,
                                   const int32_t *restrict sums, const int count, const int width,
                                   const int by_column, const int32_t *restrict shifts,
                                   int16_t least, int64_t stride_i, int64_t stride_j) {
  FINISH(int32_t, uint32_t)
}

INLINE int64_t NAME(finish_wide)(int16_t *restrict out, int64_t out_stride,
                                 const int64_t *restrict sums, const int count, const int width,
                                 const int by_column, const int32_t *restrict shifts,
                                 int16_t least, int64_t stride_i, int64_t stride_j) {
  FINISH(int64_t, uint64_t)
}

#undef FINISH

INLINE void NAME(widen)(int64_t *wide, const int32_t *sums, const int count, const int width) {
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < width; j++) wide[i * tile_lanes + j] += sums[i * tile_lanes + j];
  }
}

// ---- Several positions, many rows ------------------------------------------------------------

// sums[position][lane] = start[lane], or 0 where that is null, plus the products of steps
// first..<last.
INLINE void NAME(multiply_sums)(int32_t *restrict sums, const int32_t *restrict start,
                                const fixed16_panel *panel, const int16_t *const *at,
                                const int count, const int lanes, int32_t first, int32_t last) {
  const int16_t *weights = panel->weights + (int64_t)first * lanes * 2;
  const int32_t *offsets = panel->offsets;
#ifdef FIXED16_SIMD
  __m256i low[tile_positions], high[tile_positions];
  UNROLLED for (int i = 0; i < count; i++) {
    low[i] = start ? _mm256_loadu_si256((const __m256i *)start) : _mm256_setzero_si256();
    if (lanes > 8) {
      high[i] = start ? _mm256_loadu_si256((const __m256i *)(start + 8)) : _mm256_setzero_si256();
    }
  }
  for (int32_t step = first; step < last; step++, weights += lanes * 2) {
    const __m256i weights_low = _mm256_loadu_si256((const __m256i *)weights);
    __m256i weights_high = weights_low;
    if (lanes > 8) weights_high = _mm256_loadu_si256((const __m256i *)(weights + 16));
    const int64_t offset = offsets[step];
    UNROLLED for (int i = 0; i < count; i++) {
      int32_t pair;
      memcpy(&pair, at[i] + offset, sizeof pair);
      const __m256i x = _mm256_set1_epi32(pair);
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(x, weights_low));
      if (lanes > 8) high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(x, weights_high));
    }
  }
  UNROLLED for (int i = 0; i < count; i++) {
    _mm256_store_si256((__m256i *)(sums + i * tile_lanes), low[i]);
    if (lanes > 8) _mm256_store_si256((__m256i *)(sums + i * tile_lanes + 8), high[i]);
  }
#else
  // Four lanes of pairs at a time: compilers know this form as one instruction of many machines.
  quads total[tile_positions][tile_lanes / 4];
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < lanes / 4; j++) {
      if (start) memcpy(&total[i][j], start + 4 * j, sizeof total[i][j]);
      else memset(&total[i][j], 0, sizeof total[i][j]);
    }
  }
  for (int32_t step = first; step < last; step++, weights += lanes * 2) {
    UNROLLED for (int j = 0; j < lanes / 4; j++) {
      octets w;
      memcpy(&w, weights + 8 * j, sizeof w);
      const quads even = EVEN(w), odd = ODD(w);
      UNROLLED for (int i = 0; i < count; i++) {
        const int16_t *x = at[i] + offsets[step];
        total[i][j] += even * (int32_t)x[0] + odd * (int32_t)x[1];
      }
    }
  }
  for (int i = 0; i < count; i++) memcpy(sums + i * tile_lanes, total[i], lanes * sizeof *sums);
#endif
}

// out[position][row] goes to result[row][position].
INLINE void NAME(store_transposed)(int16_t *result, const int16_t *out, const int count, int rows,
                                   int64_t row_stride) {
#ifdef FIXED16_SIMD
  for (int half = 0; half < rows; half += 8) {
    __m128i in[8], a[8], b[8], columns[8];
    UNROLLED for (int i = 0; i < 8; i++) {
      in[i] = i < count ? _mm_load_si128((const __m128i *)(out + i * tile_lanes + half))
                        : _mm_setzero_si128();
    }
    UNROLLED for (int i = 0; i < 4; i++) {
      a[2 * i] = _mm_unpacklo_epi16(in[2 * i], in[2 * i + 1]);
      a[2 * i + 1] = _mm_unpackhi_epi16(in[2 * i], in[2 * i + 1]);
    }
    UNROLLED for (int i = 0; i < 2; i++) {
      b[4 * i] = _mm_unpacklo_epi32(a[4 * i], a[4 * i + 2]);
      b[4 * i + 1] = _mm_unpackhi_epi32(a[4 * i], a[4 * i + 2]);
      b[4 * i + 2] = _mm_unpacklo_epi32(a[4 * i + 1], a[4 * i + 3]);
      b[4 * i + 3] = _mm_unpackhi_epi32(a[4 * i + 1], a[4 * i + 3]);
    }
    UNROLLED for (int i = 0; i < 4; i++) {
      columns[2 * i] = _mm_unpacklo_epi64(b[i], b[4 + i]);
      columns[2 * i + 1] = _mm_unpackhi_epi64(b[i], b[4 + i]);
    }
    UNROLLED for (int j = 0; j < 8; j++) {
      if (half + j < rows) {
        memcpy(result + (half + j) * row_stride, &columns[j], (size_t)count * sizeof *result);
      }
    }
  }
#else
  for (int j = 0; j < rows; j++) {
    for (int i = 0; i < count; i++) result[j * row_stride + i] = out[i * tile_lanes + j];
  }
#endif
}

INLINE int64_t NAME(multiply_tile)(const fixed16_panel *panel, const int16_t *const *at,
                                   const int count, const int lanes, int16_t *result,
                                   int64_t position_stride, int64_t row_stride) {
  _Alignas(64) int16_t staged[tile_positions * tile_lanes];
  // Whole lines of a panel are finished where they belong.
  const int is_direct = position_stride != 1 && panel->rows == lanes;
  int16_t *out = is_direct ? result : staged;
  const int64_t out_stride = is_direct ? position_stride : tile_lanes;
  _Alignas(64) int32_t sums[tile_positions * tile_lanes];
  int64_t lowest;
  if (panel->is_narrow) {
    NAME(multiply_sums)(sums, panel->narrow_biases, panel, at, count, lanes, 0,
                        panel->run_ends[0]);
    lowest = NAME(finish_narrow)(out, out_stride, sums, count, lanes, 1, panel->shifts,
                                 panel->least, position_stride, row_stride);
  } else {
    _Alignas(64) int64_t wide[tile_positions * tile_lanes];
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < lanes; j++) wide[i * tile_lanes + j] = panel->biases[j];
    }
    int32_t first = 0;
    for (int32_t run = 0; run < panel->run_count; run++) {
      NAME(multiply_sums)(sums, NULL, panel, at, count, lanes, first, panel->run_ends[run]);
      NAME(widen)(wide, sums, count, lanes);
      first = panel->run_ends[run];
    }
    lowest = NAME(finish_wide)(out, out_stride, wide, count, lanes, 1, panel->shifts,
                               panel->least, position_stride, row_stride);
  }
  if (is_direct) return lowest;
  if (position_stride == 1) {
    NAME(store_transposed)(result, staged, count, panel->rows, row_stride);
  } else {
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < panel->rows; j++) {
        result[i * position_stride + j] = staged[i * tile_lanes + j];
      }
    }
  }
  return lowest;
}

INLINE int64_t NAME(multiply_lanes)(const fixed16_panel *panel, const fixed16_positions *positions,
                                    int64_t first, int64_t last, const int lanes) {
  const int64_t position_stride = positions->position_stride, row_stride = positions->row_stride;
  int64_t lowest = INT64_MAX;
  int64_t line = first / positions->width, column = first % positions->width;
  const int16_t *at[tile_positions];
  for (int64_t position = first; position < last;) {
    const int64_t left = last - position;
    const int count = left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    for (int i = 0; i < count; i++) {
      at[i] = positions->operand + line * positions->line_stride
              + column * positions->column_stride;
      if (++column == positions->width) line++, column = 0;
    }
    int16_t *result = positions->result + position * position_stride;
    int64_t fault;
    switch (count) {
    case 6:
      fault = NAME(multiply_tile)(panel, at, 6, lanes, result, position_stride, row_stride);
      break;
    case 4:
      fault = NAME(multiply_tile)(panel, at, 4, lanes, result, position_stride, row_stride);
      break;
    case 2:
      fault = NAME(multiply_tile)(panel, at, 2, lanes, result, position_stride, row_stride);
      break;
    default:
      fault = NAME(multiply_tile)(panel, at, 1, lanes, result, position_stride, row_stride);
    }
    if (__builtin_expect(fault != INT64_MAX, 0)) {
      lowest = NAME(minimum)(lowest, position * position_stride + fault);
    }
    position += count;
  }
  return lowest;
}

int64_t NAME(multiply)(const fixed16_panel *panel, const fixed16_positions *positions,
                       int64_t first, int64_t last) {
  return panel->lanes > 8 ? NAME(multiply_lanes)(panel, positions, first, last, 16)
                          : NAME(multiply_lanes)(panel, positions, first, last, 8);
}

// ---- Many positions, a few rows --------------------------------------------------------------

// sums[lane][position], for 16 positions, = start[lane], or 0 where that is null, plus the products
// of steps first..<last.
INLINE void NAME(slide_sums)(int32_t *restrict sums, const int32_t *restrict start,
                             const fixed16_panel *panel, const int16_t *at, const int lanes,
                             int32_t first, int32_t last) {
  const int16_t *weights = panel->weights + (int64_t)first * lanes * 2;
  const int32_t *offsets = panel->offsets;
#ifdef FIXED16_SIMD
  // Unpacking keeps to 128-bit halves: `low` holds positions 0-3 and 8-11, `high` the others.
  __m256i low[slide_lanes], high[slide_lanes];
  UNROLLED for (int i = 0; i < lanes; i++) {
    low[i] = high[i] = start ? _mm256_set1_epi32(start[i]) : _mm256_setzero_si256();
  }
  for (int32_t step = first; step < last; step++, weights += lanes * 2) {
    const __m256i x0 = _mm256_loadu_si256((const __m256i *)(at + offsets[2 * step]));
    const __m256i x1 = _mm256_loadu_si256((const __m256i *)(at + offsets[2 * step + 1]));
    const __m256i pairs_low = _mm256_unpacklo_epi16(x0, x1);
    const __m256i pairs_high = _mm256_unpackhi_epi16(x0, x1);
    UNROLLED for (int i = 0; i < lanes; i++) {
      int32_t pair;
      memcpy(&pair, weights + 2 * i, sizeof pair);
      const __m256i w = _mm256_set1_epi32(pair);
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(pairs_low, w));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(pairs_high, w));
    }
  }
  UNROLLED for (int i = 0; i < lanes; i++) {
    const __m256i a = _mm256_permute2x128_si256(low[i], high[i], 0x20);
    const __m256i b = _mm256_permute2x128_si256(low[i], high[i], 0x31);
    _mm256_store_si256((__m256i *)(sums + i * tile_lanes), a);
    _mm256_store_si256((__m256i *)(sums + i * tile_lanes + 8), b);
  }
#else
  for (int i = 0; i < lanes; i++) {
    for (int j = 0; j < slide_positions; j++) sums[i * tile_lanes + j] = start ? start[i] : 0;
  }
  for (int32_t step = first; step < last; step++, weights += lanes * 2) {
    const int16_t *x0 = at + offsets[2 * step], *x1 = at + offsets[2 * step + 1];
    for (int i = 0; i < lanes; i++) {
      const int32_t w0 = weights[2 * i], w1 = weights[2 * i + 1];
      for (int j = 0; j < slide_positions; j++) {
        sums[i * tile_lanes + j] += x0[j] * w0 + x1[j] * w1;
      }
    }
  }
#endif
}

// The 16 positions from `at` on, of which `count` are real.
INLINE int64_t NAME(slide_tile)(const fixed16_panel *panel, const int16_t *at, const int lanes,
                                int count, int16_t *result, int64_t row_stride) {
  _Alignas(64) int16_t staged[slide_lanes * tile_lanes];
  // Whole lines of a tile are finished where they belong.
  const int is_direct = count == slide_positions && panel->rows == lanes;
  int16_t *out = is_direct ? result : staged;
  const int64_t out_stride = is_direct ? row_stride : tile_lanes;
  _Alignas(64) int32_t sums[slide_lanes * tile_lanes];
  int64_t lowest;
  if (panel->is_narrow) {
    NAME(slide_sums)(sums, panel->narrow_biases, panel, at, lanes, 0, panel->run_ends[0]);
    // Positions that do not exist must not be found out of range.
    for (int i = 0; i < lanes; i++) {
      for (int j = count; j < slide_positions; j++) sums[i * tile_lanes + j] = 0;
    }
    lowest = NAME(finish_narrow)(out, out_stride, sums, lanes, slide_positions, 0, panel->shifts,
                                 panel->least, row_stride, 1);
  } else {
    _Alignas(64) int64_t wide[slide_lanes * tile_lanes];
    for (int i = 0; i < lanes; i++) {
      for (int j = 0; j < slide_positions; j++) wide[i * tile_lanes + j] = panel->biases[i];
    }
    int32_t first = 0;
    for (int32_t run = 0; run < panel->run_count; run++) {
      NAME(slide_sums)(sums, NULL, panel, at, lanes, first, panel->run_ends[run]);
      NAME(widen)(wide, sums, lanes, slide_positions);
      first = panel->run_ends[run];
    }
    for (int i = 0; i < lanes; i++) {
      for (int j = count; j < slide_positions; j++) wide[i * tile_lanes + j] = 0;
    }
    lowest = NAME(finish_wide)(out, out_stride, wide, lanes, slide_positions, 0, panel->shifts,
                               panel->least, row_stride, 1);
  }
  if (is_direct) return lowest;
  for (int i = 0; i < panel->rows; i++) {
    for (int j = 0; j < count; j++) result[i * row_stride + j] = staged[i * tile_lanes + j];
  }
  return lowest;
}

INLINE int64_t NAME(slide_rows)(const fixed16_panel *panel, const fixed16_positions *positions,
                                int64_t first_line, int64_t last_line, const int lanes) {
  const int64_t width = positions->width, row_stride = positions->row_stride;
  int64_t lowest = INT64_MAX;
  for (int64_t line = first_line; line < last_line; line++) {
    const int16_t *at = positions->operand + line * positions->line_stride;
    for (int64_t column = 0; column < width; column += slide_positions) {
      const int count = (int)NAME(minimum)(slide_positions, width - column);
      const int64_t start = line * width + column;
      const int64_t fault = NAME(slide_tile)(panel, at + column, lanes, count,
                                             positions->result + start, row_stride);
      if (__builtin_expect(fault != INT64_MAX, 0)) {
        lowest = NAME(minimum)(lowest, start + fault);
      }
    }
  }
  return lowest;
}

int64_t NAME(slide)(const fixed16_panel *panel, const fixed16_positions *positions,
                    int64_t first_line, int64_t last_line) {
  switch (panel->lanes) {
  case 4: return NAME(slide_rows)(panel, positions, first_line, last_line, 4);
  case 2: return NAME(slide_rows)(panel, positions, first_line, last_line, 2);
  default: return NAME(slide_rows)(panel, positions, first_line, last_line, 1);
  }
}

// ---- Layouts ---------------------------------------------------------------------------------

void NAME(pack_pair)(int16_t *result, const int16_t *first, const int16_t *second,
                     const fixed16_padding *padding) {
  const int64_t width = padding->padded_width;
  const int64_t start = NAME(minimum)(padding->left, width);
  const int64_t count = NAME(minimum)(padding->width, width - start);
  for (int64_t y = 0; y < padding->padded_height; y++) {
    int16_t *line = result + y * width * 2;
    const int64_t source = y - padding->top;
    if (source < 0 || source >= padding->height || count == 0) {
      memset(line, 0, (size_t)width * 2 * sizeof *line);
      continue;
    }
    memset(line, 0, (size_t)start * 2 * sizeof *line);
    int16_t *cells = line + start * 2;
    const int16_t *a = first + source * padding->width;
    if (second) {
      const int16_t *b = second + source * padding->width;
      for (int64_t x = 0; x < count; x++) cells[2 * x] = a[x], cells[2 * x + 1] = b[x];
    } else {
      for (int64_t x = 0; x < count; x++) cells[2 * x] = a[x], cells[2 * x + 1] = 0;
    }
    memset(cells + count * 2, 0, (size_t)(width - start - count) * 2 * sizeof *line);
  }
}

void NAME(pack_phases)(int16_t *result, const int16_t *plane, const fixed16_padding *padding,
                       int64_t phases, int64_t phase_width) {
  const int64_t width = padding->padded_width;
  for (int64_t y = 0; y < padding->padded_height; y++) {
    int16_t *line = result + y * phases * phase_width;
    const int64_t source = y - padding->top;
    const int is_real = source >= 0 && source < padding->height;
    for (int64_t phase = 0; phase < phases; phase++, line += phase_width) {
      // Columns phase + i · phases that lie inside the plane are i in start..<end.
      const int64_t before = padding->left - phase;
      const int64_t cut = NAME(minimum)(width, padding->left + padding->width) - phase;
      int64_t start = before > 0 ? (before + phases - 1) / phases : 0;
      int64_t end = cut > 0 ? (cut + phases - 1) / phases : 0;
      if (!is_real || end <= start) start = end = 0;
      memset(line, 0, (size_t)start * sizeof *line);
      memset(line + end, 0, (size_t)(phase_width - end) * sizeof *line);
      if (end == start) continue;
      const int16_t *from
          = plane + source * padding->width + start * phases + phase - padding->left;
      if (phases == 1) {
        memcpy(line + start, from, (size_t)(end - start) * sizeof *line);
      } else if (phases == 2) {
        for (int64_t i = 0; i < end - start; i++) line[start + i] = from[2 * i];
      } else {
        for (int64_t i = 0; i < end - start; i++) line[start + i] = from[phases * i];
      }
    }
  }
}

// ---- Element by element ----------------------------------------------------------------------

int64_t NAME(add)(int16_t *result, const int16_t *x, const int16_t *y, int64_t count, int32_t left,
                  int32_t right, int32_t shift, int16_t least) {
  const int64_t rounding = shift == 0 ? 0 : (int64_t)1 << (shift - 1);
  int is_in_range = 1;
  if (((int64_t)1 << (15 + left)) + ((int64_t)1 << (15 + right)) + rounding <= INT32_MAX) {
    const int32_t narrow_rounding = (int32_t)rounding;
    uint32_t outside = 0;
    for (int64_t i = 0; i < count; i++) {
      // Multiplied, because C leaves the shift of a negative number undefined.
      const int32_t sum = x[i] * (1 << left) + y[i] * (1 << right) + narrow_rounding;
      const int32_t value = sum >> shift;
      outside |= (uint32_t)value + 32768;
      const int16_t narrow = (int16_t)value;
      result[i] = narrow > least ? narrow : least;
    }
    is_in_range = outside >> 16 == 0;
  } else {
    uint64_t outside = 0;
    for (int64_t i = 0; i < count; i++) {
      const int64_t sum = x[i] * ((int64_t)1 << left) + y[i] * ((int64_t)1 << right) + rounding;
      const int64_t value = sum >> shift;
      outside |= (uint64_t)value + 32768;
      const int16_t narrow = (int16_t)value;
      result[i] = narrow > least ? narrow : least;
    }
    is_in_range = outside >> 16 == 0;
  }
  if (is_in_range) return INT64_MAX;
  for (int64_t i = 0; i < count; i++) {
    const int64_t sum = x[i] * ((int64_t)1 << left) + y[i] * ((int64_t)1 << right) + rounding;
    if (sum >> shift != (int16_t)(sum >> shift)) return i;
  }
  return INT64_MAX;
}

#define STRIDED(STATEMENT)                                                                         \
  if (stride == 1) {                                                                               \
    for (int64_t i = 0; i < count; i++) {                                                          \
      const int16_t value = x[i];                                                                  \
      STATEMENT;                                                                                   \
    }                                                                                              \
  } else if (stride == 2) {                                                                        \
    for (int64_t i = 0; i < count; i++) {                                                          \
      const int16_t value = x[2 * i];                                                              \
      STATEMENT;                                                                                   \
    }                                                                                              \
  } else {                                                                                         \
    for (int64_t i = 0; i < count; i++) {                                                          \
      const int16_t value = x[stride * i];                                                         \
      STATEMENT;                                                                                   \
    }                                                                                              \
  }

void NAME(maximum)(int16_t *result, const int16_t *x, int64_t stride, int64_t count) {
  STRIDED(result[i] = value > result[i] ? value : result[i])
}

void NAME(accumulate)(int64_t *sums, const int16_t *x, int64_t stride, int64_t count) {
  STRIDED(sums[i] += value)
}

int16_t NAME(largest)(const int16_t *x, int64_t stride, int64_t count) {
  int16_t largest = INT16_MIN;
  STRIDED(largest = value > largest ? value : largest)
  return largest;
}

int64_t NAME(sum)(const int16_t *x, int64_t stride, int64_t count) {
  int64_t sum = 0;
  STRIDED(sum += value)
  return sum;
}

#undef STRIDED

void NAME(raise)(int16_t *result, const int16_t *x, int64_t count, int16_t least) {
  for (int64_t i = 0; i < count; i++) result[i] = x[i] > least ? x[i] : least;
}

#undef INLINE
#undef UNROLLED
#undef EVEN
#undef ODD
