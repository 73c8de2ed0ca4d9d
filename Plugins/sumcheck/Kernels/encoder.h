// The encoder, as all paths use it.
#ifndef BOURSE_SUMCHECK_ENCODER_H
#define BOURSE_SUMCHECK_ENCODER_H

#include "bourse_sumcheck_kernels.h"

/// Position k 2^rate_log + c of the code is the value at w^c (w^(2^rate_log))^k, so the positions
/// of one c are the transform, of the message's length, of the coefficients times powers of w^c.
struct sumcheck_encoder {
  unsigned message_log, rate_log;
  /// Rows transformed together, at most: one or two cache lines of each position, so that writing
  /// them out is not all waiting, as long as they fit a second-level cache.
  size_t row_limit;
  /// For each coset but the first: the powers of w^c.
  uint64_t *shifts;
  /// For each pass over blocks of 2^log positions, from the message's length down: u^j, u^2j and
  /// u^3j for each j below a quarter of the block, where u is the root of the block's order.
  uint64_t *roots;
  /// The index of the transform's value that a pass leaves at each position.
  uint32_t *order;
};

#endif
