#pragma once

#include <cstddef>

namespace char_lm {

// A matrix somewhere in memory; element (i, j) is data[i * row_step + j * column_step].
template <typename Real>
struct View {
    Real* data;
    std::size_t row_step;
    std::size_t column_step = 1;
};

template <typename Real>
View<const Real> transposed(View<const Real> view) {
    return {view.data, view.column_step, view.row_step};
}

// C += A B for an m x k matrix A, k x n matrix B and m x n matrix C, whose rows lie in one piece
// (column_step 1) but for A's. Every element is summed over k in order, one at a time, so the bits
// depend on nothing but the inputs.
template <typename Real>
void multiply_add(std::size_t m,
                  std::size_t n,
                  std::size_t k,
                  View<const Real> a,
                  View<const Real> b,
                  View<Real> c);

extern template void multiply_add(
    std::size_t, std::size_t, std::size_t, View<const float>, View<const float>, View<float>);
extern template void multiply_add(
    std::size_t, std::size_t, std::size_t, View<const double>, View<const double>, View<double>);

}  // namespace char_lm
