"""Tests of mpitrain.checkpoint against the real library, the ckpt tool, and HDF5's own tools where they are."""

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What a run is about may be more: that of the frameworks' Python, which tests/pytorch/install makes.
FRAMEWORKS = os.environ.get("MPITRAIN_TEST_NEEDS", "").split()
NEEDED = [name for name in ("numpy", *FRAMEWORKS) if importlib.util.find_spec(name) is None]
if NEEDED:
    mend = "run tests/pytorch/install" if FRAMEWORKS else "install python3-numpy"
    if os.environ.get("MPITRAIN_REQUIRE_ALL") == "1" and not FRAMEWORKS:
        raise SystemExit(f"missing: {NEEDED}; {mend}")
    print(f"SKIPPED: {sys.executable} has no {NEEDED}; {mend}")
    raise SystemExit(77)

import numpy  # noqa: E402  pylint: disable=wrong-import-position

import mpitrain  # noqa: E402  pylint: disable=wrong-import-position
from mpitrain import _buffers  # noqa: E402  pylint: disable=wrong-import-position
from mpitrain.checkpoint import (  # noqa: E402  pylint: disable=wrong-import-position
    CheckpointError, Checkpointer, Shard, import_safetensors, last_commit, open_commit)

CKPT = os.environ.get("MPITRAIN_CKPT", "")


def has(module):
    return importlib.util.find_spec(module) is not None


def ckpt(*words):
    return subprocess.run([CKPT, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root, True)
        self.directory = os.path.join(self.root, "checkpoints")
        self.random = numpy.random.default_rng(1)

    def tensors(self, step=1):
        return {
            "layer/w": self.random.standard_normal((300, 200)).astype("float32"),
            "layer/bias": numpy.arange(5, dtype="float64") + step,
            "count": numpy.array(step, dtype="int64"),
            "mask": numpy.array([True, False, True]),
            "half": self.random.standard_normal(50_000).astype("float16"),
        }

    def saved(self, steps=(1,)):
        made = {}
        with Checkpointer(self.directory, keep_last=0) as checkpoints:
            for step in steps:
                made[step] = self.tensors(step)
                checkpoints.save(step, made[step], attributes={"loss": 0.25 / step, "note": "a"})
        return made

    def shard(self, step=1):
        path = os.path.join(self.directory, f"step-{step}")
        return os.path.join(path, next(name for name in os.listdir(path) if name.startswith("shard-")))

    def place_of_w(self, step):
        with open(os.path.join(self.directory, f"step-{step}", "manifest.json"), encoding="utf-8") as file:
            tensors = json.load(file)["tensors"]
        return next(tensor for tensor in tensors if tensor["name"] == "layer/w")["blocks"][0]["at"] + 5

    def spoil(self, path, at=None):
        with open(path, "r+b") as file:
            at = os.path.getsize(path) // 2 if at is None else at
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 4]))


