#!/usr/bin/env python3
"""The rules of the house, each a function from a source tree to what breaks it.

    house.py RULE ROOT                     every rule but purity
    house.py purity [--nm NM] LIBRARY...   reads the pure libraries' symbols

Prints one line for each violation, as file:line: what is wrong and what to do; exits 1 if there is any.
"""

import argparse
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import functions

CPP = {".cpp", ".hpp", ".h", ".cu", ".cuh"}
SOURCE = CPP | {".py", ".cmake", ".sh"}
SKIPPED_FOLDERS = {"build", ".git", ".cache", "__pycache__"}

# Who may know whom: the first pattern that fits a room decides. Every room knows itself.
COMMON = ["common/base", "common/model", "common/seam", "common/recorder"]
MAY_KNOW = [
    ("common/base", []),
    ("common/model", ["common/base"]),
    ("common/recorder", []),
    ("common/seam", ["common/base", "common/model"]),
    ("common/settings", ["common/base", "common/model"]),
    ("common/jobfile", ["common/base", "common/model", "common/settings"]),
    ("common/*", COMMON),
    # The pure cores.
    ("scheduler/core", ["common/base", "common/model"]),
    ("launcher/plan", ["common/base", "common/model"]),
    ("checkpoint/format", ["common/base", "common/model"]),
    # What a training program links, and the agent beside it: small, and free of the rest.
    ("launcher/client", ["common/base"]),
    ("launcher/wire", ["common/base", "common/model", "common/recorder", "launcher/client"]),
    ("launcher/sealed", ["common/base"]),
    ("launcher/output", ["common/base"]),
    ("launcher/rank", ["common/base", "common/recorder", "launcher/wire", "launcher/sealed", "launcher/output", "launcher/client"]),
    # The simulator reads files, and is a program with mpitrain's command line.
    ("scheduler/sim", COMMON + ["common/settings", "common/jobfile", "launcher/cli", "scheduler/core"]),
    ("scheduler/bench", COMMON + ["common/settings", "launcher/cli", "scheduler/core", "scheduler/sim"]),
    ("scheduler/*", COMMON + ["common/settings", "scheduler/*"]),
    ("launcher/*", COMMON + ["common/settings", "common/jobfile", "launcher/*", "scheduler/core", "scheduler/topology", "checkpoint/*", "slurm*"]),
    ("collectives*", COMMON + ["collectives*"]),
    # The program takes mpitrain's command line, and so looks like it.
    ("checkpoint/tool", COMMON + ["common/settings", "launcher/cli", "checkpoint/*"]),
    ("checkpoint/*", COMMON + ["checkpoint/*"]),
    # What Slurm says and wants said: words only, so that the launcher may know it.
    ("slurm*", COMMON + ["slurm*"]),
    ("mpijob-crd/*", COMMON + ["scheduler/*", "launcher/*", "mpijob-crd/*"]),
    ("examples/*", ["common/base", "launcher/client", "collectives*", "checkpoint/client"]),
]
# Where the real file system, clock and processes may be chosen, besides a file with main().
CHOOSES_SEAMS = ["launcher/cli", "checkpoint/client", "checkpoint/tool"]

C_LIBRARY = re.compile(
    r"(mpi|hdf5|H5\w*|hwloc|hwloc/.*|nccl|pmix\w*|sqlite3|sodium|nvml|cuda\w*|curl/.*|yaml-cpp/.*|nlohmann/json)\.h(pp)?$"
)
# Handing over an MPI_Comm is the point of these.
MAY_SHOW_C_LIBRARY = ["collectives/*/mpi_interop.hpp", "checkpoint/*/mpi_peers.hpp"]

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 40

# The glossary's words to avoid, as whole words of a type's or a file's name. "Handle" is left out: UniqueHandle is one.
VAGUE_WORDS = {"task", "worker", "instance", "session", "manager", "helper", "helpers", "util", "utils"}

# What a pure library may call outside C++ itself: memory, text, arithmetic, and the assertion's last words.
PURE_C_CALLS = set(
    """abort __assert_fail fprintf fputc fputs fwrite putc stderr strerror_r snprintf vsnprintf
    memchr memcmp memcpy memmove memset strchr strcmp strlen strncmp strtod strtof strtol strtold strtoll strtoul
    strtoull localeconv free malloc realloc calloc qsort
    acos asin atan atan2 cbrt ceil copysign cos erf exp exp2 expm1 fabs floor fma fmod frexp ldexp llrint llround log
    log10 log1p log2 lrint lround modf nan nearbyint pow powf rint round sin sinh sqrt tan tanh trunc
    expf fmodf logf sqrtf tanhf ldexpf roundf llroundf lroundf
    isalnum isalpha isdigit isspace tolower toupper __errno_location __libc_single_threaded
    _GLOBAL_OFFSET_TABLE_ _Unwind_Resume gmtime_r timegm
    __cpu_features2 __cpu_model __cpu_indicator_init""".split()
)
PURE_PREFIXES = ("__asan_", "__ubsan_", "__tsan_", "__sanitizer_", "__sancov_", "__gcov_", "__llvm_", "__start___sanc",
                 "__stop___sanc", "__cxa_", "__gxx_", "__stack_chk_", "__popcount", "__builtin_", "__once_", "__tls_get",
                 "__mem", "__str", "__sprintf_chk", "__snprintf_chk", "__fprintf_chk", "__vsnprintf_chk",
                 "__udivti3", "__umodti3", "__divti3", "__modti3", "__udivmodti4", "__mulodi4", "__dso_handle",
                 "__isoc")
