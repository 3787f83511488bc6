#pragma once

#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/accounts.hpp"

namespace mpitrain::sim {

// Reads accounts from CSV: a header that names account and any of parent, weight, quota and limit;
// other columns are left alone, empty fields are not there. A parent stands before its children.
// Errors: invalid_argument at "name:line", naming the field.
Result<std::vector<scheduler::AccountSpec>> read_csv_accounts(std::string_view text,
                                                              std::string_view name);

}  // namespace mpitrain::sim
