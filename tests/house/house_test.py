"""Every rule of the house finds what it is there to find, and lets pass what is right."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import functions
import house


class Tree(unittest.TestCase):
    """A small source tree, written from {path: text}."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, tree):
        for path, text in tree.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def found(self, rule, tree):
        self.write(tree)
        return [line.split(": ")[0] for line in house.RULES[rule](self.root)]


class Includes(Tree):
    promises = {
        f"{room}/include/mpitrain/{name}.hpp": "#pragma once\n"
        for room, name in (
            ("common/base", "base/result"),
            ("common/posix", "posix/files"),
            ("common/fake", "fake/files"),
            ("scheduler/core", "scheduler/core"),
            ("launcher/plan", "plan/plan"),
            ("checkpoint/store", "checkpoint/store"),
            ("slurm", "slurm/script"),
        )
    }

    def found_in(self, path, include, more=""):
        return self.found("includes", {**self.promises, path: f'#include "{include}"\n{more}'})

    def test_a_lower_room_does_not_know_a_higher_one(self):
        path = "common/base/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/plan/plan.hpp"), [f"{path}:1"])

    def test_checkpoint_knows_nothing_of_the_launcher(self):
        path = "checkpoint/store/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/plan/plan.hpp"), [f"{path}:1"])

    def test_a_pure_core_knows_base_alone(self):
        path = "launcher/plan/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/base/result.hpp"), [])
        self.assertEqual(self.found_in(path, "mpitrain/scheduler/core.hpp"), [f"{path}:1"])

    def test_only_a_main_chooses_real_seams(self):
        path = "checkpoint/store/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/posix/files.hpp"), [f"{path}:1"])
        self.assertEqual(self.found_in(path, "mpitrain/posix/files.hpp", "int main() {}\n"), [])

    def test_only_tests_know_a_fake(self):
        path = "scheduler/core/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/fake/files.hpp"), [f"{path}:1"])
        (self.root / path).unlink()
        self.assertEqual(self.found_in("scheduler/core/test/x_test.cpp", "mpitrain/fake/files.hpp"), [])

    def test_an_unpromised_header_and_a_climbing_path_are_named(self):
        path = "slurm/src/x.cpp"
        self.assertEqual(self.found_in(path, "mpitrain/plan/secret.hpp"), [f"{path}:1"])
        self.assertEqual(self.found_in(path, "../../launcher/plan/src/x.hpp"), [f"{path}:1"])


class Headers(Tree):
    def test_a_public_header_shows_no_c_library(self):
        tree = {
            "topology/include/mpitrain/topology/a.hpp": "#pragma once\n#include <hwloc.h>\n",
            "topology/include/mpitrain/topology/b.hpp": "#pragma once\n#include <string>\n",
            "topology/src/c.hpp": "#pragma once\n#include <hwloc.h>\n",
            "collectives/include/mpitrain/collectives/mpi_interop.hpp": "#pragma once\n#include <mpi.h>\n",
        }
        self.assertEqual(self.found("headers", tree), ["topology/include/mpitrain/topology/a.hpp:2"])

    def test_a_header_is_guarded(self):
        self.assertEqual(self.found("headers", {"a/include/mpitrain/a.hpp": "int f();\n"}), ["a/include/mpitrain/a.hpp:1"])


class Readmes(Tree):
    def test_a_room_has_a_short_readme(self):
        tree = {
            "a/CMakeLists.txt": "mpitrain_add_room(NAME a)\n",
            "b/CMakeLists.txt": "mpitrain_add_room(NAME b)\n",
            "b/README.md": "line\n" * 41,
            "c/CMakeLists.txt": "mpitrain_add_room(NAME c)\n",
            "c/README.md": "line\n" * 40,
        }
        self.assertEqual(self.found("readmes", tree), ["a/README.md:1", "b/README.md:41"])


