#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::jobfile {

// What an mpirun or mpiexec command line asks for.
struct MpirunWords {
    std::vector<CommandGroup> groups;      // ranks as given with -n, else open
    std::vector<std::string> mpirun_args;  // MCA parameters, handed on as they are
    std::string workdir;
    bool oversubscribe = false;
    std::vector<std::string> ignored;  // options whose purpose mpitrain serves by itself
};

// Whether a program is an MPI launcher, by its base name.
bool is_mpirun(std::string_view program);

// Takes the words after mpirun apart.
// Errors: invalid_argument naming the option that is not known, or that no program is there.
Result<MpirunWords> read_mpirun_words(const std::vector<std::string>& words);

}  // namespace mpitrain::jobfile
