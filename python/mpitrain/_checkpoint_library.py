"""libmpitrain_checkpoint.so by ctypes: texts of JSON and pointers in, values out, errors raised."""

import atexit
import ctypes
import functools
import json
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_uint64, c_void_p

_NAME = "libmpitrain_checkpoint.so"


class CheckpointError(RuntimeError):
    """What the library could not do; `code` names the kind of error, as "data_loss" or "not_found"."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


@functools.lru_cache(maxsize=None)
def _load():
    named = os.environ.get("MPITRAIN_CHECKPOINT_LIBRARY")
    client = os.environ.get("MPITRAIN_CLIENT_LIBRARY")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), _NAME)
    beside_client = os.path.join(os.path.dirname(client), _NAME) if client else None
    tried = []
    for path in (named, beside, beside_client, _NAME):
        if not path:
            continue
        try:
            # Global, since MPI loads parts of itself that look for it.
            library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            tried.append(str(error))
            continue
        answer = POINTER(c_void_p)
        for name, arguments in {
            "open": (c_char_p, POINTER(c_void_p), answer),
            "world": (c_void_p, answer),
            "save": (c_void_p, c_uint64, c_char_p, POINTER(c_void_p), POINTER(c_void_p), c_int, answer),
            "poll": (c_void_p, answer),
            "wait": (c_void_p, c_uint64, answer),
            "load": (c_void_p, c_char_p, c_char_p, POINTER(c_void_p), answer),
        }.items():
            function = getattr(library, "mpitrain_checkpointer_" + name)
            function.restype = c_int
            function.argtypes = arguments
        library.mpitrain_checkpointer_close.restype = None
        library.mpitrain_checkpointer_close.argtypes = (c_void_p,)
        library.mpitrain_checkpoint_end.restype = None
        library.mpitrain_checkpoint_end.argtypes = ()
        atexit.register(_end, library)
        library.mpitrain_checkpoint_free.restype = None
        library.mpitrain_checkpoint_free.argtypes = (c_void_p,)
        return library
    raise CheckpointError(f"{_NAME} is not found ({'; '.join(tried)}); set MPITRAIN_CHECKPOINT_LIBRARY", "not_found")


def _end(library):
    # A program that ends by an exception must not wait for the other ranks: mpirun ends them.
    if not hasattr(sys, "last_type"):
        library.mpitrain_checkpoint_end()


class Library:
    """One checkpointer of the library."""

    def __init__(self, options):
        self._library = _load()
        self._self = c_void_p()
        self._call("open", json.dumps(options).encode(), byref(self._self), bound=False)

    def _call(self, name, *arguments, bound=True):
        answer = c_void_p()
        own = (self._self,) if bound else ()
        code = getattr(self._library, "mpitrain_checkpointer_" + name)(*own, *arguments, byref(answer))
        text = ctypes.string_at(answer).decode() if answer else "null"
        self._library.mpitrain_checkpoint_free(answer)
        value = json.loads(text)
        if code != 0:
            raise CheckpointError(value["error"], value["code"])
        return value

    def close(self):
        if self._self:
            self._library.mpitrain_checkpointer_close(self._self)
            self._self = c_void_p()

    def world(self):
        return self._call("world")

    def save(self, step, what, tensors, blobs, behind):
        return self._call("save", step, json.dumps(what).encode(), _pointers(tensors), _pointers(blobs), int(behind))

    def poll(self):
        return self._call("poll")

    def wait(self, seconds):
        return self._call("wait", int(seconds * 1000))

    def load(self, path, specs, targets):
        return self._call("load", path.encode() if path else None, json.dumps(specs).encode(), _pointers(targets))


def _pointers(addresses):
    return (c_void_p * max(1, len(addresses)))(*addresses)
