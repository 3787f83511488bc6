#include "hdf5_call.hpp"

#include <fmt/format.h>

namespace mpitrain::checkpoint::hdf5 {
namespace {

herr_t keep_description(unsigned, const H5E_error2_t* entry, void* text) {
    if (entry->desc != nullptr && *entry->desc != '\0') {
        *static_cast<std::string*>(text) = entry->desc;
    }
    return 0;
}

}  // namespace

std::string last_message() {
    std::string text = "no message";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, &keep_description, &text);
    return text;
}

Error failure(std::string_view what) {
    return Error(ErrorCode::io, fmt::format("HDF5 cannot {}: {}", what, last_message()));
}

Result<void> Handle::close(std::string_view what) {
    return done(close_(std::exchange(id_, H5I_INVALID_HID)), what);
}

}  // namespace mpitrain::checkpoint::hdf5
