#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mpitrain {

// Why an operation failed. One code exists where a caller could sensibly react to it; the rest is
// text.
enum class ErrorCode : std::uint8_t {
    invalid_argument,    // the input is wrong in itself: usage, syntax, a value out of range
    not_found,           // what the caller named does not exist
    already_exists,      // creating it would overwrite something
    permission_denied,   // the operating system refused this user
    unsatisfiable,       // well-formed, but can never be met here
    resource_exhausted,  // could be met, but not now: slots taken, disk full, quota
    deadline_exceeded,   // a bounded wait ran out
    unavailable,         // a peer, daemon or component is missing or gone
    data_loss,           // stored bytes are torn, missing or fail their checksum
    unsupported,         // this build or version cannot do it
    cancelled,           // somebody asked to stop
    io,                  // an operating-system call failed in another way
    internal,            // a defect of mpitrain
};

std::string_view to_string(ErrorCode code);

// A failure a person can act on. A value; no allocation beyond its strings.
class Error {
  public:
    // `what` says what went wrong in one line, without a final full stop.
    Error(ErrorCode code, std::string what) : code_(code), what_(std::move(what)) {}

    // Adds where it happened: a path, a file:line:column, a peer. Outer borders add theirs in
    // front.
    Error&& at(std::string_view where) &&;
    // Adds the next thing to try. The innermost mend wins, since it knows most.
    Error&& mend(std::string_view advice) &&;

    [[nodiscard]] ErrorCode code() const { return code_; }
    [[nodiscard]] const std::string& what() const { return what_; }
    [[nodiscard]] const std::string& where() const { return where_; }
    [[nodiscard]] const std::string& mend() const { return mend_; }

    // "where: what (mend)", in one line, parts left out when empty.
    [[nodiscard]] std::string text() const;

    bool operator==(const Error&) const = default;

  private:
    ErrorCode code_;
    std::string what_;
    std::string where_;
    std::string mend_;
};

// An Error from an errno value: "cannot <operation>: <system text>" at `path`, the code chosen from
// errno.
Error system_error(int errno_value, std::string_view operation, std::string_view path);

}  // namespace mpitrain
