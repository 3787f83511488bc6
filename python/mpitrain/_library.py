"""Finds and loads libmpitrain_client.so, once: where the launcher says, beside this package, on the loader's path."""

import ctypes
import functools
import os
from ctypes import c_char_p, c_double, c_int, c_int64, c_uint64

_NAME = "libmpitrain_client.so"


def _declare(library):
    declare = {
        "mpitrain_progress": (None, c_uint64, c_uint64, ctypes.POINTER(c_char_p), ctypes.POINTER(c_double), c_int),
        "mpitrain_should_stop": (c_int, c_uint64),
        "mpitrain_checkpoint_started": (None,),
        "mpitrain_checkpoint_committed": (None, c_uint64),
        "mpitrain_checkpoint_failed": (None, c_uint64, c_char_p),
        "mpitrain_stop_time_left_ms": (c_int64,),
    }
    for name, (result, *arguments) in declare.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


@functools.lru_cache(maxsize=None)
def load():
    """The library, or None where there is none: then there is no mpitrain to talk to."""
    named = environment("MPITRAIN_CLIENT_LIBRARY")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), _NAME)
    for path in (named, beside, _NAME):
        if path is None:
            continue
        try:
            return _declare(ctypes.CDLL(path))
        except (OSError, AttributeError):  # absent, of another machine, or another library of that name
            continue
    return None


def environment(name):
    return os.environ.get(name) or None


load()  # At import, so that the agent knows early that this program can be asked to stop.
