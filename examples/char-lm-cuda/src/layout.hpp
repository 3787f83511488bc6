#pragma once

#include "model.hpp"
#include "passes.hpp"

namespace char_lm {

// Where a model of this shape keeps its parts.
inline PassLayout layout_of(const ModelShape& shape, const Model<float>& model) {
    const auto parts = model.tensors();
    return {.alphabet = shape.alphabet,
            .context = shape.context,
            .embedding = shape.embedding,
            .hidden = shape.hidden,
            .at_embedding = parts[0].offset,
            .at_hidden_weight = parts[1].offset,
            .at_hidden_bias = parts[2].offset,
            .at_output_weight = parts[3].offset,
            .at_output_bias = parts[4].offset};
}

}  // namespace char_lm
