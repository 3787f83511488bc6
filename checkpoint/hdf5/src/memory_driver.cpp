#include "memory_driver.hpp"

#include <new>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

namespace mpitrain::checkpoint::hdf5 {
namespace {

// What the access properties carry to the driver.
struct Info {
    MemoryFile* memory;
};

// The library sees the first member; it must be first.
struct OpenFile {
    H5FD_t base;
    MemoryFile* memory;
    haddr_t allocated;  // how far the library has given out space
};

OpenFile& self(H5FD_t* file) {
    return *reinterpret_cast<OpenFile*>(file);
}
const OpenFile& self(const H5FD_t* file) {
    return *reinterpret_cast<const OpenFile*>(file);
}

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
    const auto* info = static_cast<const Info*>(H5Pget_driver_info(access));
    if (info == nullptr) {
        return nullptr;
    }
    auto* file = new (std::nothrow) OpenFile{};
    if (file == nullptr) {
        return nullptr;
    }
    file->memory = info->memory;
    return &file->base;
}

herr_t close_file(H5FD_t* file) {
    delete &self(file);
    return 0;
}

// Without them the library would scatter its own bytes and write each alone.
herr_t tell_features(const H5FD_t*, unsigned long* features) {
    *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
                H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

haddr_t allocated_end(const H5FD_t* file, H5FD_mem_t) {
    return self(file).allocated;
}

herr_t set_allocated_end(H5FD_t* file, H5FD_mem_t, haddr_t end) {
    self(file).allocated = end;
    return 0;
}

haddr_t file_end(const H5FD_t* file, H5FD_mem_t) {
    return self(file).memory->size_bytes();
}

herr_t read_file(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* buffer) {
    self(file).memory->read(at, {static_cast<std::byte*>(buffer), size});
    return 0;
}

herr_t write_file(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, const void* buffer) {
    try {
        self(file).memory->write(at, {static_cast<const std::byte*>(buffer), size});
    } catch (const std::bad_alloc&) {
        return -1;
    }
    return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
    self(file).memory->resize(self(file).allocated);
    return 0;
}

H5FD_class_t driver_class() {
    H5FD_class_t driver{};
#if H5_VERSION_GE(1, 13, 0)
    driver.version = H5FD_CLASS_VERSION;
    driver.value = H5_VFD_RESERVED + 1;
#endif
    driver.name = "mpitrain_memory";
    driver.maxaddr = HADDR_MAX / 2;
    driver.fc_degree = H5F_CLOSE_STRONG;
    driver.fapl_size = sizeof(Info);
    driver.open = &open_file;
    driver.close = &close_file;
    driver.query = &tell_features;
    driver.get_eoa = &allocated_end;
    driver.set_eoa = &set_allocated_end;
    driver.get_eof = &file_end;
    driver.read = &read_file;
    driver.write = &write_file;
    driver.truncate = &truncate_file;
    const H5FD_mem_t kinds[] = H5FD_FLMAP_DICHOTOMY;
    for (std::size_t i = 0; i < std::size(kinds); ++i) {
        driver.fl_map[i] = kinds[i];
    }
    return driver;
}

}  // namespace

Result<void> use_memory(const Handle& access, MemoryFile& memory) {
    static const H5FD_class_t driver = driver_class();
    // Registering is cheap, and a number kept from before would not survive H5close().
    MPITRAIN_TRY(const Handle registered,
                 opened(H5FDregister(&driver), &H5FDunregister, "register its driver"));
    const Info info{&memory};
    return done(H5Pset_driver(access.get(), registered.get(), &info), "use its driver");
}

}  // namespace mpitrain::checkpoint::hdf5
