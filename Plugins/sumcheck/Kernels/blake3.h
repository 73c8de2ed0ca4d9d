// What the single and the eightfold BLAKE3 share: the constants of its specification.
#ifndef BOURSE_SUMCHECK_BLAKE3_H
#define BOURSE_SUMCHECK_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

enum {
  BLAKE3_BLOCK = 64,
  BLAKE3_CHUNK = 1024,
  BLAKE3_CHUNK_START = 1,
  BLAKE3_CHUNK_END = 2,
  BLAKE3_PARENT = 4,
  BLAKE3_ROOT = 8,
  BLAKE3_KEYED = 16,
  /// Complete subtrees that can wait for their sibling: one for each bit of a chunk count.
  BLAKE3_DEPTH = 54,
};

static const uint32_t blake3_initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/// The seven rounds: which two words of the block each of the eight mixing steps takes.
#define BLAKE3_ROUNDS(round)                                                                       \
  round(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                      \
  round(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)                                      \
  round(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1)                                      \
  round(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6)                                      \
  round(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4)                                      \
  round(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7)                                      \
  round(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

/// One round over the state `v` and the block `m`: columns, then diagonals. `step` is the mixing.
#define BLAKE3_ROUND(step, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q)                         \
  step(v[0], v[4], v[8], v[12], m[a], m[b])                                                        \
  step(v[1], v[5], v[9], v[13], m[c], m[d])                                                        \
  step(v[2], v[6], v[10], v[14], m[e], m[f])                                                       \
  step(v[3], v[7], v[11], v[15], m[g], m[h])                                                       \
  step(v[0], v[5], v[10], v[15], m[i], m[j])                                                       \
  step(v[1], v[6], v[11], v[12], m[k], m[l])                                                       \
  step(v[2], v[7], v[8], v[13], m[n], m[o])                                                        \
  step(v[3], v[4], v[9], v[14], m[p], m[q])

/// The mixing of four words of the state with two of the block; BLAKE3_ROTATE is the includer's.
#define BLAKE3_STEP(a, b, c, d, x, y)                                                              \
  a += b + (x);                                                                                    \
  d = BLAKE3_ROTATE(d ^ a, 16);                                                                    \
  c += d;                                                                                          \
  b = BLAKE3_ROTATE(b ^ c, 12);                                                                    \
  a += b + (y);                                                                                    \
  d = BLAKE3_ROTATE(d ^ a, 8);                                                                     \
  c += d;                                                                                          \
  b = BLAKE3_ROTATE(b ^ c, 7);
#define BLAKE3_MIX(...) BLAKE3_ROUND(BLAKE3_STEP, __VA_ARGS__)

/// What the key makes of every compression.
typedef struct {
  uint32_t value[8];
  uint32_t flags;
} blake3_mode;

#endif
