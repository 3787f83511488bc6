#include "parallel_hdf5.hpp"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include <cerrno>

#include "state.hpp"

namespace mpitrain::checkpoint::bench {

#ifdef H5_HAVE_PARALLEL
namespace {

Result<void> done(bool well, const std::string& what) {
    return well ? Result<void>() : Error(ErrorCode::io, "parallel HDF5 cannot " + what);
}

Result<void> write_tensor(hid_t file, hid_t transfer, const SaveTensor& tensor) {
    const Block block = resolved_block(tensor.spec);
    const std::vector<hsize_t> shape(tensor.spec.shape.begin(), tensor.spec.shape.end());
    const std::vector<hsize_t> offset(block.offset.begin(), block.offset.end());
    const std::vector<hsize_t> extent(block.extent.begin(), block.extent.end());
    const int dimensions = static_cast<int>(shape.size());
    const hid_t type = size_bytes(tensor.spec.dtype) == 4 ? H5T_IEEE_F32LE : H5T_STD_U16LE;
    const hid_t whole = H5Screate_simple(dimensions, shape.data(), nullptr);
    const hid_t part = H5Screate_simple(dimensions, extent.data(), nullptr);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    const hid_t made =
        H5Dcreate2(file, tensor.spec.name.c_str(), type, whole, links, create, H5P_DEFAULT);
    H5Sselect_hyperslab(whole, H5S_SELECT_SET, offset.data(), nullptr, extent.data(), nullptr);
    const bool well = made >= 0 && H5Dwrite(made, type, part, whole, transfer, tensor.data) >= 0;
    H5Dclose(made);
    H5Pclose(links);
    H5Pclose(create);
    H5Sclose(part);
    H5Sclose(whole);
    return done(well, "write " + tensor.spec.name);
}

}  // namespace

bool has_parallel_hdf5() {
    return true;
}

Result<void> write_parallel_hdf5(const Team& team,
                                 const std::string& path,
                                 std::span<const TensorSpec> tensors,
                                 std::span<std::byte> memory) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, team.comm(), MPI_INFO_NULL);
    H5Pset_all_coll_metadata_ops(access, true);
    H5Pset_coll_metadata_write(access, true);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const hid_t transfer = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
    Result<void> outcome = done(file >= 0, "create " + path);
    for (const SaveTensor& tensor : to_save(tensors, memory)) {
        if (outcome) {
            outcome = write_tensor(file, transfer, tensor);
        }
    }
    H5Pclose(transfer);
    if (file >= 0 && H5Fclose(file) < 0 && outcome) {
        outcome = done(false, "close " + path);
    }
    H5Pclose(access);
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (outcome && (fd < 0 || ::fsync(fd) < 0)) {
        outcome = system_error(errno, "sync", path);
    }
    if (fd >= 0) {
        ::close(fd);
    }
    return outcome;
}
#else
bool has_parallel_hdf5() {
    return false;
}

Result<void> write_parallel_hdf5(const Team&,
                                 const std::string&,
                                 std::span<const TensorSpec>,
                                 std::span<std::byte>) {
    return Error(ErrorCode::unsupported, "this HDF5 knows no MPI");
}
#endif

}  // namespace mpitrain::checkpoint::bench
