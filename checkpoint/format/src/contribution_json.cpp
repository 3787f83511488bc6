#include <nlohmann/json.hpp>

#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {

using Json = nlohmann::json;

std::string encode(const Contribution& contribution) {
    Json tensors = Json::array();
    for (const TensorSpec& tensor : contribution.tensors) {
        tensors.push_back({tensor.name,
                           static_cast<int>(tensor.dtype),
                           tensor.shape,
                           tensor.block.offset,
                           tensor.block.extent});
    }
    Json blobs = Json::array();
    for (const BlobSpec& blob : contribution.blobs) {
        blobs.push_back({blob.name, blob.global, blob.size_bytes});
    }
    // A name that is no UTF-8 is refused by the plan, which every rank makes: it must get there.
    const Json whole = {std::move(tensors), std::move(blobs)};
    return whole.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Contribution> decode_contribution(std::string_view text) {
    try {
        const Json whole = Json::parse(text);
        Contribution contribution;
        for (const Json& tensor : whole.at(0)) {
            contribution.tensors.push_back({tensor.at(0).get<std::string>(),
                                            static_cast<DType>(tensor.at(1).get<int>()),
                                            tensor.at(2).get<std::vector<std::uint64_t>>(),
                                            {tensor.at(3).get<std::vector<std::uint64_t>>(),
                                             tensor.at(4).get<std::vector<std::uint64_t>>()}});
        }
        for (const Json& blob : whole.at(1)) {
            contribution.blobs.push_back({blob.at(0).get<std::string>(),
                                          blob.at(1).get<bool>(),
                                          blob.at(2).get<std::uint64_t>()});
        }
        return contribution;
    } catch (const Json::exception& bad) {
        return Error(ErrorCode::internal, bad.what()).at("another rank's description of its state");
    }
}

}  // namespace mpitrain::checkpoint
