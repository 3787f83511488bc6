# shellcheck shell=bash
# Sourced by every script here: where the project is, how it talks, what this machine can bear.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DEBIAN_FRONTEND=noninteractive
# What one clone compiled, another finds again.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
# shellcheck source=scripts/lib/packages
source "$root/scripts/lib/packages"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Whether a missing component is a failure, as in continuous integration, or only said.
require_all() { [[ ${MPITRAIN_REQUIRE_ALL:-0} == 1 ]]; }

# Compilers at once: as many as cores, but with 1.5 GiB of memory each, in this container's limits.
jobs_max() {
    local cores kib limit
    cores=$(nproc)
    kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1 || true)
    if [[ $limit =~ ^[0-9]{1,18}$ ]] && ((limit / 1024 < kib)); then
        kib=$((limit / 1024))
    fi
    local by_memory=$((kib / (1536 * 1024)))
    local jobs=$((by_memory < cores ? by_memory : cores))
    echo $((jobs < 1 ? 1 : jobs))
}

# configure PRESET [CMAKE-ARGUMENT...]
configure() {
    local preset=$1
    shift
    if command -v ccache >/dev/null; then
        export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
    fi
    cmake --preset "$preset" -S "$root" "$@" >/dev/null || die "configuring failed; the messages above say why"
}

# build PRESET [TARGET...]
build() {
    local preset=$1
    shift
    local targets=()
    (($# == 0)) || targets=(--target "$@")
    (cd "$root" && cmake --build --preset "$preset" --parallel "$(jobs_max)" "${targets[@]}") ||
        die "the build failed; the messages above say why"
}
