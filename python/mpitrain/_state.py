"""A nested state (dicts, lists, tensors, plain values) as named tensors and one text of JSON, and back.

Nothing is pickled: a checkpoint runs no code. What JSON does not know is refused by name.
"""

import json

from . import _buffers


def flatten(state):
    """(tensors by name, the structure's text). Names are the keys, joined by '/'."""
    tensors = {}
    structure = _flatten(state, (), tensors)
    return tensors, json.dumps(structure)


def _flatten(value, path, tensors):
    if _buffers.is_buffer(value):
        name = "/".join(path) or "tensor"
        if name in tensors:
            raise ValueError(f"two tensors are named '{name}'")
        tensors[name] = value
        return {"tensor": name, "torch": _buffers.is_torch(value)}
    if isinstance(value, dict):
        return {"dict": [[_key(key, path), _flatten(item, (*path, _part(key)), tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_flatten(item, (*path, str(i)), tensors) for i, item in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(f"{'/'.join(path)}: a {type(value).__name__} is neither a tensor nor a plain value")


def _key(key, path):
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise TypeError(f"{'/'.join(path)}: the key {key!r} is neither a text nor a number")
    return key


def _part(key):
    # A name's parts between slashes are never empty.
    return str(key).replace("/", "_") or "_"


def names(text):
    """The tensors' names in a structure's text, each with whether it was torch's."""
    found = {}
    _visit(json.loads(text), found)
    return found


def _visit(node, found):
    (kind, held), *rest = node.items()
    if kind == "tensor":
        found[held] = dict(rest).get("torch", False)
    elif kind == "dict":
        for _, item in held:
            _visit(item, found)
    elif kind in ("list", "tuple"):
        for item in held:
            _visit(item, found)


def unflatten(text, tensors):
    return _unflatten(json.loads(text), tensors)


def _unflatten(node, tensors):
    kind, held = next(iter(node.items()))
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {key: _unflatten(item, tensors) for key, item in held}
    if kind in ("list", "tuple"):
        items = [_unflatten(item, tensors) for item in held]
        return items if kind == "list" else tuple(items)
    return held