class Saving(Case):
    def test_what_is_loaded_is_what_was_saved(self):
        made = self.saved()[1]
        with Checkpointer(self.directory) as checkpoints:
            restored = checkpoints.load()
        self.assertEqual(restored.step, 1)
        self.assertEqual(restored.attributes, {"loss": 0.25, "note": "a"})
        self.assertEqual(set(restored.tensors), set(made))
        for name, array in made.items():
            self.assertEqual(restored.tensors[name].dtype, array.dtype)
            numpy.testing.assert_array_equal(restored.tensors[name], array)

    def test_nothing_there_is_none(self):
        with Checkpointer(self.directory) as checkpoints:
            self.assertIsNone(checkpoints.load())
            self.assertIsNone(checkpoints.load_state())

    def test_saves_behind_the_training(self):
        made = self.tensors()
        kept = made["layer/w"].copy()
        with Checkpointer(self.directory) as checkpoints:
            self.assertIs(checkpoints.save(1, made, wait=False), True)
            made["layer/w"][:] = 0
            self.assertIsNone(checkpoints.wait())
            commit = checkpoints.poll()
            self.assertEqual(commit["step"], 1)
            self.assertIsNone(checkpoints.poll())
            numpy.testing.assert_array_equal(checkpoints.load().tensors["layer/w"], kept)

    def test_fills_arrays_and_parts_in_place(self):
        made = self.saved()[1]
        whole = numpy.zeros((300, 200), "float32")
        part = numpy.zeros((7, 200), "float32")
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.load({"layer/w": whole})
            checkpoints.load({"layer/w": Shard(part, (300, 200), (11, 0))})
            with self.assertRaises(CheckpointError) as raised:
                checkpoints.load({"layer/w": numpy.zeros(3, "float32")})
        numpy.testing.assert_array_equal(whole, made["layer/w"])
        numpy.testing.assert_array_equal(part, made["layer/w"][11:18])
        self.assertEqual(raised.exception.code, "invalid_argument")
        self.assertIn("layer/w", str(raised.exception))

    def test_a_nested_state_comes_back(self):
        state = {"model": {"w": self.tensors()["layer/w"]},
                 "optimizer": {"state": {0: {"step": 7, "m": numpy.ones(3)}, 1: {"step": 7.5, "m": numpy.zeros(3)}},
                               "groups": [{"lr": 0.1, "names": ("a", None, True)}]}}
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.save_state(3, state)
            back = checkpoints.load_state().state
            with self.assertRaises(TypeError):
                checkpoints.save_state(4, {"f": print})
        numpy.testing.assert_array_equal(back["model"].pop("w"), state["model"].pop("w"))
        for number in (0, 1):
            numpy.testing.assert_array_equal(back["optimizer"]["state"][number].pop("m"),
                                             state["optimizer"]["state"][number].pop("m"))
        self.assertEqual(back, state)

    @unittest.skipUnless(has("torch"), "no torch")
    def test_torch_states_come_back(self):
        import torch  # pylint: disable=import-outside-toplevel
        model = torch.nn.Linear(30, 20)
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(30)).sum().backward()
        optimizer.step()
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "b": torch.ones(9).to(torch.bfloat16),
                 "rng": torch.get_rng_state(), "epoch": 3, "loss": 0.125, "note": None}
        drawn = torch.randn(5)
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.save_state(1, state)
            back = checkpoints.load_state().state
        fresh = torch.nn.Linear(30, 20)
        fresh.load_state_dict(back["model"])
        torch.optim.Adam(fresh.parameters()).load_state_dict(back["optimizer"])
        self.assertTrue(torch.equal(fresh.weight, model.weight))
        self.assertTrue(torch.equal(back["b"], state["b"]))
        self.assertEqual((back["epoch"], back["loss"], back["note"]), (3, 0.125, None))
        torch.set_rng_state(back["rng"])
        self.assertTrue(torch.equal(torch.randn(5), drawn))

    @unittest.skipUnless(_buffers.ml_dtypes, "no ml_dtypes")
    def test_small_floats_are_those_of_ml_dtypes(self):
        ml_dtypes = _buffers.ml_dtypes
        made = {name: numpy.arange(8).astype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e5m2", "float8_e4m3fn")}
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.save(1, made)
            back = checkpoints.load().tensors
        for name, array in made.items():
            self.assertEqual(back[name].dtype, array.dtype)
            numpy.testing.assert_array_equal(back[name].view("uint8"), array.view("uint8"))

    def test_the_newest_good_commit_is_loaded(self):
        made = self.saved((1, 2))
        self.spoil(self.shard(2), self.place_of_w(2))
        with Checkpointer(self.directory) as checkpoints:
            restored = checkpoints.load()
        self.assertEqual(restored.step, 1)
        self.assertIn("step 2", restored.warnings[0])
        numpy.testing.assert_array_equal(restored.tensors["layer/w"], made[1]["layer/w"])

    @unittest.skipUnless(shutil.which("mpirun"), "no mpirun")
    def test_ranks_save_together_and_end_well(self):
        program = os.path.join(self.root, "program.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write("import numpy, sys\n"
                       "from mpitrain.checkpoint import Checkpointer, Shard\n"
                       "with Checkpointer(sys.argv[1]) as checkpoints:\n"
                       "    mine = numpy.full((1, 5), checkpoints.rank, 'float32')\n"
                       "    shape = (checkpoints.size, 5)\n"
                       "    checkpoints.save(1, {'w': Shard(mine, shape, (checkpoints.rank, 0))})\n"
                       "assert checkpoints.rank != len(sys.argv) - 3, 'as asked'\n")
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

        def ranks(*words):
            return subprocess.run(["mpirun", "-n", "2", "--oversubscribe", "--allow-run-as-root", sys.executable, program,
                                   self.directory, *words], capture_output=True, text=True, timeout=60, check=False,
                                  env={**os.environ, "PYTHONPATH": root})
        done = ranks()
        self.assertEqual(done.returncode, 0, done.stderr)
        with open_commit(self.directory) as commit:
            numpy.testing.assert_array_equal(commit["w"][:, 0], [0, 1])
        # One that fails does not wait in MPI's end for the other, which is stopped.
        shutil.rmtree(self.directory)
        done = ranks("fail")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("as asked", done.stderr)

    def test_a_lost_manifest_is_told(self):
        self.saved((1, 2))
        os.remove(os.path.join(self.directory, "step-2", "manifest.json"))
        with Checkpointer(self.directory) as checkpoints:
            restored = checkpoints.load()
        self.assertEqual(restored.step, 1)
        self.assertEqual(len(restored.warnings), 1)
        self.assertIn("step-2", restored.warnings[0])

    def test_saves_by_way_of_the_node(self):
        made = self.tensors()
        local = os.path.join(self.root, "local")
        with Checkpointer(self.directory, local_directory=local) as checkpoints:
            saved = checkpoints.save(1, made)
            self.assertTrue(saved["path"].startswith(local), saved)
            checkpoints.wait()
            drained = checkpoints.poll()
            self.assertEqual(drained["path"], os.path.join(self.directory, "step-1"))
            numpy.testing.assert_array_equal(checkpoints.load().tensors["layer/w"], made["layer/w"])

    def test_the_bracket_of_the_client_still_works(self):
        with mpitrain.checkpoint(5):
            pass


class Looking(Case):
    def test_indexes_like_an_array(self):
        made = self.saved()[1]
        with open_commit(self.directory) as commit:
            self.assertEqual(commit.step, 1)
            self.assertEqual(commit.attrs["loss"], 0.25)
            self.assertEqual(set(commit), set(made))
            self.assertIn("count", commit)
            self.assertEqual(commit["count"][()], 1)
            w, real = commit["layer/w"], made["layer/w"]
            self.assertEqual((w.shape, w.ndim, len(w), w.size), (real.shape, 2, 300, real.size))
            for key in (slice(10, 20), (slice(None), 3), (5, 7), -1, Ellipsis, (Ellipsis, 2), slice(None, None, -7),
                        slice(250, 5, -3), (slice(1, 100, 13), slice(199, None, -50)), slice(5, 5)):
                numpy.testing.assert_array_equal(w[key], real[key], err_msg=str(key))
            numpy.testing.assert_array_equal(numpy.asarray(w), real)
            with self.assertRaises(IndexError):
                w[300]  # pylint: disable=pointless-statement
            with self.assertRaises(IndexError):
                w[1, 2, 3]  # pylint: disable=pointless-statement

    def test_wrong_bytes_are_never_shown(self):
        self.saved()
        self.spoil(self.shard(), self.place_of_w(1))
        with open_commit(self.directory) as commit:
            with self.assertRaises(CheckpointError) as raised:
                commit["layer/w"][0]  # pylint: disable=expression-not-assigned
        self.assertEqual(raised.exception.code, "data_loss")

    def test_nothing_to_look_at_is_an_error(self):
        with self.assertRaises(CheckpointError):
            open_commit(self.root)
        self.assertIsNone(last_commit(self.root))


@unittest.skipUnless(has("h5py"), "no h5py")
class Interop(Case):
    """Whole tensors by h5py from the view, with nothing of ours, also after a move; never another step's numbers."""

    def read(self, path):
        import h5py  # pylint: disable=import-outside-toplevel
        with h5py.File(path, "r") as file:
            return {name: file[name][()] for name in ("layer/w", "layer/bias", "count", "mask", "half")}, dict(file.attrs)

    def test_h5py_reads_whole_tensors_after_a_move(self):
        made = self.saved()[1]
        moved = os.path.join(self.root, "elsewhere")
        shutil.move(os.path.join(self.directory, "step-1"), moved)
        found, attributes = self.read(os.path.join(moved, "checkpoint.h5"))
        for name, array in made.items():
            numpy.testing.assert_array_equal(found[name].reshape(array.shape), array, err_msg=name)
        self.assertEqual((attributes["loss"], attributes["mpt.step"]), (0.25, 1))

    def test_a_missing_or_cut_shard_is_nan_or_an_error(self):
        self.saved((1, 2))
        view = os.path.join(self.directory, "step-2", "checkpoint.h5")
        shard = self.shard(2)
        # HDF5 looks for a missing source in the working directory: the other step's files are there.
        work = os.path.join(self.root, "work")
        os.mkdir(work)
        shutil.copy(self.shard(1), work)
        before = os.getcwd()
        os.chdir(work)
        self.addCleanup(os.chdir, before)
        os.rename(shard, shard + ".away")
        found, _ = self.read(view)
        self.assertTrue(numpy.isnan(found["layer/w"]).all())
        self.assertTrue((found["count"] == numpy.iinfo("int64").min).all())
        shutil.copy(shard + ".away", shard)
        os.truncate(shard, 5000)
        try:
            found, _ = self.read(view)
            self.assertTrue(numpy.isnan(found["layer/w"]).all())
        except OSError:
            pass

    def test_a_read_only_directory_can_be_read(self):
        made = self.saved()[1]
        step = os.path.join(self.directory, "step-1")
        for name in os.listdir(step):
            os.chmod(os.path.join(step, name), 0o444)
        os.chmod(step, 0o555)
        self.addCleanup(os.chmod, step, 0o755)
        found, _ = self.read(os.path.join(step, "checkpoint.h5"))
        numpy.testing.assert_array_equal(found["layer/w"], made["layer/w"])
        with open_commit(step) as commit:
            numpy.testing.assert_array_equal(commit["layer/w"][()], made["layer/w"])

    def test_a_file_of_that_name_in_the_working_directory_is_not_taken(self):
        made = self.saved((1, 2))
        work = os.path.join(self.root, "work")
        os.mkdir(work)
        shutil.copy(self.shard(1), os.path.join(work, os.path.basename(self.shard(2))))
        before = os.getcwd()
        os.chdir(work)
        self.addCleanup(os.chdir, before)
        found, _ = self.read(os.path.join(self.directory, "step-2", "checkpoint.h5"))
        numpy.testing.assert_array_equal(found["layer/w"], made[2]["layer/w"])

    @unittest.skipUnless(has("pandas"), "no pandas")
    def test_pandas_takes_what_h5py_reads(self):
        import h5py  # pylint: disable=import-outside-toplevel
        import pandas  # pylint: disable=import-outside-toplevel
        made = self.saved()[1]
        with h5py.File(os.path.join(self.directory, "step-1", "checkpoint.h5"), "r") as file:
            frame = pandas.DataFrame(file["layer/w"][:])
        numpy.testing.assert_array_equal(frame.to_numpy(), made["layer/w"])

    @unittest.skipUnless(_buffers.ml_dtypes, "no ml_dtypes")
    def test_small_floats_read_as_right_numbers(self):
        import h5py  # pylint: disable=import-outside-toplevel
        ml_dtypes = _buffers.ml_dtypes
        numbers = numpy.linspace(-3, 3, 40_000)
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.save(1, {name: numbers.astype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e5m2")})
        with h5py.File(os.path.join(self.directory, "step-1", "checkpoint.h5"), "r") as file:
            for name in ("bfloat16", "float8_e5m2"):
                wanted = numbers.astype(getattr(ml_dtypes, name)).astype("float32")
                numpy.testing.assert_array_equal(file[name][()].astype("float32"), wanted)

    @unittest.skipUnless(shutil.which("h5dump") and shutil.which("h5diff"), "no hdf5-tools")
    def test_h5dump_shows_no_other_steps_numbers_for_a_lost_shard(self):
        self.saved((1, 2))
        view = os.path.join(self.directory, "step-2", "checkpoint.h5")
        work = os.path.join(self.root, "work")
        os.mkdir(work)
        shutil.copy(self.shard(1), work)
        lost = self.shard(2)
        for damage in ("missing", "cut"):
            if damage == "missing":
                os.rename(lost, lost + ".away")
            else:
                shutil.copy(lost + ".away", lost)
                os.truncate(lost, 3000)
            done = subprocess.run(["h5dump", "-d", "/layer/bias", view], capture_output=True, text=True, check=False, cwd=work)
            self.assertNotIn("2, 3, 4", done.stdout, damage)
            self.assertTrue("nan" in done.stdout.lower() or done.returncode != 0, (damage, done.stdout))

    @unittest.skipUnless(shutil.which("h5dump") and shutil.which("h5diff"), "no hdf5-tools")
    def test_h5dump_and_h5diff_agree(self):
        self.saved((1, 2))
        one, two = (os.path.join(self.directory, f"step-{step}", "checkpoint.h5") for step in (1, 2))
        dump = subprocess.run(["h5dump", "-d", "/layer/bias", one], capture_output=True, text=True, check=True).stdout
        self.assertIn("1, 2, 3, 4, 5", dump)
        copy = os.path.join(self.root, "copy")
        shutil.copytree(os.path.join(self.directory, "step-1"), copy)
        same = subprocess.run(["h5diff", one, os.path.join(copy, "checkpoint.h5")], capture_output=True, check=False)
        self.assertEqual(same.returncode, 0, same.stdout + same.stderr)
        other = subprocess.run(["h5diff", one, two, "/layer/bias", "/layer/bias"], capture_output=True, check=False)
        self.assertEqual(other.returncode, 1)


class Tool(Case):
    """`mpitrain ckpt`, from outside."""

    def setUp(self):
        super().setUp()
        if not CKPT:
            self.skipTest("MPITRAIN_CKPT names no tool")

    def test_list_and_show_tell_what_is_there(self):
        self.saved((1, 5))
        listed = ckpt("list", self.directory, "--output", "quiet").stdout.split()
        self.assertEqual([os.path.basename(path) for path in listed], ["step-5", "step-1"])
        shown = json.loads(ckpt("show", self.directory, "--output", "json").stdout)
        self.assertEqual((shown["schema"], shown["step"], shown["world_size"], shown["complete"]),
                         ("mpitrain.ckpt/1", 5, 1, True))
        w = next(tensor for tensor in shown["tensors"] if tensor["name"] == "layer/w")
        self.assertEqual((w["dtype"], w["shape"]), ("float32", [300, 200]))

    def test_verify_finds_a_flipped_bit(self):
        self.saved()
        good = ckpt("verify", self.directory, "--output", "json")
        self.assertEqual((good.returncode, json.loads(good.stdout)["ok"]), (0, True))
        self.spoil(self.shard())
        bad = ckpt("verify", self.directory, "--output", "json")
        self.assertNotEqual(bad.returncode, 0)
        found = json.loads(bad.stdout)
        self.assertFalse(found["ok"])
        self.assertTrue(found["bad"][0]["reason"])

    def test_diff_tells_equal_from_different(self):
        self.saved((1, 2))
        shutil.copytree(os.path.join(self.directory, "step-1"), os.path.join(self.root, "copy"))
        one, two, copy = os.path.join(self.directory, "step-1"), os.path.join(self.directory, "step-2"), os.path.join(self.root, "copy")
        self.assertEqual(ckpt("diff", one, copy).returncode, 0)
        different = ckpt("diff", one, two)
        self.assertEqual(different.returncode, 1)
        self.assertIn("layer/w", different.stdout)

    def test_prune_keeps_the_last_and_never_the_only_good_one(self):
        self.saved((1, 2, 3))
        self.assertEqual(ckpt("prune", self.directory, "--keep-last", 1).returncode, 0)
        self.assertEqual([name for name in sorted(os.listdir(self.directory)) if name.startswith("step")], ["step-3"])

    def test_errors_name_the_place(self):
        missing = ckpt("show", os.path.join(self.root, "nowhere"))
        self.assertNotEqual(missing.returncode, 0)
        self.assertIn("nowhere", missing.stderr)
        self.assertEqual(ckpt("fold", self.root).returncode, 2)

    @unittest.skipUnless(has("h5py"), "no h5py")
    def test_export_makes_one_plain_hdf5_file(self):
        import h5py  # pylint: disable=import-outside-toplevel
        made = self.saved()[1]
        file = os.path.join(self.root, "out.h5")
        self.assertEqual(ckpt("export", self.directory, file).returncode, 0)
        shutil.rmtree(self.directory)
        with h5py.File(file, "r") as exported:
            for name, array in made.items():
                numpy.testing.assert_array_equal(exported[name][()], array)

    def test_safetensors_go_out_and_come_in_bit_for_bit(self):
        made = self.saved()[1]
        file = os.path.join(self.root, "out.safetensors")
        self.assertEqual(ckpt("export", self.directory, file).returncode, 0)
        self.assertNotEqual(ckpt("export", self.directory, file).returncode, 0)  # never overwrites
        if has("safetensors"):
            from safetensors.numpy import load_file  # pylint: disable=import-outside-toplevel
            for name, array in load_file(file).items():
                numpy.testing.assert_array_equal(array, made[name])
        other = os.path.join(self.root, "imported")
        import_safetensors(file, other, step=9)
        with open_commit(other) as commit:
            self.assertEqual((commit.step, set(commit)), (9, set(made)))
            for name, array in made.items():
                numpy.testing.assert_array_equal(commit[name][()], array)

    @unittest.skipUnless(has("safetensors") and has("torch") and _buffers.ml_dtypes, "no safetensors, torch or ml_dtypes")
    def test_the_safetensors_package_reads_every_type_bit_for_bit(self):
        import torch  # pylint: disable=import-outside-toplevel
        from safetensors import safe_open  # pylint: disable=import-outside-toplevel
        from safetensors.torch import save_file  # pylint: disable=import-outside-toplevel
        bits = torch.randint(-30000, 30000, (300, 100), dtype=torch.int16)
        made = {"f32": torch.randn(40, 50), "f64": torch.randn(7).double(), "f16": torch.randn(900).half(),
                "bf16": bits.view(torch.bfloat16), "i64": torch.arange(3), "u8": torch.arange(9, dtype=torch.uint8),
                "bool": torch.tensor([True, False]), "scalar": torch.tensor(2.5)}
        with Checkpointer(self.directory) as checkpoints:
            checkpoints.save(4, made)
        file = os.path.join(self.root, "out.safetensors")
        self.assertEqual(ckpt("export", self.directory, file).returncode, 0)
        with safe_open(file, framework="pt") as opened:
            self.assertEqual(opened.metadata()["step"], "4")
            self.assertEqual(set(opened.keys()), set(made))
            for name, tensor in made.items():
                got = opened.get_tensor(name)
                self.assertEqual((got.dtype, got.shape), (tensor.dtype, tensor.shape))
                self.assertEqual(got.reshape(-1).view(torch.uint8).tolist() if got.dtype != torch.bool else got.tolist(),
                                 tensor.reshape(-1).view(torch.uint8).tolist() if tensor.dtype != torch.bool else tensor.tolist())
        theirs = os.path.join(self.root, "theirs.safetensors")
        save_file(made, theirs, {"format": "pt"})
        other = os.path.join(self.root, "other")
        self.assertEqual(ckpt("import", theirs, other).returncode, 0)
        self.assertEqual(ckpt("diff", other, self.directory).returncode, 0)
        with open_commit(other) as commit:
            self.assertEqual(commit["bf16"][()].tobytes(), bits.numpy().tobytes())

    def test_a_broken_safetensors_file_is_refused(self):
        file = os.path.join(self.root, "bad.safetensors")
        for content in (b"", b"12345678", struct.pack("<Q", 10**12) + b"{}",
                        struct.pack("<Q", 64) + b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'.ljust(64),
                        struct.pack("<Q", 64) + b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64) + bytes(5),
                        struct.pack("<Q", 64) + b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'.ljust(64) + bytes(8),
                        struct.pack("<Q", 64) + b'{"w":{"dtype":"U8","shape":[-1,-4],"data_offsets":[0,4]}}'.ljust(64) + bytes(4),
                        struct.pack("<Q", 128) + (b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                                                  b'"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}').ljust(128) + bytes(8)):
            with open(file, "wb") as out:
                out.write(content)
            with self.assertRaises((CheckpointError, ValueError)):
                import_safetensors(file, os.path.join(self.root, "imported"))


if __name__ == "__main__":
    unittest.main()
