#include "corpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <memory>

namespace char_lm {

using mpitrain::Error;
using mpitrain::ErrorCode;
using mpitrain::Result;

namespace {

constexpr std::size_t tenth = 10;
constexpr std::size_t examples_min = 100;

std::size_t byte_of(char character) {
    return static_cast<unsigned char>(character);
}

Result<std::string> read_file(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                               &std::fclose);
    if (!file) {
        return mpitrain::system_error(errno, "open the text", path)
            .mend("install the package wamerican, or name a text file with --data");
    }
    std::string text;
    std::array<char, 1 << 16> chunk{};
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
        text.append(chunk.data(), got);
        if (text.size() > Corpus::bytes_max) {
            break;  // from_text() says what is wrong
        }
    }
    if (std::ferror(file.get()) != 0) {
        return mpitrain::system_error(errno, "read the text", path);
    }
    return text;
}

}  // namespace

Result<Corpus> Corpus::load(const std::string& path) {
    MPITRAIN_TRY(const std::string text, read_file(path));
    auto corpus = from_text(text);
    if (!corpus) {
        return std::move(corpus).error().at(path);
    }
    return corpus;
}

Result<Corpus> Corpus::from_text(std::string_view text) {
    if (text.size() > bytes_max) {
        return Error(ErrorCode::invalid_argument, "the text is longer than 256 MiB")
            .mend("give a part of it");
    }
    if (text.size() < examples_min) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("a text of {} bytes is too short to learn from", text.size()))
            .mend(fmt::format("give at least {} bytes", examples_min));
    }
    Corpus corpus;
    corpus.learn_alphabet(text);
    corpus.cut(text);
    return corpus;
}

void Corpus::learn_alphabet(std::string_view text) {
    std::array<std::size_t, 256> occurrences{};
    fingerprint_ = 0xcbf29ce484222325U;  // 64-bit FNV-1a
    for (const char character : text) {
        ++occurrences[byte_of(character)];
        fingerprint_ = (fingerprint_ ^ byte_of(character)) * 0x100000001b3U;
    }
    const auto total = static_cast<double>(text.size());
    for (std::size_t byte = 0; byte < occurrences.size(); ++byte) {
        const auto often = static_cast<double>(occurrences[byte]);
        if (byte == byte_of('\n')) {
            line_end_ = static_cast<Symbol>(alphabet_.size());
        }
        if (often > 0 || byte == byte_of('\n')) {
            alphabet_ += static_cast<char>(byte);
        }
        if (often > 0) {
            unigram_entropy_ -= often / total * std::log(often / total);
        }
    }
}

void Corpus::cut(std::string_view text) {
    std::array<Symbol, 256> symbol_of{};
    for (std::size_t i = 0; i < alphabet_.size(); ++i) {
        symbol_of[byte_of(alphabet_[i])] = static_cast<Symbol>(i);
    }
    const auto lines_in_all = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    const bool by_lines = lines_in_all >= tenth;
    const std::size_t last_tenth = text.size() - text.size() / tenth;

    std::array<Symbol, context> before{};
    before.fill(line_end_);
    std::size_t line = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool held_out = by_lines ? line % tenth == tenth - 1 : i >= last_tenth;
        Examples& examples = held_out ? validation_ : training_;
        const Symbol symbol = symbol_of[byte_of(text[i])];
        examples.contexts.insert(examples.contexts.end(), before.begin(), before.end());
        examples.targets.push_back(symbol);
        std::rotate(before.begin(), before.begin() + 1, before.end());
        before.back() = symbol;
        if (text[i] == '\n') {
            before.fill(line_end_);
            ++line;
        }
    }
}

}  // namespace char_lm
