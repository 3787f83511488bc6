"""What a training program may tell mpitrain and ask of it.

    import mpitrain

    for step in range(first, total):
        if mpitrain.should_stop(step):
            break
        loss = train(step)
        mpitrain.progress(step + 1, total, {"loss": loss})

Every call works, as a no-op, in a program that was started without mpitrain, or where its client library is not installed.
Calls may come from any thread, one at a time. Costs are those of a ctypes call, about a microsecond.
"""

import contextlib

from . import _library

__all__ = [
    "checkpoint",
    "checkpoint_committed",
    "checkpoint_directory",
    "checkpoint_failed",
    "checkpoint_started",
    "progress",
    "resume_path",
    "should_stop",
    "stop_time_left",
]

_METRICS_MAX = 8


def progress(step, total=0, metrics=None):
    """Says that `step` of `total` (0 = unknown) is done. Never blocks.

    At most 8 metrics are kept, each a name of at most 31 bytes and a number; "loss" is shown in the progress line.
    """
    library = _library.load()
    if library is None:
        return
    items = list((metrics or {}).items())[:_METRICS_MAX]
    names = (_library.c_char_p * len(items))(*(str(name).encode() for name, _ in items))
    values = (_library.c_double * len(items))(*(float(value) for _, value in items))
    library.mpitrain_progress(step, total, names, values, len(items))


def should_stop(step):
    """Whether training must end before doing `step`.

    The same answer on every rank for the same step. Each rank must ask, with the same, growing steps.
    """
    library = _library.load()
    return library is not None and library.mpitrain_should_stop(step) == 1


def stop_time_left():
    """Seconds until this program will be killed, once should_stop() has said yes; None: no stop, or no deadline is known."""
    library = _library.load()
    left = -1 if library is None else library.mpitrain_stop_time_left_ms()
    return None if left < 0 else left / 1000


def checkpoint_started():
    """Begins the time that is spent in saving, for the ledger. Optional."""
    library = _library.load()
    if library is not None:
        library.mpitrain_checkpoint_started()


def checkpoint_committed(step):
    """Says that a checkpoint of `step` is durable. Ends checkpoint_started()."""
    library = _library.load()
    if library is not None:
        library.mpitrain_checkpoint_committed(step)


def checkpoint_failed(step, reason):
    """Says that a checkpoint of `step` could not be saved, so that the launcher tells of it too."""
    library = _library.load()
    if library is not None:
        library.mpitrain_checkpoint_failed(step, str(reason).encode())


@contextlib.contextmanager
def _bracket(step):
    checkpoint_started()
    yield
    checkpoint_committed(step)


def checkpoint(step):
    """Brackets a save: `with mpitrain.checkpoint(step): save()`. A save that raises is not a commit.

    The module mpitrain.checkpoint, once imported, takes this place and can be called alike.
    """
    return _bracket(step)


def resume_path():
    """The commit to resume from (MPITRAIN_RESUME), or None for a fresh start."""
    return _library.environment("MPITRAIN_RESUME")


def checkpoint_directory():
    """Where checkpoints belong (MPITRAIN_CHECKPOINT_DIR), or None."""
    return _library.environment("MPITRAIN_CHECKPOINT_DIR")
