#include "mpitrain/model/placement.hpp"

#include <fmt/format.h>

namespace mpitrain {

std::string_view to_string(Device device) {
    switch (device) {
        case Device::automatic:
            return "auto";
        case Device::gpu:
            return "gpu";
        case Device::cpu:
            return "cpu";
    }
    return "auto";
}

Result<Device> parse_device(std::string_view text) {
    if (text == "auto") {
        return Device::automatic;
    }
    if (text == "cuda" || text == "gpu") {
        return Device::gpu;
    }
    if (text == "cpu") {
        return Device::cpu;
    }
    return Error(ErrorCode::invalid_argument, fmt::format("unknown device '{}'", text))
        .mend("use auto, cuda or cpu");
}

}  // namespace mpitrain
