#include "mpitrain/collectives/types.hpp"

#include "number_formats.hpp"

namespace mpitrain::collectives {

std::string_view to_string(DataType type) {
    switch (type) {
        case DataType::f64:
            return "f64";
        case DataType::f32:
            return "f32";
        case DataType::f16:
            return "f16";
        case DataType::bf16:
            return "bf16";
        case DataType::i32:
            return "i32";
        case DataType::i64:
            return "i64";
        case DataType::u8:
            return "u8";
    }
    return "?";
}

std::string_view to_string(ReduceOp op) {
    switch (op) {
        case ReduceOp::sum:
            return "sum";
        case ReduceOp::prod:
            return "prod";
        case ReduceOp::min:
            return "min";
        case ReduceOp::max:
            return "max";
        case ReduceOp::avg:
            return "avg";
    }
    return "?";
}

std::size_t size_bytes(DataType type) {
    switch (type) {
        case DataType::f64:
        case DataType::i64:
            return 8;
        case DataType::f32:
        case DataType::i32:
            return 4;
        case DataType::f16:
        case DataType::bf16:
            return 2;
        case DataType::u8:
            return 1;
    }
    return 1;
}

Float16::Float16(float value) : bits(f16_from_f32(value)) {}
Float16::operator float() const {
    return f32_from_f16(bits);
}
BFloat16::BFloat16(float value) : bits(bf16_from_f32(value)) {}
BFloat16::operator float() const {
    return f32_from_bf16(bits);
}

}  // namespace mpitrain::collectives
