"""Arrays and tensors as the library sees them: an address, a dtype's name, a shape.

numpy is needed; torch and ml_dtypes are used where the program has loaded them or has them.
"""

import sys

import numpy

try:
    import ml_dtypes
except ImportError:  # then types that numpy lacks are shown as the integers of their bits
    ml_dtypes = None

_NAMES = {name: name for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32",
                                  "uint16", "uint8", "bool")}
_TORCH_ONLY = {"bfloat16": ("bfloat16", "int16"), "float8_e5m2": ("float8_e5m2", "uint8"),
               "float8_e4m3fn": ("float8_e4m3fn", "uint8")}
_BITS = {"bfloat16": "uint16", "float8_e5m2": "uint8", "float8_e4m3fn": "uint8"}


def is_torch(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_buffer(value):
    return isinstance(value, (numpy.ndarray, numpy.generic)) or is_torch(value)


def numpy_dtype(name):
    """numpy's dtype for a dtype of the format: that of ml_dtypes, or its bits, where numpy has none."""
    if name in _NAMES:
        return numpy.dtype(name)
    return numpy.dtype(getattr(ml_dtypes, name)) if ml_dtypes is not None else numpy.dtype(_BITS[name])


def to_save(value):
    """(array to keep alive, address, dtype's name, shape) of a tensor or array, contiguous and on the host."""
    if is_torch(value):
        array, name = _from_torch(value.detach().to("cpu").contiguous())
    else:
        array = numpy.asarray(value)
        array = array if array.flags.c_contiguous else numpy.ascontiguousarray(array)
        array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        name = array.dtype.name
    if name not in _NAMES and name not in _BITS:
        raise TypeError(f"a checkpoint holds no {name}")
    return array, array.ctypes.data, name, list(array.shape)


def _from_torch(tensor):
    torch = sys.modules["torch"]
    name = str(tensor.dtype).rsplit(".", maxsplit=1)[-1]
    if name in _TORCH_ONLY:
        return tensor.view(getattr(torch, _TORCH_ONLY[name][1])).numpy(), name
    return tensor.numpy(), name


def into(value):
    """(address, dtype's name, shape) of what is filled in place."""
    if is_torch(value):
        if value.device.type != "cpu" or not value.is_contiguous():
            raise ValueError("only contiguous tensors on the host are filled in place")
        _, address, name, shape = to_save(value)
        return address, name, shape
    if not value.flags.c_contiguous or not value.flags.writeable:
        raise ValueError("only contiguous, writeable arrays are filled in place")
    return value.ctypes.data, value.dtype.name, list(value.shape)


def to_torch(array, name):
    torch = sys.modules["torch"]
    if name in _TORCH_ONLY:
        return torch.from_numpy(array.view(_TORCH_ONLY[name][1])).view(getattr(torch, name))
    return torch.from_numpy(array)
