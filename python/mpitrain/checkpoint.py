"""Checkpoints of mpitrain for Python: saved and loaded at the speed of the disk, whole or invisible, by any number of ranks.

    from mpitrain.checkpoint import Checkpointer, open_commit

    with Checkpointer("checkpoints") as checkpoints:
        restored = checkpoints.load_state()                     # None: a fresh start
        ...
        checkpoints.save_state(step, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, wait=False)
        ...
        checkpoints.poll()                                      # at every step

    with open_commit("checkpoints/step-100") as commit:         # to look at one, as with h5py
        commit.attrs["loss"], list(commit), commit["layer/w"].shape, commit["layer/w"][10:20]

Tensors are numpy arrays or torch tensors. torch is not needed; bfloat16 and 8-bit floats are those of ml_dtypes where it is
there, else the integers of their bits.
"""

import contextlib
import json
import math
import os
import re
import sys
import types
from dataclasses import dataclass, field

import numpy

from . import _buffers, _state, checkpoint_failed, stop_time_left
from ._checkpoint_library import CheckpointError, Library

__all__ = ["CheckpointError", "Checkpointer", "Commit", "Restored", "Shard", "import_safetensors", "last_commit", "open_commit"]

_STRUCTURE = "mpt.structure"


@contextlib.contextmanager
def _failure_told(step):
    """Lets the launcher know of a save that fails."""
    try:
        yield
    except CheckpointError as error:
        checkpoint_failed(step or 0, error)
        raise


@dataclass
class Shard:
    """A part of a tensor: this rank's block of a tensor of `shape`, from `offset` on."""

    data: object
    shape: tuple
    offset: tuple


@dataclass
class Restored:
    """What came back: `tensors` by name, `blobs` by name (a dict by rank where each rank kept its own)."""

    step: int
    path: str
    world_size: int
    attributes: dict
    tensors: dict
    blobs: dict
    warnings: list = field(default_factory=list)
    state: object = None


