#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/hdf5_container.hpp"
#include "mpitrain/checkpoint/loader.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/fake/file_system.hpp"

// A commit whose files are changed anywhere: in HDF5's own structure, in the tensors' bytes, in
// checksum tables, manifest and view. Whatever is changed is found by verify, and a load gives the
// right numbers or an error. An input is a file's number and a list of changes: two bytes of place
// (in proportion to the file's length), a kind and a value.
namespace mpitrain::checkpoint {
namespace {

constexpr std::uint64_t element_count_w = 5000;

struct Values {
    std::vector<float> w = std::vector<float>(element_count_w);
    std::array<double, 3> b{};
    bool operator==(const Values&) const = default;
};

const std::vector<TensorSpec>& specs() {
    static const std::vector<TensorSpec> all = {
        {"group/w", DType::float32, {50, element_count_w / 50}, {}},
        {"b", DType::float64, {3}, {}}};
    return all;
}

Values saved_values() {
    Values values;
    for (std::size_t i = 0; i < values.w.size(); ++i) {
        values.w[i] = static_cast<float>(i) / 3;
    }
    values.b = {1, 2, 3};
    return values;
}

class Commit {
  public:
    Commit() {
        const auto files = disk_->mount();
        MPITRAIN_ASSERT(files->make_directory("/run").has_value());
        const Values values = saved_values();
        const auto saver = make_saver(around(*files), {.directory = "/run"});
        const auto done =
            saver->save({.step = 1,
                         .contribution = std::make_shared<Contribution>(Contribution{specs(), {}}),
                         .tensors = {reinterpret_cast<const std::byte*>(values.w.data()),
                                     reinterpret_cast<const std::byte*>(values.b.data())},
                         .blobs = {},
                         .attributes = {{"loss", 0.5}}});
        MPITRAIN_ASSERT(done.has_value());
        const auto entries = files->list("/run/step-1");
        for (const DirectoryEntry& entry : *entries) {
            const std::string path = join_path("/run/step-1", entry.name);
            whole_.emplace_back(path, disk_->content(path));
        }
    }

    void try_changes(std::span<const std::uint8_t> input) {
        const auto& [path, whole] = whole_[input[0] % whole_.size()];
        std::vector<std::byte> changed = whole;
        for (input = input.subspan(1); input.size() >= 4; input = input.subspan(4)) {
            change(changed, input);
        }
        disk_->replace(path, changed);
        check(changed == whole);
        disk_->replace(path, whole);
    }

  private:
    static void change(std::vector<std::byte>& bytes, std::span<const std::uint8_t> how) {
        if (bytes.empty()) {
            return;
        }
        const std::size_t place = (std::size_t{how[0]} << 8 | how[1]) * bytes.size() >> 16;
        const auto value = static_cast<std::byte>(how[3]);
        switch (how[2] % 4) {
            case 0:
                bytes[place] = value;
                break;
            case 1:
                bytes[place] ^= value;
                break;
            case 2:
                bytes.resize(place);
                break;
            default:
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(place), value);
        }
    }

    void check(bool is_whole) {
        const auto files = disk_->mount();
        const auto verified = verify_commit(*files, "/run/step-1", {});
        // A later format is refused as such; nothing else is more than damage.
        MPITRAIN_ASSERT(verified ? verified->bad.empty() == is_whole
                                 : verified.error().code() == ErrorCode::unsupported);
        Surroundings world = around(*files);
        Values back;
        const std::array<std::byte*, 2> targets = {reinterpret_cast<std::byte*>(back.w.data()),
                                                   reinterpret_cast<std::byte*>(back.b.data())};
        const auto loaded =
            load_commit(world, {.directory = "/run"}, "/run/step-1", specs(), {.memory = targets});
        MPITRAIN_ASSERT(!loaded || back == saved_values());
        MPITRAIN_ASSERT(loaded || !is_whole);
    }

    Surroundings around(FileSystem& files) {
        return {files,
                *container_,
                *peers_,
                staging_,
                [] { return std::chrono::system_clock::time_point(); },
                [] { return std::string("0123456789abcdef01234567"); },
                {},
                [](const WriterIdentity&) { return true; }};
    }

    std::unique_ptr<fake::Disk> disk_ = fake::make_disk();
    std::unique_ptr<Container> container_ = make_hdf5_container();
    std::unique_ptr<Peers> peers_ = single_peer();
    Staging staging_;
    std::vector<std::pair<std::string, std::vector<std::byte>>> whole_;
};

}  // namespace
}  // namespace mpitrain::checkpoint

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static mpitrain::checkpoint::Commit commit;
    if (size > 0) {
        commit.try_changes({data, size});
    }
    return 0;
}
