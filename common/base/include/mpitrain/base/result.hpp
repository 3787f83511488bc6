#pragma once

#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

#include "mpitrain/base/error.hpp"

namespace mpitrain {

using Unexpected = tl::unexpected<Error>;

// Either a T or the Error that kept it from being made; the shape of std::expected<T, Error>.
// Ignoring one is a warning.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
    using Base = tl::expected<T, Error>;

  public:
    using Base::Base;
    Result() requires std::is_void_v<T>
    = default;
    // An Error converts by itself, so that `return Error(…)` reads as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor): the conversion is the point
    Result(Error error) : Base(Unexpected(std::move(error))) {}
    // NOLINTNEXTLINE(google-explicit-constructor): the conversion is the point
    Result(Unexpected error) : Base(std::move(error)) {}
};

}  // namespace mpitrain

#define MPITRAIN_CONCAT_INNER(a, b) a##b
#define MPITRAIN_CONCAT(a, b) MPITRAIN_CONCAT_INNER(a, b)

// MPITRAIN_TRY(const auto manifest, read_manifest(path)); returns the Error from this function, or
// goes on with the value.
#define MPITRAIN_TRY(declaration, expression)                                                \
    auto MPITRAIN_CONCAT(try_result_, __LINE__) = (expression);                              \
    if (!MPITRAIN_CONCAT(try_result_, __LINE__)) {                                           \
        return ::mpitrain::Error(std::move(MPITRAIN_CONCAT(try_result_, __LINE__)).error()); \
    }                                                                                        \
    declaration = *std::move(MPITRAIN_CONCAT(try_result_, __LINE__))

// The same for Result<void>.
#define MPITRAIN_TRY_VOID(expression)                                     \
    do {                                                                  \
        auto try_void_result = (expression);                              \
        if (!try_void_result) {                                           \
            return ::mpitrain::Error(std::move(try_void_result).error()); \
        }                                                                 \
    } while (false)
