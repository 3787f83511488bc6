#!/usr/bin/env python3
"""`mpitrain ckpt` from outside, every verb: what it prints for people and for scripts, its exit codes, and what it makes of
files that are not what they should be. Needs nothing but Python: checkpoints come to be by `import`."""

import json
import os
import pty
import shutil
import struct
import subprocess
import tempfile
import unittest

CKPT = os.environ["MPITRAIN_CKPT"]
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E5M2": 1, "F8_E4M3": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
         "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}


def ckpt(*words):
    return subprocess.run([CKPT, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def content(number, count):
    """Bytes that no two tensors share."""
    return bytes((number * 31 + i * 7 + (i >> 8)) & 0xff for i in range(count))


def safetensors(tensors, metadata=None):
    """A file's bytes, of {name: (type, shape, bytes)}."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, held) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(held)]}
        data += held
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parse(path):
    """{name: (type, shape, bytes)} and the metadata of a file."""
    with open(path, "rb") as file:
        whole = file.read()
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8:8 + length]), whole[8 + length:]
    metadata = header.pop("__metadata__", {})
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}, metadata


def crc32c(held):
    value = 0xffffffff
    for byte in held:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root, True)
        self.directory = os.path.join(self.root, "checkpoints")

    def path(self, *names):
        return os.path.join(self.root, *names)

    def write(self, name, held):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(held)
        return path

    def every_type(self):
        return {f"layer.{i}/{dtype}": (dtype, [3, i + 1], content(i, 3 * (i + 1) * size) if dtype != "BOOL" else b"\0\1\1" * (i + 1))
                for i, (dtype, size) in enumerate(SIZES.items())}

    def large(self, number):
        """Beyond one checksum block, so that a dataset of its own holds it."""
        return {"w": ("F32", [300, 200], content(number, 240000)), "b": ("I64", [], content(number, 8))}

    def imported(self, *steps):
        for step in steps:
            file = self.write(f"in-{step}.safetensors", safetensors(self.large(step), {"loss": f"0.{step}"}))
            done = ckpt("import", file, self.directory, "--step", step)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def step(self, number):
        return os.path.join(self.directory, f"step-{number}")

    def shard(self, number):
        return os.path.join(self.step(number), next(name for name in os.listdir(self.step(number)) if name.startswith("shard")))

    def spoil(self, path, at):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))

    def assertFails(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class Import(Case):
    def test_every_type_comes_in_and_goes_out_bit_for_bit(self):
        tensors = {**self.every_type(), "none": ("F32", [0, 7], b""), "scalar": ("BF16", [], b"\x80\x3f")}
        file = self.write("in.safetensors", safetensors(tensors, {"format": "pt", "author": "Ada"}))
        done = ckpt("import", file, self.directory, "--step", 7, "--model", "m1", "--output", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["schema"], told["path"], told["step"], told["tensors"]),
                         ("mpitrain.ckpt/1", self.step(7), 7, len(tensors)))
        self.assertEqual(ckpt("verify", self.directory).returncode, 0)
        shown = json.loads(ckpt("show", self.directory, "--output", "json").stdout)
        self.assertEqual((shown["model"], shown["attributes"]), ("m1", {"format": "pt", "author": "Ada"}))
        out = self.path("out.safetensors")
        self.assertEqual(ckpt("export", self.directory, out).returncode, 0)
        back, metadata = parse(out)
        self.assertEqual(back, tensors)
        self.assertEqual(metadata, {"format": "pt", "step": "7"})

    def test_hostile_files_are_refused_and_nothing_is_made(self):
        one = {"w": ("F32", [2], bytes(8))}
        good = safetensors(one)
        cases = {
            "empty": b"", "seven": b"1234567", "huge": struct.pack("<Q", 2**64 - 1) + b"{}",
            "beyond": struct.pack("<Q", 10**12) + b"{}", "no json": struct.pack("<Q", 4) + b"{{{{",
            "cut": good[:-1], "longer": good + b"\0",
            "overlap": good.replace(b"[0, 8]", b"[4, 8]"),
            "negative": good.replace(b"[2]", b"[-2]"), "float": good.replace(b"[2]", b"[2.]"),
            "nan": good.replace(b"[2]", b"NaN"), "type": good.replace(b"F32", b"F33"),
            "escape": good.replace(b'"w"', b'".."'),
        }
        for name, held in cases.items():
            with self.subTest(name):
                self.assertFails(ckpt("import", self.write("bad.safetensors", held), self.directory), 2, "bad.safetensors")
        self.assertFalse(os.path.exists(self.directory))
        self.assertFails(ckpt("import", self.path("none"), self.directory), 2, self.path("none"))
        self.assertFails(ckpt("import", self.root, self.directory), 2, self.root)

    def test_a_name_that_is_another_ones_group_is_refused(self):
        file = self.write("in.safetensors", safetensors({"a": ("U8", [1], b"x"), "a/b": ("U8", [1], b"y")}))
        self.assertFails(ckpt("import", file, self.directory), 2, "'a'")
        self.assertEqual(ckpt("list", self.directory, "--output", "quiet").stdout, "")

    def test_a_step_is_never_replaced(self):
        self.imported(1)
        before = sorted(os.listdir(self.step(1)))
        again = ckpt("import", self.path("in-1.safetensors"), self.directory, "--step", 1)
        self.assertFails(again, 2, "step-1")
        self.assertEqual(sorted(os.listdir(self.step(1))), before)
        self.assertFails(ckpt("import", self.path("in-1.safetensors"), self.directory, "--step", "-1"), 2, "--step")

    def test_earlier_steps_stay(self):
        self.imported(1, 2, 3, 4, 5)
        self.assertEqual(len(ckpt("list", self.directory, "--output", "quiet").stdout.split()), 5)


class List(Case):
    def test_tells_complete_from_damaged_from_left_over(self):
        self.imported(1, 2, 10)
        os.truncate(os.path.join(self.step(2), "manifest.json"), 40)
        os.mkdir(os.path.join(self.directory, "step-11.tmp-abc"))
        os.mkdir(os.path.join(self.directory, "step-007"))
        told = json.loads(ckpt("list", self.directory, "--output", "json").stdout)
        self.assertEqual([(commit["step"], commit["complete"]) for commit in told["commits"]], [(10, True), (2, False), (1, True)])
        self.assertIn("manifest.json", told["commits"][1]["reason"])
        self.assertEqual([os.path.basename(path) for path in told["leftovers"]], ["step-11.tmp-abc"])
        table = ckpt("list", self.directory).stdout.splitlines()
        self.assertEqual(len(table), 4)
        self.assertIn("damaged", table[2])
        self.assertEqual(ckpt("list", self.directory, "--output", "quiet").stdout.split(), [self.step(10), self.step(1)])

    def test_a_missing_or_cut_shard_is_damage(self):
        self.imported(1, 2)
        os.truncate(self.shard(2), 4096)
        os.remove(self.shard(1))
        told = json.loads(ckpt("list", self.directory, "--output", "json").stdout)
        self.assertEqual([commit["complete"] for commit in told["commits"]], [False, False])

    def test_what_is_no_directory_is_an_error(self):
        self.assertFails(ckpt("list", self.path("none")), 2, self.path("none"))
        self.assertFails(ckpt("list", self.write("file", b"")), 2, self.path("file"))
        self.assertFails(ckpt("list"), 2, "DIR")
        self.assertFails(ckpt("list", self.root, self.root), 2)


class Show(Case):
    def test_tells_tensors_and_attributes(self):
        self.imported(3)
        for where in (self.directory, self.step(3)):
            shown = json.loads(ckpt("show", where, "--output", "json").stdout)
            self.assertEqual((shown["schema"], shown["step"], shown["world_size"], shown["complete"]),
                             ("mpitrain.ckpt/1", 3, 1, True))
            self.assertEqual(shown["tensors"], [{"name": "b", "dtype": "int64", "shape": [], "shards": 1},
                                                {"name": "w", "dtype": "float32", "shape": [300, 200], "shards": 1}])
            self.assertEqual(shown["attributes"], {"loss": "0.3"})
        table = ckpt("show", self.directory).stdout
        for part in ("step 3", "w", "[300, 200]", "float32", 'loss = "0.3"'):
            self.assertIn(part, table)

    def test_falls_back_to_the_newest_good_and_says_when_there_is_none(self):
        self.imported(1, 2)
        os.remove(os.path.join(self.step(2), "manifest.json"))
        self.assertEqual(ckpt("show", self.directory, "--output", "quiet").stdout.strip(), self.step(1))
        self.assertFails(ckpt("show", self.step(2)), 2, "step-2")
        os.remove(os.path.join(self.step(1), "manifest.json"))
        self.assertFails(ckpt("show", self.directory), 2, self.directory)

    def test_a_later_format_is_told_as_such(self):
        self.imported(1)
        manifest = os.path.join(self.step(1), "manifest.json")
        with open(manifest, "rb") as file:
            body = file.read().replace(b"mpitrain.checkpoint/1", b"mpitrain.checkpoint/2").rpartition(b',"crc32c"')[0]
        with open(manifest, "wb") as file:
            file.write(body + b',"crc32c":"%08x"}\n' % crc32c(body))
        self.assertFails(ckpt("show", self.step(1)), 2, "later")


class Verify(Case):
    def test_names_file_and_tensor_of_a_flipped_bit(self):
        self.imported(1)
        good = json.loads(ckpt("verify", self.directory, "--output", "json").stdout)
        self.assertEqual((good["ok"], good["bad"], good["step"]), (True, [], 1))
        with open(os.path.join(self.step(1), "manifest.json"), encoding="utf-8") as file:
            tensors = json.load(file)["tensors"]
        at = next(tensor for tensor in tensors if tensor["name"] == "w")["blocks"][0]["at"]
        self.spoil(self.shard(1), at + 100000)
        done = ckpt("verify", self.directory, "--output", "json")
        found = json.loads(done.stdout)
        self.assertEqual((done.returncode, found["ok"]), (1, False))
        self.assertEqual([(bad["shard"], bad["tensor"]) for bad in found["bad"]], [(os.path.basename(self.shard(1)), "w")])
        text = ckpt("verify", self.directory)
        self.assertEqual(text.returncode, 1)
        self.assertIn("damaged", text.stdout)
        self.assertIn("(w)", text.stdout)
        quiet = ckpt("verify", self.directory, "--output", "quiet")
        self.assertEqual((quiet.returncode, quiet.stdout), (1, ""))

    def test_all_looks_at_every_commit(self):
        self.imported(1, 2)
        self.spoil(self.shard(1), 5000)
        self.assertEqual(ckpt("verify", self.directory).returncode, 0)
        done = ckpt("verify", "--all", self.directory, "--output", "json")
        told = json.loads(done.stdout)
        self.assertEqual((done.returncode, told["ok"], [commit["ok"] for commit in told["commits"]]), (1, False, [True, False]))

    def test_every_file_is_looked_at(self):
        for name in ("manifest.json", "checkpoint.h5", "shard"):
            with self.subTest(name):
                shutil.rmtree(self.directory, True)
                self.imported(1)
                path = self.shard(1) if name == "shard" else os.path.join(self.step(1), name)
                os.remove(path)
                for where in (self.directory, self.step(1)):
                    done = ckpt("verify", where, "--output", "json")
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertEqual(json.loads(done.stdout)["bad"][0]["shard"], os.path.basename(path))

    def test_progress_is_for_a_terminal_only(self):
        self.imported(1)
        self.assertEqual(ckpt("verify", self.directory).stderr, "")
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        done = subprocess.run([CKPT, "verify", self.directory], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False)
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        told = os.read(ours, 4096).decode()
        self.assertIn("100 %", told)
        self.assertTrue(told.endswith("\r"), repr(told))  # it leaves no trace


class Diff(Case):
    def test_tells_equal_from_different(self):
        self.imported(1, 2)
        same = ckpt("diff", self.step(1), self.step(1))
        self.assertEqual((same.returncode, same.stdout), (0, "all tensors are equal, bit for bit\n"))
        done = ckpt("diff", self.step(1), self.step(2), "--output", "json")
        told = json.loads(done.stdout)
        self.assertEqual((done.returncode, told["equal"]), (1, False))
        self.assertEqual([(one["tensor"], one["difference"]) for one in told["differences"]], [("b", "values"), ("w", "values")])
        self.assertGreater(told["differences"][1]["elements"], 1000)
        table = ckpt("diff", self.step(1), self.step(2))
        self.assertEqual((table.returncode, table.stderr), (1, ""))
        self.assertIn("w", table.stdout)
        self.assertEqual(ckpt("diff", self.step(1), self.step(2), "--output", "quiet").stdout, "")

    def test_names_what_only_one_has_and_what_has_another_shape(self):
        sides = {"a": {"w": ("F32", [2], bytes(8)), "x": ("U8", [1], b"a")},
                 "b": {"w": ("F32", [1, 2], bytes(8)), "y": ("U8", [1], b"a")}}
        for name, tensors in sides.items():
            file = self.write(name + ".safetensors", safetensors(tensors))
            self.assertEqual(ckpt("import", file, self.path(name)).returncode, 0)
        told = json.loads(ckpt("diff", self.path("a"), self.path("b"), "--output", "json").stdout)
        self.assertEqual([(one["tensor"], one["difference"]) for one in told["differences"]],
                         [("w", "float32[2] and float32[1, 2]"), ("x", "only in the first"), ("y", "only in the second")])

    def test_never_compares_damaged_bytes(self):
        self.imported(1, 2)
        self.spoil(self.shard(2), 100000)
        self.assertFails(ckpt("diff", self.step(1), self.step(2)), 2, "checksum")


class Prune(Case):
    def test_removes_the_old_and_what_was_left_over(self):
        self.imported(1, 2, 3)
        os.mkdir(os.path.join(self.directory, "step-9.tmp-abc"))
        self.assertFails(ckpt("prune", self.directory), 2, "--keep-last")
        self.assertFails(ckpt("prune", self.directory, "--keep-last", 0), 2, "--keep-last")
        dry = ckpt("prune", self.directory, "--keep-last", 2, "--dry-run", "--output", "json")
        told = json.loads(dry.stdout)
        self.assertEqual((told["dry_run"], told["removed"], [os.path.basename(path) for path in told["leftovers"]]),
                         (True, [self.step(1)], ["step-9.tmp-abc"]))
        self.assertEqual(len(ckpt("list", self.directory, "--output", "quiet").stdout.split()), 3)
        done = ckpt("prune", self.directory, "--keep-last", 2)
        self.assertEqual((done.returncode, done.stdout.split()), (0, [self.step(1), os.path.join(self.directory, "step-9.tmp-abc")]))
        self.assertEqual(sorted(name for name in os.listdir(self.directory) if not name.startswith(".")), ["step-2", "step-3"])

    def test_damaged_ones_do_not_count(self):
        self.imported(1, 2, 3)
        os.remove(os.path.join(self.step(3), "manifest.json"))
        self.assertEqual(ckpt("prune", self.directory, "--keep-last", 1).returncode, 0)
        self.assertEqual(ckpt("list", self.directory, "--output", "quiet").stdout.split(), [self.step(2)])

    def test_nothing_goes_while_a_job_writes(self):
        self.imported(1, 2)
        with open(os.path.join(self.directory, ".writer.json"), "w", encoding="utf-8") as file:
            json.dump({"schema": "mpitrain.writer/1", "token": "t", "job": "42", "attempt": 1, "host_name": "elsewhere",
                       "host": "another", "process": 1, "process_start": 1}, file)
        done = ckpt("prune", self.directory, "--keep-last", 1)
        self.assertFails(done, done.returncode, "elsewhere")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(ckpt("list", self.directory, "--output", "quiet").stdout.split()), 2)


class Export(Case):
    def test_never_overwrites_and_leaves_nothing_half_done(self):
        self.imported(1)
        out = self.write("out.safetensors", b"mine")
        self.assertFails(ckpt("export", self.directory, out), 2, out)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"mine")
        self.spoil(self.shard(1), 100000)
        for name in ("new.safetensors", "new.h5"):
            self.assertFails(ckpt("export", self.directory, self.path(name)), 2, "checksum")
            self.assertFalse(os.path.exists(self.path(name)))

    def test_the_format_is_that_of_the_ending_or_as_said(self):
        self.imported(1)
        self.assertFails(ckpt("export", self.directory, self.path("out")), 2, "--format")
        done = ckpt("export", self.directory, self.path("out"), "--format", "safetensors", "--output", "json")
        told = json.loads(done.stdout)
        self.assertEqual((told["step"], told["bytes"], told["file"]), (1, os.path.getsize(self.path("out")), self.path("out")))
        self.assertEqual(parse(self.path("out"))[0], self.large(1))
        self.assertEqual(ckpt("export", self.directory, self.path("out.h5")).returncode, 0)
        with open(self.path("out.h5"), "rb") as file:
            self.assertEqual(file.read(8), b"\x89HDF\r\n\x1a\n")


class Words(Case):
    def test_every_verb_has_help_with_an_example(self):
        overview = ckpt("--help")
        self.assertEqual((overview.returncode, overview.stderr), (0, ""))
        for verb in ("list", "show", "verify", "diff", "prune", "export", "import"):
            self.assertIn(f"  {verb}", overview.stdout)
            told = ckpt(verb, "--help")
            self.assertEqual((told.returncode, told.stderr), (0, ""))
            self.assertIn(f"mpitrain ckpt {verb} ", told.stdout)

    def test_unknown_words_are_usage_errors(self):
        self.assertFails(ckpt(), 2, "--help")
        self.assertFails(ckpt("fold", self.root), 2, "fold")
        self.assertFails(ckpt("list", "--fold", self.root), 2, "--fold")


if __name__ == "__main__":
    unittest.main()