class Checkpointer:
    """Saves and loads in one directory. With `mpi` all ranks of MPI_COMM_WORLD together: every call but poll() is collective.

    By default `mpi` is true where the launcher says that there are several ranks.
    """

    def __init__(self, directory, *, mpi=None, **options):
        if mpi is None:
            mpi = int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1")) > 1
        self._directory = os.fspath(directory)
        self._library = Library({"directory": self._directory, "mpi": mpi, **options})
        world = self._library.world()
        self.rank, self.size = world["rank"], world["size"]
        self._behind = None  # the step that is being saved behind the training

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._behind = None  # what ends the program counts
        self.close()

    def close(self):
        """Waits for a save behind the training, and gives the directory back. Raises what went wrong with that save, where poll()
        has not told it."""
        try:
            if self._behind is not None:
                self.wait()
                self.poll()
        finally:
            self._library.close()

    def save(self, step, tensors, *, attributes=None, blobs=None, wait=True, time_left=None):
        """Commits arrays, tensors and Shards by name. With `wait` false the state is copied and saved behind the training: True,
        or False where the one before is not yet done and this one was skipped.

        `time_left`, in seconds, is how long a save that is waited for may take: one that is known to take longer fails at once.
        After should_stop() it is what mpitrain leaves the program. The launcher is told of a save that fails."""
        if time_left is None and wait:
            time_left = stop_time_left()
        specs, keep, addresses = [], [], []
        for name, value in tensors.items():
            part = value if isinstance(value, Shard) else None
            array, address, dtype, shape = _buffers.to_save(part.data if part else value)
            spec = {"name": name, "dtype": dtype, "shape": list(part.shape) if part else shape}
            if part:
                spec.update(offset=list(part.offset), extent=shape)
            specs.append(spec)
            keep.append(array)
            addresses.append(address)
        what = {"tensors": specs, "attributes": attributes or {}, "blobs": []}
        if time_left is not None:
            what["time_left_ms"] = int(time_left * 1000)
        blob_addresses = []
        for name, value in (blobs or {}).items():
            array = numpy.frombuffer(bytes(value), dtype=numpy.uint8)
            what["blobs"].append({"name": name, "bytes": len(array), "global": name == _STRUCTURE})
            keep.append(array)
            blob_addresses.append(array.ctypes.data)
        with _failure_told(step):
            answer = self._library.save(step, what, addresses, blob_addresses, not wait)
        if wait:
            return answer
        if answer["started"]:
            self._behind = step
        return answer["started"]

    def save_state(self, step, state, **options):
        """save() of a nested state, such as {"model": model.state_dict(), "optimizer": optimizer.state_dict()}."""
        tensors, structure = _state.flatten(state)
        blobs = {**options.pop("blobs", {}), _STRUCTURE: structure.encode()}
        return self.save(step, tensors, blobs=blobs, **options)

    def poll(self):
        """The commit of a save behind the training that has ended, once; None while there is none. Raises what went wrong."""
        step = self._behind
        try:
            with _failure_told(step):
                commit = self._library.poll()
        except CheckpointError:
            self._behind = None
            raise
        if commit is not None:
            self._behind = None
        return commit

    def wait(self, seconds=600.0):
        self._library.wait(seconds)

    def load(self, into=None, *, path=None):
        """From the commit at `path`, or the newest that is whole; None where there is none.

        `into`: arrays, tensors or Shards by name, filled in place; without it every tensor comes whole, as a new array."""
        if into is None:
            return self._load_whole(path)
        specs, addresses = [], []
        for name, value in into.items():
            part = value if isinstance(value, Shard) else None
            address, dtype, shape = _buffers.into(part.data if part else value)
            spec = {"name": name, "dtype": dtype, "shape": list(part.shape) if part else shape}
            if part:
                spec.update(offset=list(part.offset), extent=shape)
            specs.append(spec)
            addresses.append(address)
        answer = self._library.load(path and os.fspath(path), specs, addresses)
        return answer and _restored(answer, into)

    def _load_whole(self, path):
        newest = self._library.load(path and os.fspath(path), [], [])
        if newest is None:
            return None
        if path is not None:
            return self._load_all_of(newest["path"])
        # The newest whose manifest is right may hold wrong bytes, which show only now. All ranks fail alike. What was passed over
        # on the way to it has been told once.
        skipped = [text for text in newest["warnings"] if text.startswith("skipped ")]
        for step in sorted((step for step in _steps(self._directory) if step <= newest["step"]), reverse=True):
            try:
                restored = self._load_all_of(os.path.join(self._directory, f"step-{step}"))
            except CheckpointError as error:
                if error.code not in ("data_loss", "io"):
                    raise
                skipped.append(f"skipped step {step}: {error}")
                continue
            restored.warnings[:0] = skipped
            return restored
        raise CheckpointError("all commits are damaged; " + "; ".join(skipped), "data_loss")

    def _load_all_of(self, path):
        tensors = _read_manifest(path)["tensors"]
        arrays = {tensor["name"]: numpy.empty(tensor["shape"], _buffers.numpy_dtype(tensor["dtype"])) for tensor in tensors}
        specs = [{key: tensor[key] for key in ("name", "dtype", "shape")} for tensor in tensors]
        return _restored(self._library.load(path, specs, [arrays[spec["name"]].ctypes.data for spec in specs]), arrays)

    def load_state(self, *, path=None):
        """What save_state() saved, as `state` of the answer; torch's tensors are torch's again."""
        restored = self.load(path=path)
        if restored is None:
            return None
        text = restored.blobs.get(_STRUCTURE)
        if text is None:
            raise CheckpointError(f"{restored.path} was not saved by save_state()", "invalid_argument")
        was_torch = _state.names(text)
        tensors = dict(restored.tensors)
        if any(was_torch.values()):
            import torch  # noqa: F401  pylint: disable=import-outside-toplevel,unused-import
            dtypes = {tensor["name"]: tensor["dtype"] for tensor in _read_manifest(restored.path)["tensors"]}
            tensors = {name: _buffers.to_torch(array, dtypes[name]) if was_torch.get(name) else array
                       for name, array in tensors.items()}
        restored.state = _state.unflatten(text, tensors)
        return restored


def _restored(answer, tensors):
    blobs = {}
    for blob in answer["blobs"]:
        value = bytes.fromhex(blob["hex"])
        if blob["rank"] is None:
            blobs[blob["name"]] = value
        else:
            blobs.setdefault(blob["name"], {})[blob["rank"]] = value
    return Restored(answer["step"], answer["path"], answer["world_size"], answer["attributes"], tensors, blobs,
                    answer["warnings"])


def _read_manifest(path):
    try:
        with open(os.path.join(path, "manifest.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}", "data_loss") from error


def _steps(directory):
    return [int(match[1]) for match in map(re.compile(r"step-(0|[1-9]\d*)").fullmatch, os.listdir(directory)) if match]


def last_commit(directory):
    """The path of the newest step-<n> in `directory`, unread, or None."""
    steps = _steps(directory)
    return os.path.join(directory, f"step-{max(steps)}") if steps else None


class Tensor:
    """A tensor of a commit: nothing is read until it is indexed, and then only what is asked for."""

    def __init__(self, commit, entry):
        self._commit = commit
        self.name, self.dtype_name, self.shape = entry["name"], entry["dtype"], tuple(entry["shape"])
        self.dtype = _buffers.numpy_dtype(self.dtype_name)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return int(numpy.prod(self.shape, dtype=numpy.int64))

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None):
        return numpy.asarray(self[()], dtype)

    def __repr__(self):
        return f"<checkpoint tensor '{self.name}': shape {self.shape}, {self.dtype_name}>"

    def __getitem__(self, key):
        if key is Ellipsis:
            key = ()
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            key = key[:at] + (slice(None),) * (self.ndim - len(key) + 1) + key[at + 1:]
        if len(key) > self.ndim:
            raise IndexError(f"{len(key)} indices for {self.ndim} dimensions")
        key += (slice(None),) * (self.ndim - len(key))
        offset, extent, inner = [], [], []
        for one, length in zip(key, self.shape):
            start, count, within = _span(one, length)
            offset.append(start)
            extent.append(count)
            inner.append(within)
        array = numpy.empty(extent, self.dtype)
        if array.size:
            self._commit.read({"name": self.name, "dtype": self.dtype_name, "shape": list(self.shape), "offset": offset,
                               "extent": extent}, array)
        return array[tuple(inner)] if inner else array[()]


