#include "mpitrain/base/stream_copy.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace mpitrain {
namespace {

TEST(StreamCopy, CopiesEveryByteAndNoOther) {
    std::vector<unsigned char> from(600);
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] = static_cast<unsigned char>(i * 7 + 1);
    }
    for (std::size_t shift = 0; shift < 70; shift += 3) {
        for (const std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 200U, 513U}) {
            std::vector<unsigned char> to(700, 0xee);
            stream_copy(to.data() + shift, from.data() + 5, bytes);
            stream_fence();
            for (std::size_t i = 0; i < to.size(); ++i) {
                const bool inside = i >= shift && i < shift + bytes;
                ASSERT_EQ(to[i], inside ? from[i - shift + 5] : 0xee) << shift << " " << bytes;
            }
        }
    }
}

}  // namespace
}  // namespace mpitrain
