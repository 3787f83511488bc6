#include "reducer/buckets.hpp"

#include <algorithm>

namespace mpitrain::collectives {

namespace {

// Parameters of a bucket come last first, so each must end where the one before it begins.
Buffer side_by_side(std::span<const Buffer> gradients, const Bucket& bucket) {
    Buffer whole = gradients[bucket.parameters.front()];
    for (std::size_t i = 1; i < bucket.parameters.size(); ++i) {
        const Buffer& next = gradients[bucket.parameters[i]];
        if (static_cast<const std::byte*>(next.data) + next.bytes() != whole.data) {
            return {};
        }
        whole = {next.data, next.count + whole.count, whole.type};
    }
    return whole;
}

}  // namespace

std::vector<Bucket> make_buckets(std::span<const Buffer> gradients, std::size_t bytes) {
    std::vector<Bucket> buckets;
    std::size_t left_bytes = 0;
    for (const Buffer& gradient : gradients) {
        left_bytes += gradient.bytes();
    }
    std::size_t filled_bytes = 0;
    std::size_t most_bytes = 0;  // in the bucket that is being filled
    for (std::size_t left = gradients.size(); left > 0; --left) {
        const Buffer& gradient = gradients[left - 1];
        if (buckets.empty() || (filled_bytes > 0 && filled_bytes + gradient.bytes() > most_bytes)) {
            buckets.emplace_back();
            filled_bytes = 0;
            most_bytes = std::min(bytes, std::max(left_bytes / 2, bytes / 8));
        }
        buckets.back().parameters.push_back(left - 1);
        buckets.back().count += gradient.count;
        filled_bytes += gradient.bytes();
        left_bytes -= gradient.bytes();
    }
    for (Bucket& bucket : buckets) {
        bucket.whole = side_by_side(gradients, bucket);
    }
    return buckets;
}

}  // namespace mpitrain::collectives
