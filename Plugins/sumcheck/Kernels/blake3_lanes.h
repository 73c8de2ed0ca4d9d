// BLAKE3 of eight inputs at once: word by word, one input in each lane. Written with the compiler's
// vectors, which become whatever the path has. Little-endian processors only, as all of our paths.
#include "blake3.h"

#include <string.h>

typedef uint32_t words __attribute__((vector_size(32)));

/// The same word in each lane; a macro, since without AVX no function can return such a vector.
#define WORDS_SET(x) ((words){0} + (uint32_t)(x))

/// Eight vectors of the words of one input each become eight of one word of each input.
static inline void words_transpose(words w[8]) {
#define INTERLEAVE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define LOW_WORDS 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_WORDS 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_PAIRS 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_PAIRS 2, 3, 10, 11, 6, 7, 14, 15
#define LOW_HALVES 0, 1, 2, 3, 8, 9, 10, 11
#define HIGH_HALVES 4, 5, 6, 7, 12, 13, 14, 15
  words a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = INTERLEAVE(w[i], w[i + 1], LOW_WORDS);
    a[i + 1] = INTERLEAVE(w[i], w[i + 1], HIGH_WORDS);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = INTERLEAVE(a[i], a[i + 2], LOW_PAIRS);
    b[i + 1] = INTERLEAVE(a[i], a[i + 2], HIGH_PAIRS);
    b[i + 2] = INTERLEAVE(a[i + 1], a[i + 3], LOW_PAIRS);
    b[i + 3] = INTERLEAVE(a[i + 1], a[i + 3], HIGH_PAIRS);
  }
  for (int i = 0; i < 4; i++) {
    w[i] = INTERLEAVE(b[i], b[i + 4], LOW_HALVES);
    w[i + 4] = INTERLEAVE(b[i], b[i + 4], HIGH_HALVES);
  }
}

static inline void words_load_block(words m[16], const uint8_t *bytes, size_t stride) {
  for (int i = 0; i < 8; i++) memcpy(&m[i], bytes + (size_t)i * stride, 32);
  for (int i = 0; i < 8; i++) memcpy(&m[8 + i], bytes + (size_t)i * stride + 32, 32);
  words_transpose(m);
  words_transpose(m + 8);
}

static inline void words_store(uint8_t *out, const words value[8]) {
  words rows[8];
  for (int i = 0; i < 8; i++) rows[i] = value[i];
  words_transpose(rows);
  memcpy(out, rows, sizeof rows);
}

static inline void words_start(words value[8], const blake3_mode *mode) {
  for (int i = 0; i < 8; i++) value[i] = WORDS_SET(mode->value[i]);
}

/// Opaque, since the compiler would else move the shuffle, which some rotations are, from one
/// operand to two.
KERNEL_INLINE void words_rotate(words *x, int count) {
  WORDS_OPAQUE(*x);
  *x = *x >> count | *x << (32 - count);
}

/// `x` is the xor of two words of the state.
#define BLAKE3_ROTATE(x, count)                                                                    \
  ({                                                                                               \
    words rotated = (x);                                                                           \
    words_rotate(&rotated, count);                                                                 \
    rotated;                                                                                       \
  })

typedef struct {
  words low, high;
} words_counter;

static void words_compress(
  words value[8], const words m[16], words_counter counter, uint32_t length, uint32_t flags) {
  words v[16];
  for (int i = 0; i < 8; i++) v[i] = value[i];
  for (int i = 0; i < 4; i++) v[8 + i] = WORDS_SET(blake3_initial[i]);
  v[12] = counter.low;
  v[13] = counter.high;
  v[14] = WORDS_SET(length);
  v[15] = WORDS_SET(flags);
  BLAKE3_ROUNDS(BLAKE3_MIX)
  for (int i = 0; i < 8; i++) value[i] = v[i] ^ v[i + 8];
}