# Parts of the C++ library that reach outside the program.
IMPURE_CPP = re.compile(
    r"std::(chrono::(_V2::)?(system|steady)_clock::now|random_device|thread|jthread|this_thread|filesystem|"
    r"basic_i?o?fstream|basic_filebuf|cout|cerr|cin|clog|condition_variable|_V2::condition_variable|locale::locale)"
)


def files(root, suffixes):
    for path in sorted(root.rglob("*")):
        folders = path.relative_to(root).parts[:-1]
        if path.suffix in suffixes and path.is_file():
            if not any(f in SKIPPED_FOLDERS or f.startswith("build-") for f in folders):
                yield path


def relative(root, path):
    return path.relative_to(root).as_posix()


def find_rooms(root):
    """Rooms by folder: a folder with include/mpitrain in it, or an example."""
    found = {relative(root, p.parent.parent) for p in root.rglob("include/mpitrain") if "build" not in p.parts}
    found |= {relative(root, p) for p in root.glob("examples/*") if p.is_dir()}
    # Some have no public header, but a place in the order.
    for house in ("scheduler", "launcher", "checkpoint"):
        found |= {relative(root, p) for p in root.glob(f"{house}/*") if p.is_dir()}
    return found


def room_of(path, rooms):
    """The innermost room that a file (relative path) lies in, or None."""
    inside = [room for room in rooms if path.startswith(room + "/")]
    return max(inside, key=len, default=None)


def is_test(path):
    return bool({"test", "tests", "fuzz"} & set(path.split("/")[:-1]))


def may_know(room, other):
    for pattern, allowed in MAY_KNOW:
        if fnmatch(room, pattern):
            return any(fnmatch(other, a) for a in allowed)
    return False


def check_include(path, text, room, name, other):
    """What is wrong when `path`, of `room`, includes <name>, of room `other`."""
    if room == other:
        return None
    if is_test(path) and (other.startswith("common/") or path.startswith("tests/")):
        return None
    if other == "common/fake":
        return "only tests include a fake"
    if other == "common/posix":
        if any(fnmatch(room or "", r) for r in CHOOSES_SEAMS) or re.search(r"^int main\(", text, re.M):
            return None
        return "only a program's main chooses real seams; take the interface of common/seam instead"
    if room is None or may_know(room, other):
        return None
    return f"{room} must not know {other} ({name}); see 'Who may know whom'"


def includes(root):
    rooms = find_rooms(root)
    owner = {}
    for header in files(root, CPP):
        path = relative(root, header)
        if "include/mpitrain/" in path:
            owner[path.split("include/", 1)[1]] = room_of(path, rooms)
    for source in files(root, CPP):
        path = relative(root, source)
        text = source.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
            if not match:
                continue
            name = match[1]
            problem = None
            if name.startswith("../") or "/../" in name:
                problem = "name headers from a room's include or src folder, not by .."
            elif name in owner:
                problem = check_include(path, text, room_of(path, rooms), name, owner[name])
            elif name.startswith("mpitrain/"):
                problem = f"no room promises {name}"
            if problem:
                yield f"{path}:{number}: {problem}"


def headers(root):
    for header in files(root, {".hpp", ".h"}):
        path = relative(root, header)
        if "include/mpitrain/" not in path:
            continue
        text = header.read_text()
        if "#pragma once" not in text and "#ifndef MPITRAIN_" not in text:
            yield f"{path}:1: a header is guarded by #pragma once"
        if any(fnmatch(path, pattern) for pattern in MAY_SHOW_C_LIBRARY):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
            if match and C_LIBRARY.match(match[1]):
                yield f"{path}:{number}: a public header must not show {match[1]}; include it in src/"


def readmes(root):
    for lists in files(root, {".txt"}):
        if lists.name != "CMakeLists.txt" or "mpitrain_add_room(" not in lists.read_text():
            continue
        readme = lists.parent / "README.md"
        room = relative(root, lists.parent)
        if not readme.exists():
            yield f"{room}/README.md:1: missing; a room says its purpose, main types and invariants"
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            yield f"{room}/README.md:{README_LINES_MAX + 1}: longer than {README_LINES_MAX} lines"


