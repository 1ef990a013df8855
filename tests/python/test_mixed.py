"""Random programs whose blocks alternate between Python and Rust see what they see in Python alone.

./run test_mixed                                # 2000 programs
CONTEXTVAR_PROGRAMS=100000 ./run test_mixed     # a hundred thousand
CONTEXTVAR_SEED=n ./run test_mixed              # other programs
"""

import asyncio
import os
import sys
import unittest
from collections import Counter
from unittest import mock

import mixed
from programs import CALLS, Generator, inner, languages, show, shrink

SEED = int(os.environ.get("CONTEXTVAR_SEED", 1))
PROGRAMS = int(os.environ.get("CONTEXTVAR_PROGRAMS", 2000))

# The number of programs that run at the same time.
BATCH = 20


async def compare(blocks):
    """Runs a program twice. Returns what its blocks have seen, and what they see in Python alone."""
    program = await asyncio.wait_for(mixed.run(blocks), 60)
    alone = await mixed.run_in_python(blocks)
    in_rust = {block for block, language in languages(blocks).items() if language == "Rust"}
    if program.traces == alone.traces:
        assert program.ran_in_rust == {block for block in in_rust if alone.traces[block]}
    return program.traces, alone.traces


def fails(blocks):
    ours, theirs = asyncio.run(compare(blocks), debug=False)
    return ours != theirs


def first_difference(seed, count, statistics):
    """Returns the text of a smallest program whose results differ from those in Python alone."""

    async def find():
        generator = Generator(seed)
        for _ in range(0, count, BATCH):
            batch = [generator.program() for _ in range(BATCH)]
            for blocks, (ours, theirs) in zip(batch, await asyncio.gather(*map(compare, batch))):
                if ours != theirs:
                    return blocks, ours, theirs
                count_steps(blocks, theirs, statistics)

    found = asyncio.run(find(), debug=False)
    if found is None:
        return None
    blocks, ours, theirs = found
    # A program may differ only while others run.
    if fails(blocks):
        blocks = shrink(blocks, fails)
        ours, theirs = asyncio.run(compare(blocks), debug=False)
    return show(blocks, ours, theirs)


def count_steps(blocks, traces, statistics):
    """Counts the steps that were reached, in each language."""
    statistics["programs", "Python"] += 1
    for block, language in languages(blocks).items():
        for kind, numbers in blocks[block]:
            # A block that has run has seen something.
            if inner(kind) and traces[numbers[-1]]:
                if kind in CALLS:
                    kind += ", changes applied" if numbers[1] else ", isolated"
                statistics[kind, language] += 1
        for seen in traces[block]:
            if seen == "reset":
                statistics["reset", language] += 1
            if "raised" in seen:
                statistics["call that raised", language] += 1


@unittest.skipIf(sys.version_info < (3, 11), "tasks in a given context need Python 3.11")
class Mixed(unittest.TestCase):
    def test_programs_see_what_they_see_in_python_alone(self):
        statistics = Counter()
        print(f"\nCONTEXTVAR_SEED={SEED} CONTEXTVAR_PROGRAMS={PROGRAMS}", flush=True)
        difference = first_difference(SEED, PROGRAMS, statistics)
        if difference:
            self.fail(f"after {statistics['programs', 'Python']} programs:\n{difference}")
        print(f"{'Python':>10}{'Rust':>10}")
        for kind in sorted({kind for kind, _ in statistics}):
            print(f"{statistics[kind, 'Python']:10}{statistics[kind, 'Rust']:10}  {kind}")

    def test_rust_resets_what_a_callback_has_set_since(self):
        # `a` is not set before the call, so it is not set afterwards.
        call_python = [("scoped", [0, 3, 2])]
        self.check([[("call", [0, 1, 1])], call_python, [("call", [0, 1, 3])], []])

    def test_python_keeps_its_variables_in_an_empty_context_of_rust(self):
        thread = [("call", [0, 1, 3]), ("call", [0, 0, 4])]
        self.check([[("call", [0, 1, 1])], [("thread", [0, 2])], thread, [("set", [4, 0, 0])], []])

    def check(self, blocks):
        ours, theirs = asyncio.run(compare(blocks), debug=False)
        self.assertEqual(ours, theirs, show(blocks, ours, theirs))

    def test_differences_are_found_and_shrunk(self):
        always_applying = [[applying, applying] for _, applying in mixed.CALLS]
        with mock.patch.object(mixed, "CALLS", always_applying):
            difference = first_difference(1, 200, Counter())
        # A call, and a step that sets a variable.
        self.assertIn("  call way=", difference)
        self.assertRegex(difference, "  (set|scoped|call.* applying=1)")
        self.assertLessEqual(
            sum("saw" not in line for line in difference.splitlines()), 6, difference
        )
