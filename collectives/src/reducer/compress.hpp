#pragma once

#include <cstddef>

#include "mpitrain/collectives/gradient_reducer.hpp"

namespace mpitrain::collectives {

// sent[i] = value[i] + kept[i], rounded to 16 bits; kept[i] = what the rounding took away. Where
// the rounded value is not finite nothing is kept, so that one overflow does not last for ever.
void compress(const float* value, float* kept, void* sent, std::size_t count, Compression how);
void decompress(const void* sent, float* value, std::size_t count, Compression how);
DataType sent_type(Compression how);

}  // namespace mpitrain::collectives
