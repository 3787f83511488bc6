#pragma once

#include <dlfcn.h>

namespace mpitrain::recorder {

// What MPI has under this name, found at run time: this library must load where there is no MPI. In
// the order of the program itself, which may hold the library's objects (copy relocations).
// A program's MPI may be hidden from the global scope (a Python module's), then it is asked by its
// file's name, which is already loaded. Null where there is none.
inline void* find_real(const char* name) {
    if (void* found = dlsym(RTLD_DEFAULT, name)) {
        return found;
    }
    constexpr const char* libraries[] = {"libmpi.so.40", "libmpi.so.12", "libmpi.so"};
    for (const char* library : libraries) {
        if (void* opened = dlopen(library, RTLD_LAZY | RTLD_NOLOAD)) {
            void* found = dlsym(opened, name);
            dlclose(opened);
            if (found != nullptr) {
                return found;
            }
        }
    }
    return nullptr;
}

// `function` only lends its type: a PMPI_ declaration of mpi.h, which is never linked to.
template <typename Function>
Function* real(const char* name) {
    return reinterpret_cast<Function*>(find_real(name));
}

}  // namespace mpitrain::recorder

// The PMPI function of this name; found once.
#define MPITRAIN_REAL(function)                                               \
    ([] {                                                                     \
        static auto* const mpitrain_real =                                    \
            ::mpitrain::recorder::real<decltype(P##function)>("P" #function); \
        return mpitrain_real;                                                 \
    }())
