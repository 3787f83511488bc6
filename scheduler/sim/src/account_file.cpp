#include "mpitrain/sim/account_file.hpp"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "mpitrain/base/number.hpp"
#include "rows.hpp"

namespace mpitrain::sim {
namespace {

constexpr std::int64_t slots_max = 10'000'000;

std::optional<std::string_view> field(const Row& row,
                                      const Columns& columns,
                                      std::string_view name) {
    const auto column = columns.find(name);
    if (!column || *column >= row.fields.size() || row.fields[*column].empty()) {
        return std::nullopt;
    }
    return row.fields[*column];
}

Result<std::optional<int>> count(const Row& row, const Columns& columns, std::string_view name) {
    if (!field(row, columns, name)) {
        return std::optional<int>();
    }
    MPITRAIN_TRY(const auto value, row.integer(*columns.find(name), name, 0, slots_max));
    return std::optional<int>(static_cast<int>(value));
}

Result<scheduler::AccountSpec> read_account(const Row& row,
                                            const Columns& columns,
                                            std::set<std::string>& known) {
    scheduler::AccountSpec account;
    account.name = field(row, columns, "account").value_or("");
    account.parent = field(row, columns, "parent").value_or("");
    if (account.name.empty() || known.contains(account.name)) {
        return row.error("account", "is missing, or there twice");
    }
    if (!account.parent.empty() && !known.contains(account.parent)) {
        return row.error("parent", fmt::format("is '{}', which is not above", account.parent));
    }
    if (const auto text = field(row, columns, "weight")) {
        const auto weight = parse_number(*text);
        if (!weight || !(*weight > 0) || *weight > 1e9) {
            return row.error("weight", fmt::format("is '{}', no number above 0", *text));
        }
        account.weight = *weight;
    }
    MPITRAIN_TRY(account.quota, count(row, columns, "quota"));
    MPITRAIN_TRY(account.limit, count(row, columns, "limit"));
    known.insert(account.name);
    return account;
}

}  // namespace

Result<std::vector<scheduler::AccountSpec>> read_csv_accounts(std::string_view text,
                                                              std::string_view name) {
    Row row{name, 0, {}};
    std::optional<Columns> columns;
    std::set<std::string> known;
    std::vector<scheduler::AccountSpec> accounts;
    for (const std::string_view line : lines_of(text)) {
        ++row.line;
        if (line.empty()) {
            continue;
        }
        row.fields = split(line, ',');
        if (!columns) {
            columns.emplace(row.fields);
            if (!columns->find("account")) {
                return row.error("account", "is not in the header")
                    .mend("the first line names account and any of parent,weight,quota,limit");
            }
            continue;
        }
        MPITRAIN_TRY(auto account, read_account(row, *columns, known));
        accounts.push_back(std::move(account));
    }
    if (accounts.empty()) {
        return Error(ErrorCode::invalid_argument, "no account is listed").at(name);
    }
    return accounts;
}

}  // namespace mpitrain::sim