/// The chaining values of one chunk of each input; `root` is ROOT where it is all there is.
static void words_chunk(
  words value[8], const uint8_t *bytes, size_t stride, size_t length, words_counter counter,
  const blake3_mode *mode, uint32_t root) {
  words m[16];
  words_start(value, mode);
  uint32_t flags = mode->flags | BLAKE3_CHUNK_START;
  for (; length > BLAKE3_BLOCK; bytes += BLAKE3_BLOCK, length -= BLAKE3_BLOCK) {
    words_load_block(m, bytes, stride);
    words_compress(value, m, counter, BLAKE3_BLOCK, flags);
    flags = mode->flags;
  }
  flags |= BLAKE3_CHUNK_END | root;
  if (length == BLAKE3_BLOCK) {
    words_load_block(m, bytes, stride);
  } else {
    uint8_t last[8 * BLAKE3_BLOCK] = {0};
    for (size_t i = 0; i < 8; i++) {
      if (length > 0) memcpy(last + i * BLAKE3_BLOCK, bytes + i * stride, length);
    }
    words_load_block(m, last, BLAKE3_BLOCK);
  }
  words_compress(value, m, counter, (uint32_t)length, flags);
}

/// left becomes the parents of left and right.
static void words_parent(
  words left[8], const words right[8], const blake3_mode *mode, uint32_t root) {
  words m[16];
  for (int i = 0; i < 8; i++) m[i] = left[i];
  for (int i = 0; i < 8; i++) m[8 + i] = right[i];
  words_start(left, mode);
  words_counter none = {WORDS_SET(0), WORDS_SET(0)};
  words_compress(left, m, none, BLAKE3_BLOCK, mode->flags | BLAKE3_PARENT | root);
}

/// The hashes of eight inputs of `length` bytes, `stride` apart.
static void PATH(blake3_inputs)(
  uint8_t *out, const uint8_t *bytes, size_t stride, size_t length, const blake3_mode *mode) {
  words stack[BLAKE3_DEPTH][8], value[8];
  size_t depth = 0;
  uint64_t index = 0;
  for (; length > BLAKE3_CHUNK; bytes += BLAKE3_CHUNK, length -= BLAKE3_CHUNK) {
    words_counter counter = {WORDS_SET(index), WORDS_SET(index >> 32)};
    words_chunk(value, bytes, stride, BLAKE3_CHUNK, counter, mode, 0);
    index += 1;
    for (uint64_t bits = index; (bits & 1) == 0; bits >>= 1) {
      depth -= 1;
      words_parent(stack[depth], value, mode, 0);
      memcpy(value, stack[depth], sizeof value);
    }
    memcpy(stack[depth], value, sizeof value);
    depth += 1;
  }
  words_counter counter = {WORDS_SET(index), WORDS_SET(index >> 32)};
  words_chunk(value, bytes, stride, length, counter, mode, depth == 0 ? BLAKE3_ROOT : 0);
  while (depth > 0) {
    depth -= 1;
    words_parent(stack[depth], value, mode, depth == 0 ? BLAKE3_ROOT : 0);
    memcpy(value, stack[depth], sizeof value);
  }
  words_store(out, value);
}

/// The chaining values of eight whole chunks of one input, the first of which has number `index`.
static void PATH(blake3_chunks)(
  uint8_t *out, const uint8_t *bytes, uint64_t index, const blake3_mode *mode) {
  words value[8];
  words_counter counter;
  for (int i = 0; i < 8; i++) {
    counter.low[i] = (uint32_t)(index + (uint64_t)i);
    counter.high[i] = (uint32_t)((index + (uint64_t)i) >> 32);
  }
  words_chunk(value, bytes, BLAKE3_CHUNK, BLAKE3_CHUNK, counter, mode, 0);
  words_store(out, value);
}

/// The eight parents of sixteen chaining values, none of them the root.
static void PATH(blake3_parents)(
  uint8_t *out, const uint8_t *children, const blake3_mode *mode) {
  words m[16], value[8];
  words_load_block(m, children, BLAKE3_BLOCK);
  words_start(value, mode);
  words_counter none = {WORDS_SET(0), WORDS_SET(0)};
  words_compress(value, m, none, BLAKE3_BLOCK, mode->flags | BLAKE3_PARENT);
  words_store(out, value);
}
