#include "matmul.hpp"

#include <algorithm>

namespace char_lm {

namespace {

// Sixteen bytes of numbers side by side, anywhere in memory: a type that gcc and clang turn into
// the machine's vectors. Whether a loop over plain arrays becomes vector code hangs on a heuristic.
template <typename Real>
struct Pack {
    static constexpr std::size_t width = 16 / sizeof(Real);
    using Type __attribute__((vector_size(16), aligned(sizeof(Real)), may_alias)) = Real;
};

// Four rows of A and of C; fewer are filled up with the last one, which is then computed, and
// stored, several times alike.
template <typename Real>
struct FourRows {
    FourRows(View<Real> view, std::size_t first, std::size_t count)
        : step(view.column_step),
          r0(view.data + first * view.row_step),
          r1(view.data + std::min(first + 1, count - 1) * view.row_step),
          r2(view.data + std::min(first + 2, count - 1) * view.row_step),
          r3(view.data + std::min(first + 3, count - 1) * view.row_step) {}
    std::size_t step;
    Real *r0, *r1, *r2, *r3;
};

// Adds to columns j … j + 2 * width - 1 of four rows of C. The eight sums live in registers; they
// are written out by hand since gcc 12 keeps an array of them in memory.
template <typename Real>
void multiply_wide(std::size_t depth,
                   const FourRows<const Real>& a,
                   View<const Real> b,
                   const FourRows<Real>& c,
                   std::size_t j) {
    using Columns = typename Pack<Real>::Type;
    const std::size_t right = j + Pack<Real>::width;
    const auto at = [](Real* row, std::size_t column) {
        return reinterpret_cast<Columns*>(row + column);
    };
    Columns left0 = *at(c.r0, j), right0 = *at(c.r0, right);
    Columns left1 = *at(c.r1, j), right1 = *at(c.r1, right);
    Columns left2 = *at(c.r2, j), right2 = *at(c.r2, right);
    Columns left3 = *at(c.r3, j), right3 = *at(c.r3, right);
    for (std::size_t k = 0; k < depth; ++k) {
        const Real* row = b.data + k * b.row_step;
        const Columns b_left = *reinterpret_cast<const Columns*>(row + j);
        const Columns b_right = *reinterpret_cast<const Columns*>(row + right);
        const std::size_t place = k * a.step;
        left0 += a.r0[place] * b_left;
        right0 += a.r0[place] * b_right;
        left1 += a.r1[place] * b_left;
        right1 += a.r1[place] * b_right;
        left2 += a.r2[place] * b_left;
        right2 += a.r2[place] * b_right;
        left3 += a.r3[place] * b_left;
        right3 += a.r3[place] * b_right;
    }
    *at(c.r0, j) = left0, *at(c.r0, right) = right0;
    *at(c.r1, j) = left1, *at(c.r1, right) = right1;
    *at(c.r2, j) = left2, *at(c.r2, right) = right2;
    *at(c.r3, j) = left3, *at(c.r3, right) = right3;
}

// The same for column j alone.
template <typename Real>
void multiply_column(std::size_t depth,
                     const FourRows<const Real>& a,
                     View<const Real> b,
                     const FourRows<Real>& c,
                     std::size_t j) {
    Real sum0 = c.r0[j], sum1 = c.r1[j], sum2 = c.r2[j], sum3 = c.r3[j];
    for (std::size_t k = 0; k < depth; ++k) {
        const Real factor = b.data[k * b.row_step + j];
        sum0 += a.r0[k * a.step] * factor;
        sum1 += a.r1[k * a.step] * factor;
        sum2 += a.r2[k * a.step] * factor;
        sum3 += a.r3[k * a.step] * factor;
    }
    c.r0[j] = sum0, c.r1[j] = sum1, c.r2[j] = sum2, c.r3[j] = sum3;
}

}  // namespace

template <typename Real>
void multiply_add(std::size_t m,
                  std::size_t n,
                  std::size_t k,
                  View<const Real> a,
                  View<const Real> b,
                  View<Real> c) {
    constexpr std::size_t columns = 2 * Pack<Real>::width;
    if (n == 0 || k == 0) {
        return;  // nothing to add, and empty matrices have no address
    }
    for (std::size_t i = 0; i < m; i += 4) {
        const FourRows<const Real> a_rows(a, i, m);
        const FourRows<Real> c_rows(c, i, m);
        std::size_t j = 0;
        for (; j + columns <= n; j += columns) {
            multiply_wide(k, a_rows, b, c_rows, j);
        }
        for (; j < n; ++j) {
            multiply_column(k, a_rows, b, c_rows, j);
        }
    }
}

template void multiply_add(
    std::size_t, std::size_t, std::size_t, View<const float>, View<const float>, View<float>);
template void multiply_add(
    std::size_t, std::size_t, std::size_t, View<const double>, View<const double>, View<double>);

}  // namespace char_lm
