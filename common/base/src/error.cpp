#include "mpitrain/base/error.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace mpitrain {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument:
            return "invalid_argument";
        case ErrorCode::not_found:
            return "not_found";
        case ErrorCode::already_exists:
            return "already_exists";
        case ErrorCode::permission_denied:
            return "permission_denied";
        case ErrorCode::unsatisfiable:
            return "unsatisfiable";
        case ErrorCode::resource_exhausted:
            return "resource_exhausted";
        case ErrorCode::deadline_exceeded:
            return "deadline_exceeded";
        case ErrorCode::unavailable:
            return "unavailable";
        case ErrorCode::data_loss:
            return "data_loss";
        case ErrorCode::unsupported:
            return "unsupported";
        case ErrorCode::cancelled:
            return "cancelled";
        case ErrorCode::io:
            return "io";
        case ErrorCode::internal:
            return "internal";
    }
    return "internal";
}

Error&& Error::at(std::string_view where) && {
    where_ = where_.empty() ? std::string(where) : fmt::format("{}: {}", where, where_);
    return std::move(*this);
}

Error&& Error::mend(std::string_view advice) && {
    if (mend_.empty()) {
        mend_ = advice;
    }
    return std::move(*this);
}

std::string Error::text() const {
    std::string text = where_.empty() ? what_ : fmt::format("{}: {}", where_, what_);
    if (!mend_.empty()) {
        text += fmt::format(" ({})", mend_);
    }
    return text;
}

namespace {

ErrorCode code_of_errno(int errno_value) {
    switch (errno_value) {
        case ENOENT:
        case ENOTDIR:
            return ErrorCode::not_found;
        case EEXIST:
        case ENOTEMPTY:
            return ErrorCode::already_exists;
        case EACCES:
        case EPERM:
        case EROFS:
            return ErrorCode::permission_denied;
        case ENOSPC:
        case EDQUOT:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case EAGAIN:
            return ErrorCode::resource_exhausted;
        case ETIMEDOUT:
            return ErrorCode::deadline_exceeded;
        case EINVAL:
        case ENAMETOOLONG:
            return ErrorCode::invalid_argument;
        default:
            return ErrorCode::io;
    }
}

std::string_view mend_of_errno(int errno_value) {
    switch (errno_value) {
        case ENOSPC:
            return "free some disk space or choose another directory";
        case EDQUOT:
            return "free some of your disk quota or choose another directory";
        case EROFS:
            return "the file system is read-only; choose another directory";
        case EACCES:
        case EPERM:
            return "check the owner and mode, or choose a place you may use";
        default:
            return "";
    }
}

}  // namespace

Error system_error(int errno_value, std::string_view operation, std::string_view path) {
    char buffer[128];
    const char* text = strerror_r(errno_value, buffer, sizeof buffer);
    return Error(code_of_errno(errno_value), fmt::format("cannot {}: {}", operation, text))
        .at(path)
        .mend(mend_of_errno(errno_value));
}

}  // namespace mpitrain