def read_ratchet(root):
    """Old giants: `path[:function] lines`, each may only shrink. Empty is the aim."""
    ratchet = root / "tests/house/ratchet.txt"
    lines = ratchet.read_text().splitlines() if ratchet.exists() else []
    entries = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: int(count) for name, count in entries}


def sizes(root):
    ratchet = read_ratchet(root)

    def check(name, where, count, limit):
        allowed = ratchet.pop(name, limit)
        if count > allowed:
            yield f"{where}: {name} has {count} lines, allowed are {allowed}; split it"
        elif allowed > limit and count < allowed:
            yield f"{where}: {name} shrank to {count} lines; lower its entry in tests/house/ratchet.txt"

    for source in files(root, SOURCE):
        path = relative(root, source)
        text = source.read_text()
        yield from check(path, f"{path}:1", len(text.splitlines()), FILE_LINES_MAX)
        if source.suffix in CPP:
            for name, line, count in functions.lengths(text):
                yield from check(f"{path}:{name}", f"{path}:{line}", count, FUNCTION_LINES_MAX)
    for name in ratchet:
        yield f"tests/house/ratchet.txt:1: {name} is gone; remove its entry"


def name_words(name):
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names(root):
    for source in files(root, CPP):
        path = relative(root, source)
        vague = name_words(source.stem) & VAGUE_WORDS
        if vague:
            yield f"{path}:1: the file name says '{', '.join(vague)}'; use a word of the glossary"
        for number, line in enumerate(source.read_text().splitlines(), 1):
            match = re.match(r"\s*(?:class|struct|enum(?: class)?|using)\s+(?:\[\[\w+\]\]\s+)?(\w+)", line)
            vague = name_words(match[1]) & VAGUE_WORDS if match else set()
            if vague:
                yield f"{path}:{number}: type {match[1]} says '{', '.join(vague)}'; use a word of the glossary"


def comments(root):
    for source in files(root, SOURCE):
        path = relative(root, source)
        if path.startswith("tests/house/"):
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if re.search(r"\b(FIXME|XXX)\b", line):
                yield f"{path}:{number}: mend it now, or say TODO(soon|perf|test|port): what"
            if re.search(r"\bTODO\b", line) and not re.search(r"TODO\((soon|perf|test|port)\): \S", line):
                yield f"{path}:{number}: a TODO says its kind and what is missing: TODO(soon|perf|test|port): what"
            if re.search(r"NOLINT(?!END)", line) and not re.search(r"NOLINT\w*\([\w.,* -]+\): \S", line):
                yield f"{path}:{number}: a NOLINT names its check and reason: NOLINT(check-name): why"


def anchors(markdown):
    """The anchors that a renderer makes of a document's headings."""
    found = set()
    for heading in re.findall(r"^#+\s+(.*)$", markdown, re.M):
        text = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(text.replace(" ", "-"))
    return found


def links(root):
    for document in files(root, {".md"}):
        path = relative(root, document)
        text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), document.read_text(), flags=re.S)
        for number, line in enumerate(text.splitlines(), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                other = document.parent / name if name else document
                if not other.exists():
                    yield f"{path}:{number}: links to {target}, which does not exist"
                elif anchor and other.suffix == ".md" and anchor not in anchors(other.read_text()):
                    yield f"{path}:{number}: {name or path} has no heading #{anchor}"


def is_pure(symbol, demangled):
    if symbol in PURE_C_CALLS or symbol.startswith(PURE_PREFIXES):
        return True
    return symbol.startswith("_Z") and not IMPURE_CPP.search(demangled)


def purity(nm, libraries):
    for library in libraries:
        def read(*options):
            output = subprocess.run([nm, *options, library], check=True, capture_output=True, text=True).stdout
            return [line for line in output.splitlines() if line.strip() and not line.endswith(".o:")]
        defined = {line.split()[-1] for line in read("--defined-only")}
        plain = [line.split()[-1] for line in read("--undefined-only")]
        demangled = [line.split(None, 1)[-1] for line in read("--undefined-only", "-C")]
        for symbol, text in sorted(set(zip(plain, demangled))):
            if symbol not in defined and not is_pure(symbol, text):
                yield f"{library}:1: a pure library must not call {text}; take it as an argument or move it out"


RULES = {rule.__name__: rule for rule in (includes, headers, readmes, sizes, names, comments, links)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=[*RULES, "purity"])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("paths", nargs="*")
    arguments = parser.parse_intermixed_args()
    if arguments.rule == "purity":
        problems = list(purity(arguments.nm, arguments.paths))
    else:
        problems = list(RULES[arguments.rule](Path(arguments.paths[0]).resolve()))
    print("\n".join(problems) if problems else f"house.{arguments.rule}: holds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