def _span(key, length):
    """(first, count, index within them) of an index or slice along a dimension."""
    if isinstance(key, slice):
        chosen = range(*key.indices(length))
        if not chosen:
            return 0, 0, slice(None)
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1])
        # A stop below zero would count from the end.
        within = slice(None, None, chosen.step) if chosen.step > 0 else slice(high - low, None, chosen.step)
        return low, high - low + 1, within
    index = key.__index__()
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range for {length}")
    return index % length, 1, 0


class Commit:
    """One commit to look at: tensors by name, `attrs`, `step`. Every byte that is read is checked."""

    def __init__(self, path):
        path = os.fspath(path)
        if not os.path.exists(os.path.join(path, "manifest.json")):
            path = last_commit(path) or path
        self.path = path
        self._library = Library({"directory": os.path.dirname(os.path.abspath(path)), "mpi": False})
        answer = self._library.load(path, [], [])  # checks the manifest and all files' lengths
        self.step, self.world_size, self.attrs = answer["step"], answer["world_size"], answer["attributes"]
        self.blobs = _restored(answer, {}).blobs
        self._tensors = {entry["name"]: Tensor(self, entry) for entry in _read_manifest(path)["tensors"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._library.close()

    def __getitem__(self, name):
        return self._tensors[name]

    def __iter__(self):
        return iter(self._tensors)

    def __len__(self):
        return len(self._tensors)

    def __contains__(self, name):
        return name in self._tensors

    def keys(self):
        return self._tensors.keys()

    def values(self):
        return self._tensors.values()

    def items(self):
        return self._tensors.items()

    def read(self, spec, array):
        self._library.load(self.path, [spec], [array.ctypes.data])


def open_commit(path):
    """A commit step-<n>, or the newest one of a checkpoint directory."""
    return Commit(path)


_SAFETENSORS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E5M2": "float8_e5m2",
                "F8_E4M3": "float8_e4m3fn", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64",
                "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool"}

_SAFETENSORS_HEADER_MAX = 100_000_000  # the format's own


def _without_repeats(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CheckpointError("a safetensors header names something twice", "data_loss")
    return found


def import_safetensors(file, directory, step=0):
    """Commits what a .safetensors file holds as `step` of a checkpoint directory; its metadata becomes attributes."""
    with open(file, "rb") as source:
        length = int.from_bytes(source.read(8), "little")
        size = os.fstat(source.fileno()).st_size
        if length > min(size - 8, _SAFETENSORS_HEADER_MAX):
            raise CheckpointError(f"{file} is no safetensors file, or a part of one", "invalid_argument")
        header = json.loads(source.read(length), object_pairs_hook=_without_repeats)
    attributes = header.pop("__metadata__", {})
    mapped = numpy.memmap(file, dtype=numpy.uint8, mode="r")[8 + length:] if size > 8 + length else numpy.empty(0, numpy.uint8)
    specs, views, at = [], [], 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] not in _SAFETENSORS:
            raise CheckpointError(f"{file}: '{name}' is of type {entry['dtype']}, which a checkpoint does not hold", "unsupported")
        begin, end = entry["data_offsets"]
        if begin != at or not begin <= end <= len(mapped):
            raise CheckpointError(f"{file}: '{name}' does not begin where the one before ends, or reaches beyond the file",
                                  "data_loss")
        at, dtype = end, _SAFETENSORS[entry["dtype"]]
        # Python's own integers: numpy's would wrap around.
        if any(not isinstance(n, int) or n < 0 for n in entry["shape"]) or \
                end - begin != math.prod(entry["shape"]) * _buffers.numpy_dtype(dtype).itemsize:
            raise CheckpointError(f"{file}: '{name}' has not as many bytes as its shape", "data_loss")
        specs.append({"name": name, "dtype": dtype, "shape": entry["shape"]})
        views.append(mapped[begin:end])
    if at != len(mapped):
        raise CheckpointError(f"{file}: {len(mapped) - at} bytes are no tensor's", "data_loss")
    library = Library({"directory": os.fspath(directory), "mpi": False, "keep_last": 0})
    try:
        what = {"tensors": specs, "attributes": attributes, "blobs": []}
        return library.save(step, what, [view.ctypes.data for view in views], [], False)
    finally:
        library.close()


class _Callable(types.ModuleType):
    """`with mpitrain.checkpoint(step):` brackets a save, also once this module has been imported."""

    def __call__(self, step):
        from . import _bracket  # pylint: disable=import-outside-toplevel
        return _bracket(step)


sys.modules[__name__].__class__ = _Callable
