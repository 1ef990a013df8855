"""Names that do not exist in Python, or are not of a `ContextVar`. Each test has its own `variables` module."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
VARIABLES = (HERE / "variables.py").read_text()

REPORT = """
import traceback
def report(function, *args):
    try:
        print("returned", function(*args))
    except Exception as error:
        print(type(error).__name__, "|", error, "|", repr(error.__cause__))
"""


class Names(unittest.TestCase):
    def run_with(self, variables, code):
        """Runs `code` in an interpreter that finds `variables` first. Returns the lines that it prints."""
        with tempfile.TemporaryDirectory() as directory:
            if variables is not None:
                (Path(directory) / "variables.py").write_text(variables)
            for other in set(HERE.glob("*.py")) - {HERE / "variables.py"}:
                (Path(directory) / other.name).symlink_to(other)
            (Path(directory) / "main.py").write_text(REPORT + code)
            module = [path for path in sys.path if (Path(path) / "rust.so").exists()]
            env = {**os.environ, "PYTHONPATH": os.pathsep.join([directory, *module])}
            command = [sys.executable, str(Path(directory) / "main.py")]
            result = subprocess.run(
                command, cwd=directory, env=env, capture_output=True, text=True, timeout=60
            )
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def test_all_names_exist(self):
        lines = self.run_with(VARIABLES, "from rust import changes\nreport(changes.values)")
        self.assertEqual(lines, ["returned [None, None, None, None]"])

    def test_importing_the_module_finds_nothing_yet(self):
        self.assertEqual(self.run_with(None, "import rust\nprint('imported')"), ["imported"])

    def test_no_module_of_the_library_hides_another_one(self):
        code = """
import asyncio, sys
from rust import coroutines
asyncio.run(coroutines.get())
print("contextvar" in sys.modules)
"""
        self.assertEqual(self.run_with(VARIABLES, code), ["False"])

    def test_a_module_that_does_not_exist(self):
        (line,) = self.run_with(None, "from rust import changes\nreport(changes.values)")
        kind, message, cause = line.split(" | ")
        self.assertEqual(kind, "ModuleNotFoundError")
        self.assertRegex(
            message,
            r"^Rust's `rust::\w+::[A-Z]+` is tied to Python's `variables:[\w.]+`: No module named 'variables'$",
        )
        self.assertEqual(cause, """ModuleNotFoundError("No module named 'variables'")""")

    def test_a_module_that_fails(self):
        (line,) = self.run_with(
            "raise ImportError('broken')", "from rust import changes\nreport(changes.values)"
        )
        self.assertRegex(
            line, r"^ImportError \| Rust's `.*` is tied to Python's `variables:.*`: broken \| "
        )

    def test_an_attribute_that_does_not_exist(self):
        (line,) = self.run_with(
            VARIABLES.replace("TENANT", "OTHER"), "from rust import changes\nreport(changes.values)"
        )
        message = (
            "AttributeError | Rust's `rust::variables::TENANT` is tied to Python's `variables:TENANT`: "
            "module 'variables' has no attribute 'TENANT' | AttributeError("
        )
        self.assertTrue(line.startswith(message), line)

    def test_an_attribute_of_an_attribute_that_does_not_exist(self):
        (line,) = self.run_with(
            VARIABLES.replace("NESTED", "OTHER"), "from rust import changes\nreport(changes.values)"
        )
        self.assertIn(
            "`rust::values::NESTED` is tied to Python's `variables:Namespace.NESTED`: ", line
        )
        self.assertIn("has no attribute 'NESTED'", line)

    def test_an_object_that_is_no_variable(self):
        (line,) = self.run_with(
            VARIABLES + "USER = 'ada'\n", "from rust import changes\nreport(changes.values)"
        )
        self.assertEqual(
            line,
            "TypeError | Rust's `rust::variables::USER` is tied to Python's `variables:USER`, which is not a ContextVar, "
            "but of type `str` | None",
        )

    def test_two_variables_of_rust_tied_to_one(self):
        (line,) = self.run_with(
            VARIABLES + "TENANT = USER\n", "from rust import changes\nreport(changes.values)"
        )
        self.assertIn(
            "RuntimeError | two variables are tied to Python's `variables:TENANT`: ", line
        )
        self.assertIn("`rust::variables::TENANT` and `rust::variables::USER`", line)

    def test_every_crossing_says_so(self):
        code = """
from rust import callbacks, changes
report(changes.values)
report(changes.run_applying, "ada")
report(callbacks.call_from, "std::thread", print)
report(callbacks.call, "note", print)
"""
        lines = self.run_with(VARIABLES + "del USER\n", code)
        self.assertEqual([line.split(" | ")[0] for line in lines], ["AttributeError"] * 4)

    def test_a_failure_is_not_remembered(self):
        code = """
import variables
from contextvars import ContextVar
from rust import changes
report(changes.values)
variables.USER = ContextVar("user")
variables.USER.set("ada")
report(changes.values)
"""
        lines = self.run_with(VARIABLES + "USER = None\n", code)
        self.assertIn("of type `NoneType`", lines[0])
        self.assertEqual(lines[1:], ["returned ['ada', None, None, None]"])

    def test_a_module_that_calls_rust_while_it_is_imported(self):
        variables = REPORT + "from rust import changes\nreport(changes.values)\n" + VARIABLES
        lines = self.run_with(variables, "from rust import changes\nreport(changes.values)")
        self.assertRegex(lines[0], "^AttributeError .*module 'variables' has no attribute")
        self.assertEqual(lines[1:], ["returned [None, None, None, None]"])

    def test_a_variable_that_is_replaced_later_is_not_found_again(self):
        code = """
import variables
from contextvars import ContextVar
from rust import changes
variables.USER.set("ada")
report(changes.values)
variables.USER = ContextVar("user")
report(changes.values)
"""
        lines = self.run_with(VARIABLES, code)
        self.assertEqual(lines, ["returned ['ada', None, None, None]"] * 2)
