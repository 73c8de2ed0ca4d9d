// The inner loops of `fixed16/1`, and the threads that share them.
//
// Every function gives the same bytes on every path and machine: sums are exact integers, in int32
// where the caller has proven that no partial sum can leave it, in int64 otherwise. Nothing here
// allocates, except that the first call with several threads starts them.
#ifndef BOURSE_FIXED16_H
#define BOURSE_FIXED16_H

#include <stdint.h>

// Which instructions the loops may use. The portable path is plain C and exists everywhere.
typedef enum fixed16_path { FIXED16_PORTABLE = 0, FIXED16_AVX2 = 1 } fixed16_path;

// The widest path of this processor.
fixed16_path fixed16_best_path(void);

// Up to `lanes` rows of weights, made ready for one call. Products come in steps of two: a step
// multiplies two operand elements with two weights of every row.
typedef struct fixed16_panel {
  // [step][lane][2]; rows from `rows` to `lanes` are 0.
  const int16_t *weights;
  // For `fixed16_multiply` one offset per step, in elements, of two neighbouring operand elements.
  // For `fixed16_slide` two per step, one for each element.
  const int32_t *offsets;
  // Within each run of steps, which ends before step run_ends[i], no partial sum leaves int32.
  const int32_t *run_ends;
  int32_t run_count;
  // There is one run, and no partial sum leaves int32 even with the bias and the rounding term.
  int32_t is_narrow;
  // Bias plus rounding term of each lane; the int32 copy is read only where `is_narrow`.
  const int64_t *biases;
  const int32_t *narrow_biases;
  const int32_t *shifts;
  // 8 or 16 for `fixed16_multiply`; 1, 2 or 4 for `fixed16_slide`.
  int32_t lanes;
  int32_t rows;
  // Results below this are raised to it after the range check: INT16_MIN, or 0 for a fused Relu.
  int16_t least;
} fixed16_panel;

// Where a call reads and writes. Position p is at line p / width and column p % width.
typedef struct fixed16_positions {
  const int16_t *operand;
  int64_t line_stride;
  int64_t column_stride;
  int64_t width;
  // Of position 0 and row 0. One of the two strides is 1.
  int16_t *result;
  int64_t position_stride;
  int64_t row_stride;
} fixed16_positions;

// For positions first..<last and every row of the panel: the requantised sum of products. Gives the
// least index, relative to `result`, of an element outside int16, or INT64_MAX; after a fault the
// results are unspecified.
int64_t fixed16_multiply(fixed16_path path, const fixed16_panel *panel,
                         const fixed16_positions *positions, int64_t first, int64_t last);

// The same for whole lines of positions, where neighbouring positions read neighbouring elements
// (column_stride and position_stride are 1): many positions of a few rows at once. Reads up to 16
// elements beyond the last that it needs.
int64_t fixed16_slide(fixed16_path path, const fixed16_panel *panel,
                      const fixed16_positions *positions, int64_t first_line, int64_t last_line);

// How a plane of an image is laid out with its padding.
typedef struct fixed16_padding {
  int64_t height, width;                // of the plane
  int64_t top, left;                    // zeros before it
  int64_t padded_height, padded_width;  // with zeros on all sides; may cut the plane off
} fixed16_padding;

// [padded_height][padded_width][2] from two planes; the second is 0 where it is null.
void fixed16_pack_pair(fixed16_path path, int16_t *result, const int16_t *first,
                       const int16_t *second, const fixed16_padding *padding);

// [padded_height][phases][phase_width]: column x of the padded plane is at x % phases, x / phases.
// Elements beyond padded_width are 0.
void fixed16_pack_phases(fixed16_path path, int16_t *result, const int16_t *plane,
                         const fixed16_padding *padding, int64_t phases, int64_t phase_width);

// x·2^left + y·2^right, plus the rounding term, shifted and raised to `least`, element by element.
// Gives the least index outside int16, or INT64_MAX.
int64_t fixed16_add(fixed16_path path, int16_t *result, const int16_t *x, const int16_t *y,
                    int64_t count, int32_t left, int32_t right, int32_t shift, int16_t least);

// result[i] = max(result[i], x[i · stride]) and sums[i] += x[i · stride].
void fixed16_maximum(fixed16_path path, int16_t *result, const int16_t *x, int64_t stride,
                     int64_t count);
void fixed16_accumulate(fixed16_path path, int64_t *sums, const int16_t *x, int64_t stride,
                        int64_t count);

// The largest, and the sum, of `count` elements at distance `stride`; `count` is at least 1.
int16_t fixed16_largest(fixed16_path path, const int16_t *x, int64_t stride, int64_t count);
int64_t fixed16_sum(fixed16_path path, const int16_t *x, int64_t stride, int64_t count);

// result[i] = max(x[i], least).
void fixed16_raise(fixed16_path path, int16_t *result, const int16_t *x, int64_t count,
                   int16_t least);

// Calls `work` once for every part below `count`, in no order, on the calling thread and on up to
// `threads` - 1 others; gives the least of what it gave. The others are shared by the process and
// wait between calls. Whoever finds them busy, or a thread that cannot be started, is not waited
// for: the calling thread does what nobody else does.
int64_t fixed16_divide(int64_t count, int32_t threads, void *context,
                       int64_t (*work)(void *context, int64_t part));

// Processors that this process may run on.
int32_t fixed16_processors(void);

#endif
