"""Tests of the package against the real library: the test plays the agent, over a page of its own."""

import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARY = os.environ.get("MPITRAIN_CLIENT_LIBRARY", "")

# Offsets of docs/formats/control-page.md.
MAGIC, STOP_PHASE, CLIENT_USE, STOP_STEP, ANSWERED = 0, 16, 20, 24, 32
EXTERNAL_STOP, STEP, TOTAL, METRIC_COUNT, METRICS, COMMITS, COMMIT_STEP = 48, 72, 80, 88, 96, 416, 424
STOP_DEADLINE_NS, FAILED_SEQUENCE, FAILED_STEP, FAILED_REASON = 1472, 1480, 1488, 1496
DECIDED = 2


class Page:
    def __init__(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(b"mptpage1" + bytes(4096 - 8))
        self.file.flush()

    def u64(self, offset):
        return struct.unpack("=Q", self.bytes(offset, 8))[0]

    def u32(self, offset):
        return struct.unpack("=I", self.bytes(offset, 4))[0]

    def bytes(self, offset, count):
        return os.pread(self.file.fileno(), count, offset)

    def put(self, layout, offset, value):
        os.pwrite(self.file.fileno(), struct.pack(layout, value), offset)


def run(program, page=None, **variables):
    """Runs a program text in a fresh interpreter, since the library attaches once, at import."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MPITRAIN_")}
    environment["PYTHONPATH"] = PACKAGE
    if page is not None:
        environment["MPITRAIN_CONTROL"] = page.file.name
    environment.update(variables)
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


class WithoutMpitrain(unittest.TestCase):
    PROGRAM = (
        "import mpitrain as m\n"
        "m.progress(1, 2, {'loss': 0.5}); m.checkpoint_started(); m.checkpoint_committed(1)\n"
        "print(m.should_stop(1), m.resume_path(), m.checkpoint_directory())\n"
    )

    def test_every_call_is_a_no_op_without_a_library(self):
        self.assertEqual(run(self.PROGRAM).stdout, "False None None\n")

    def test_every_call_is_a_no_op_without_an_agent(self):
        self.assertEqual(run(self.PROGRAM, MPITRAIN_CLIENT_LIBRARY=LIBRARY).stdout, "False None None\n")

    def test_a_library_that_is_none_is_passed_over(self):
        self.assertEqual(run(self.PROGRAM, MPITRAIN_CLIENT_LIBRARY="/etc/passwd").stdout, "False None None\n")


@unittest.skipUnless(LIBRARY, "MPITRAIN_CLIENT_LIBRARY does not name the built library")
class WithAnAgent(unittest.TestCase):
    def run_program(self, program, page, **variables):
        result = run("import mpitrain as m\n" + program, page, MPITRAIN_CLIENT_LIBRARY=LIBRARY, **variables)
        self.assertEqual(result.stderr, "")
        return result

    def test_importing_is_enough_to_be_known(self):
        page = Page()
        self.run_program("", page)
        self.assertEqual(page.u32(CLIENT_USE), 1)

    def test_progress_and_commits_arrive(self):
        page = Page()
        self.run_program(
            "m.progress(7, 100, {'loss': 0.25, 'lr': 1})\n"
            "with m.checkpoint(7): pass\n"
            "m.checkpoint_committed(9)\n",
            page,
        )
        self.assertEqual((page.u64(STEP), page.u64(TOTAL), page.u64(METRIC_COUNT)), (7, 100, 2))
        self.assertEqual(page.bytes(METRICS, 40), b"loss".ljust(32, b"\0") + struct.pack("=d", 0.25))
        self.assertEqual((page.u64(COMMITS), page.u64(COMMIT_STEP), page.u64(COMMIT_STEP + 8)), (2, 7, 9))

    def test_a_save_that_raises_is_no_commit(self):
        page = Page()
        self.run_program("try:\n with m.checkpoint(7): raise OSError\nexcept OSError: pass\n", page)
        self.assertEqual(page.u64(COMMITS), 0)

    def test_the_decided_step_is_the_answer(self):
        page = Page()
        page.put("=Q", STOP_STEP, 5)
        page.put("=I", STOP_PHASE, DECIDED)
        result = self.run_program("print([m.should_stop(s) for s in (4, 5, 6)])", page)
        self.assertEqual(result.stdout, "[False, True, True]\n")
        self.assertEqual(page.u64(ANSWERED), 7)

    def test_the_time_left_is_told_once_a_stop_is(self):
        page = Page()
        page.put("=Q", STOP_STEP, 5)
        page.put("=I", STOP_PHASE, DECIDED)
        page.put("=Q", STOP_DEADLINE_NS, time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 1000 * 10**9)
        program = "print(m.stop_time_left(), m.should_stop(5), 900 < m.stop_time_left() <= 1000)"
        self.assertEqual(self.run_program(program, page).stdout, "None True True\n")

    def test_a_save_that_failed_is_told(self):
        page = Page()
        self.run_program("m.checkpoint_failed(7, OSError('disk full'))", page)
        self.assertEqual((page.u64(FAILED_SEQUENCE), page.u64(FAILED_STEP)), (2, 7))
        self.assertEqual(page.bytes(FAILED_REASON, 10), b"disk full\0")

    def test_a_term_from_outside_is_a_request(self):
        page = Page()
        result = self.run_program(
            "import os, signal\nm.should_stop(0)\nos.kill(os.getpid(), signal.SIGTERM)\nprint('alive')\n", page
        )
        self.assertEqual(result.stdout, "alive\n")
        self.assertEqual(page.u64(EXTERNAL_STOP), signal.SIGTERM)

    def test_paths_come_from_the_environment(self):
        result = self.run_program(
            "print(m.resume_path(), m.checkpoint_directory())",
            Page(),
            MPITRAIN_RESUME="/c/step-5",
            MPITRAIN_CHECKPOINT_DIR="/c",
        )
        self.assertEqual(result.stdout, "/c/step-5 /c\n")


if __name__ == "__main__":
    unittest.main()