class Sizes(Tree):
    long_function = "int f(int a) {\n" + "    a += 1;\n" * 70 + "}\n"

    def test_long_files_and_functions_are_named(self):
        tree = {"a.cpp": "// line\n" * 801, "b.cpp": "\n" + self.long_function, "c.cpp": "// line\n" * 800}
        self.assertEqual(self.found("sizes", tree), ["a.cpp:1", "b.cpp:2"])

    def test_the_ratchet_lets_an_old_giant_stay_but_not_grow(self):
        tree = {"b.cpp": self.long_function, "tests/house/ratchet.txt": "b.cpp:f 72\n"}
        self.assertEqual(self.found("sizes", tree), [])
        self.assertEqual(self.found("sizes", {"tests/house/ratchet.txt": "b.cpp:f 71\n"}), ["b.cpp:1"])
        self.assertEqual(self.found("sizes", {"tests/house/ratchet.txt": "b.cpp:f 73\n"}), ["b.cpp:1"])

    def test_an_entry_for_nothing_is_removed(self):
        self.assertEqual(self.found("sizes", {"tests/house/ratchet.txt": "gone.cpp 900\n"}), ["tests/house/ratchet.txt:1"])


class Names(Tree):
    def test_vague_words_name_no_type_and_no_file(self):
        tree = {
            "job_manager.cpp": "\n",
            "plan.cpp": "struct Planner {};\nclass RankWorker {\n};\nusing UniqueHandle = int;\n",
            "multitasking.cpp": "\n",
        }
        self.assertEqual(self.found("names", tree), ["job_manager.cpp:1", "plan.cpp:2"])


class Comments(Tree):
    def test_todo_and_nolint_say_why(self):
        tree = {
            "a.cpp": "// TODO(now): x\n// TODO(soon): x\n// TODO x\nint a;  // NOLINT\n"
            "int b;  // NOLINT(cert-err33-c)\nint c;  // NOLINT(cert-err33-c): a probe\n// FIXME\n"
        }
        self.assertEqual(self.found("comments", tree), ["a.cpp:1", "a.cpp:3", "a.cpp:4", "a.cpp:5", "a.cpp:7"])


class Links(Tree):
    def test_targets_and_headings_exist(self):
        tree = {
            "README.md": "[a](docs/a.md) [b](docs/b.md)\n[c](docs/a.md#the-end) [d](docs/a.md#no)\n"
            "```\n[e](none.md)\n```\n`[f](none.md)` [g](https://example.org/x)\n",
            "docs/a.md": "# The end\n[home](../README.md)\n",
        }
        self.assertEqual(self.found("links", tree), ["README.md:1", "README.md:2"])


class Purity(Tree):
    def found_in(self, code):
        self.write({"x.cpp": code})
        library = str(self.root / "x.o")
        subprocess.run(["c++", "-std=c++20", "-c", str(self.root / "x.cpp"), "-o", library], check=True)
        return len(list(house.purity("nm", [library])))

    def test_clocks_environment_and_files_are_seen(self):
        self.assertEqual(self.found_in("#include <chrono>\nauto f() { return std::chrono::steady_clock::now(); }\n"), 1)
        self.assertEqual(self.found_in("#include <cstdlib>\nauto f() { return std::getenv(\"HOME\"); }\n"), 1)
        self.assertEqual(self.found_in("#include <unistd.h>\nauto f() { return ::getpid(); }\n"), 1)

    def test_memory_text_and_arithmetic_pass(self):
        code = "#include <string>\n#include <cmath>\nauto f(double x) { return std::to_string(std::sin(x)) + \"a\"; }\n"
        self.assertEqual(self.found_in(code), 0)


class Functions(unittest.TestCase):
    def lengths(self, text):
        return [(name, line, count) for name, line, count in functions.lengths(text)]

    def test_methods_constructors_and_tests_are_found(self):
        text = (
            "namespace a {\n"
            "class B : public C<int> {\n"
            "  public:\n"
            "    explicit B(int x) : x_{x}, y_(f({1, 2})) {\n"
            "        g();\n"
            "    }\n"
            "    int x_ = 0;\n"
            "};\n"
            "}  // namespace a\n"
            "TEST(Unit, Behaves) {\n"
            "    if (x) {\n"
            "    }\n"
            "}\n"
        )
        self.assertEqual(self.lengths(text), [("B", 4, 3), ("TEST(Unit,Behaves)", 10, 4)])

    def test_braces_in_text_and_tables_are_not_code(self):
        text = (
            "const char* s = \"{\";\n"
            "const char c = '{';\n"
            "const auto r = R\"(\n{\n)\";\n"
            "#define M(x) \\\n    do { x; \n"
            "constexpr std::array table{1, 2};\n"
            "const std::map<int, int> m = {\n    {1, 2},\n};\n"
            "int f() {\n    return 0;\n}\n"
        )
        self.assertEqual(self.lengths(text), [("f", 12, 3)])


if __name__ == "__main__":
    unittest.main()
