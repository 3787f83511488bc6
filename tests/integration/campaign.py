"""What every campaign shares: its options, its table or JSON, its verdict."""

import argparse
import json
import os
import random
import sys
import time
import traceback

from harness import Sandbox, table


class Campaign:
    """Collects one row for each round. A round that raises is a miss, with its reason, not the end."""

    def __init__(self, description, rounds, bar):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--rounds", type=int, default=rounds, help="how often (default %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="of all random choices (default %(default)s)")
        parser.add_argument("--build", help="the build directory to test")
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
        parser.add_argument("--keep-going", action="store_true", help="do not stop after ten misses")
        parser.add_argument("--only", help="only this kind of round")
        self.options = parser.parse_args()
        self.bar = bar
        self.random = random.Random(self.options.seed)
        self.rows = []
        self.misses = []
        self.begin = time.monotonic()

    def sandbox(self):
        return Sandbox(self.options.build)

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def miss(self, where, why):
        self.misses.append({"where": where, "why": why})
        self.note(f"MISS {where}: {why}")

    def attempt(self, where, function, *arguments):
        """Calls a round; what it raises is a miss."""
        try:
            return function(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            if not isinstance(error, (TimeoutError, RuntimeError)):
                traceback.print_exc()
            self.miss(where, str(error))
            return None

    def enough(self):
        return len(self.misses) >= 10 and not self.options.keep_going

    def finish(self, summary, header, rows, passed=None):
        """Prints what was measured and exits: 0 if the bar is met."""
        passed = not self.misses if passed is None else passed
        if self.options.json:
            print(json.dumps({"schema": "mpitrain.campaign/1", "bar": self.bar, "passed": passed, **summary,
                              "rows": [dict(zip(header, row)) for row in rows], "misses": self.misses,
                              "seed": self.options.seed, "load_average": os.getloadavg()[0]}))
        else:
            if rows:
                table(rows, header)
            for name, value in summary.items():
                print(f"{name}: {value}")
            print(f"bar: {self.bar}")
            print(f"{'met' if passed else 'MISSED'} in {time.monotonic() - self.begin:.0f} s, "
                  f"load average {os.getloadavg()[0]:.1f}, seed {self.options.seed}, {len(self.misses)} misses")
        sys.exit(0 if passed else 1)
