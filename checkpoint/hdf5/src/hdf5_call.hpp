#pragma once

#include <hdf5.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "mpitrain/base/result.hpp"

// One layer over the C library: handles that close themselves and calls that give a Result. Nothing
// above this file looks at a hid_t's sign.
namespace mpitrain::checkpoint::hdf5 {

// The innermost message on the library's error stack, for the text of an Error.
std::string last_message();

class Handle {
  public:
    using Close = herr_t (*)(hid_t);
    Handle(hid_t id, Close closer) : id_(id), close_(closer) {}
    Handle(Handle&& other) noexcept
        : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&&) = delete;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
        if (id_ >= 0) {
            close_(id_);
        }
    }
    [[nodiscard]] hid_t get() const { return id_; }
    // Closes now, for handles whose closing writes.
    Result<void> close(std::string_view what);

  private:
    hid_t id_;
    Close close_;
};

Error failure(std::string_view what);

inline Result<Handle> opened(hid_t id, Handle::Close close, std::string_view what) {
    if (id < 0) {
        return failure(what);
    }
    return Handle(id, close);
}

inline Result<void> done(herr_t status, std::string_view what) {
    if (status < 0) {
        return failure(what);
    }
    return {};
}

inline Result<Handle> property_list(hid_t kind) {
    return opened(H5Pcreate(kind), &H5Pclose, "make a property list");
}

inline Result<Handle> dataspace(const std::vector<std::uint64_t>& shape) {
    static_assert(std::is_same_v<hsize_t, unsigned long long>);
    if (shape.empty()) {
        return opened(H5Screate(H5S_SCALAR), &H5Sclose, "make a dataspace");
    }
    const std::vector<hsize_t> dimensions(shape.begin(), shape.end());
    return opened(H5Screate_simple(static_cast<int>(shape.size()), dimensions.data(), nullptr),
                  &H5Sclose,
                  "make a dataspace");
}

inline Result<void> select(const Handle& space,
                           const std::vector<std::uint64_t>& offset,
                           const std::vector<std::uint64_t>& extent) {
    const std::vector<hsize_t> start(offset.begin(), offset.end());
    const std::vector<hsize_t> count(extent.begin(), extent.end());
    return done(H5Sselect_hyperslab(
                    space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
                "select a hyperslab");
}

}  // namespace mpitrain::checkpoint::hdf5
