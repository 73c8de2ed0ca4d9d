// The encoder's transform: decimation in frequency with radix 4, on several rows side by side, so
// that the lanes of a position share each root of unity. Position j of `width` rows begins at
// values[j * width]; the width is a whole number of lanes.
#include "encoder.h"

/// One value of each of four positions.
typedef struct {
  lanes x0, x1, x2, x3;
} lanes_four;

KERNEL_INLINE lanes_four four_load(const uint64_t *at, size_t step) {
  return (lanes_four){
    lanes_load(at), lanes_load(at + step), lanes_load(at + 2 * step), lanes_load(at + 3 * step)};
}

KERNEL_INLINE void four_store(uint64_t *at, size_t step, lanes_four x) {
  lanes_store(at, x.x0);
  lanes_store(at + step, x.x1);
  lanes_store(at + 2 * step, x.x2);
  lanes_store(at + 3 * step, x.x3);
}

/// The transform of length 4, in natural order; its root is 2^48.
KERNEL_INLINE lanes_four four_transform(lanes_four x) {
  lanes sum02 = lanes_add(x.x0, x.x2), difference02 = lanes_subtract(x.x0, x.x2);
  lanes sum13 = lanes_add(x.x1, x.x3), difference13 = lanes_subtract(x.x1, x.x3);
  lanes turned = lanes_times_fourth_root(difference13);
  return (lanes_four){
    lanes_add(sum02, sum13), lanes_add(difference02, turned), lanes_subtract(sum02, sum13),
    lanes_subtract(difference02, turned)};
}

/// Transforms a block of 2^log positions, whose roots begin at `roots`. Each quarter is finished
/// before the next, so that small blocks stay in the fastest cache.
static void PATH(transform_block)(
  uint64_t *values, size_t width, unsigned log, const uint64_t *roots) {
  if (log == 0) return;
  if (log == 1) {
    for (size_t row = 0; row < width; row += LANES) {
      lanes low = lanes_load(values + row), high = lanes_load(values + width + row);
      lanes_store(values + row, lanes_add(low, high));
      lanes_store(values + width + row, lanes_subtract(low, high));
    }
    return;
  }
  size_t quarter = (size_t)1 << (log - 2), step = quarter * width;
  for (size_t row = 0; row < width; row += LANES) {
    four_store(values + row, step, four_transform(four_load(values + row, step)));
  }
  for (size_t j = 1; j < quarter; j++) {
    lanes root1 = lanes_set(roots[3 * j]), root2 = lanes_set(roots[3 * j + 1]);
    lanes root3 = lanes_set(roots[3 * j + 2]);
    uint64_t *at = values + j * width;
    for (size_t row = 0; row < width; row += LANES) {
      lanes_four x = four_transform(four_load(at + row, step));
      x.x1 = lanes_multiply(x.x1, root1);
      x.x2 = lanes_multiply(x.x2, root2);
      x.x3 = lanes_multiply(x.x3, root3);
      four_store(at + row, step, x);
    }
  }
  for (size_t k = 0; k < 4; k++) {
    PATH(transform_block)(values + k * step, width, log - 2, roots + 3 * quarter);
  }
}

/// Encodes `count` rows; those that fill up the lanes repeat the last one and go nowhere.
#define ENCODE(kind, type, load)                                                                   \
  static void PATH(encode_##kind)(                                                                 \
    const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const type *rows,           \
    size_t row_stride, size_t count, uint64_t *values) {                                           \
    size_t message = (size_t)1 << encoder->message_log;                                            \
    size_t cosets = (size_t)1 << encoder->rate_log, width = (count + LANES - 1) / LANES * LANES;   \
    for (size_t coset = 0; coset < cosets; coset++) {                                              \
      const uint64_t *shifts = encoder->shifts + (coset - 1) * message;                            \
      for (size_t row = 0; row < width; row += LANES) {                                            \
        for (size_t j = 0; j < message; j += LANES) {                                              \
          lanes x[LANES];                                                                          \
          for (size_t k = 0; k < LANES; k++) {                                                     \
            size_t from = row + k < count ? row + k : count - 1;                                   \
            x[k] = load(rows + from * row_stride + j);                                             \
          }                                                                                        \
          if (coset > 0) {                                                                         \
            lanes shift = lanes_load(shifts + j);                                                  \
            for (size_t k = 0; k < LANES; k++) {                                                   \
              x[k] = lanes_multiply(x[k], shift);                                                  \
            }                                                                                      \
          }                                                                                        \
          lanes_transpose(x);                                                                      \
          for (size_t k = 0; k < LANES; k++) {                                                     \
            lanes_store(values + (j + k) * width + row, x[k]);                                     \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
      PATH(transform_block)(values, width, encoder->message_log, encoder->roots);                  \
      for (size_t j = 0; j < message; j++) {                                                       \
        uint64_t *to = out + (encoder->order[j] * cosets + coset) * out_stride;                    \
        const uint64_t *from = values + j * width;                                                 \
        if (count == width) {                                                                      \
          for (size_t row = 0; row < width; row += LANES) {                                        \
            lanes_store(to + row, lanes_load(from + row));                                         \
          }                                                                                        \
        } else {                                                                                   \
          for (size_t row = 0; row < count; row++) to[row] = from[row];                            \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
ENCODE(int16, int16_t, lanes_load_int16)
ENCODE(int32, int32_t, lanes_load_int32)
ENCODE(base, uint64_t, lanes_load)
