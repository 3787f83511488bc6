#include "agreement.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

Error decode_error(std::string_view text, std::size_t rank) {
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_array() || json.size() != 4) {
        return Error(ErrorCode::internal, fmt::format("rank {} failed without a reason", rank));
    }
    Error error(static_cast<ErrorCode>(json[0].get<int>()), json[1].get<std::string>());
    return Error(std::move(error)
                     .at(json[2].get<std::string>())
                     .at(fmt::format("rank {}", rank))
                     .mend(json[3].get<std::string>()));
}

}  // namespace

// 'k' and the word, or 'e' and the error.
std::string encode_word(const Result<std::string>& mine) {
    if (mine) {
        return "k" + *mine;
    }
    const Error& error = mine.error();
    const Json json = {static_cast<int>(error.code()), error.what(), error.where(), error.mend()};
    return "e" + json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Agreement read_words(const std::vector<std::string>& told,
                     const Result<std::string>& mine,
                     int rank) {
    Agreement agreement;
    for (std::size_t i = 0; i < told.size(); ++i) {
        const std::string& word = told[i];
        if (word.starts_with('k')) {
            agreement.words.push_back(word.substr(1));
        } else if (!mine && i == static_cast<std::size_t>(rank)) {
            agreement.mine = agreement.failures.size();
            agreement.failures.push_back(mine.error());
        } else {
            agreement.failures.push_back(decode_error(std::string_view(word).substr(1), i));
        }
    }
    return agreement;
}

Result<Agreement> agree(Peers& peers,
                        const Result<std::string>& mine,
                        std::chrono::milliseconds deadline,
                        std::string_view phase) {
    auto told = peers.exchange(encode_word(mine), deadline);
    if (!told) {
        // A rank that has failed itself says why rather than that the others did not wait.
        return mine ? Error(std::move(told).error()).at(phase) : Error(mine.error());
    }
    return read_words(*told, mine, peers.rank());
}

}  // namespace mpitrain::checkpoint
