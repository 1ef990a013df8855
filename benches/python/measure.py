"""Counts and times all rows, and writes the page: `python3 measure.py MODULES PAGE`."""

import json
import subprocess
import sys
import textwrap

from counting import count, environment

SIZES = [1, 8, 64]

INTRODUCTION = """\
Written by `benches/python/run`, with CPython {python}. The figures are instructions, counted by callgrind: the \
difference of two runs, of which one does everything twice as often, so start-up cancels. They are what a row adds to \
a call of an empty `#[pyfunction]`, which is {nothing} with the loop around it. The variables are `String`s, and all \
are set, unless a row says otherwise. What is done by hand is done through PyO3, with interned names."""

NOTES = [
    "Scopes of `task_local!` are tokio's: the function calls `get` of each `ContextVar`, and enters a scope with the "
    "value. The values follow neither into tasks nor into threads, and Python code that Rust calls does not see what "
    "Rust has set.",
    "Scopes of contextvar are `VAR.sync_scope`, of variables that are not tied. Tasks and threads of Rust can inherit "
    "the values.",
    "Arguments are `f(V0.get(), V1.get(), ..)` in Python. The function does not pass them on.",
    "A call with `python` has a fixed cost of {fixed} instructions, of which the rows done by hand have none: "
    "{parts}.",
    "Each variable adds {each} with up to 30 variables, and a scope of `task_local!` adds {scope}. Each variable "
    "beyond the 30th has a node of its own in the map, which takes more.",
    "The copy of Python's context is entered only if a conversion can run Python code. The conversion of a string, "
    "number or boolean of Python's own types to a `String`, `bool`, `i32`, `i64`, `u32`, `u64`, `usize` or `f64` "
    "cannot. After a context has been entered or left, CPython looks each variable up in its tree, which takes some "
    "100 more per variable.",
    "CPython's tree has another shape with each build and environment, because the address of a variable counts. A "
    "row that sets a variable takes some 400 more where the variable shares a place in the tree with another one.",
]

# From a profile of the row with 0 tied, by callgrind_annotate.
PARTS = (
    "450 for the origin and its copy of the map, made and dropped, 340 for the event loop (270 to ask whether one "
    "runs, 70 for that of an outer call), 110 for the state of the thread, 100 for the variables that are not tied, "
    "60 for the copy of Python's context, and the rest for entering and leaving Rust's context and for the call "
    "itself"
)

UNTIED = """\
The loop of 3 is included, as in [the instructions per operation](benchmarks-instructions.md). The reads are those of \
that page. The write takes 27 more, because a shared library calls a function of the loader to find a thread-local.

In a program that enables the feature and does not use it, the rows of that page take as many instructions as without \
it: get, set and reset, copy, run, poll and spawn, with 1, 8 and 1000 variables."""

EAGER = """\
To read a variable at the call takes {eager} instructions, and to ask Python takes {lazy} for each `get` that has to \
attach the thread, so reading at the call is better as soon as a call has three `get` for every five tied variables, \
and worse if it reads few of many. A `get` that asks Python also waits for each thread that computes in Python, {busy} ms \
at a time and on threads of tokio as well, so values are read at the call."""

TIMES = """\
Nanoseconds, medians of 101 rounds of 2 ms, by turns. The ratio is the median of the rounds' ratios, with its \
quartiles. The times include the call. Rows that wake other threads are as noisy as the machine's scheduler."""


def wrap(text, indent=""):
    lines = textwrap.wrap(
        text, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"


class Counts:
    """The instructions of rows, counted when they are needed."""

    def __init__(self, modules):
        self.modules = modules
        self.counted = {}

    def __call__(self, row, tied=8, set_variables=None, build=None):
        set_variables = tied if set_variables is None else set_variables
        key = (row, build or f"String-{tied}", tied, set_variables)
        if key not in self.counted:
            print(*key, file=sys.stderr)
            self.counted[key] = count(environment(self.modules, *key[1:]), row)
        return self.counted[key]


def number(count):
    return f"{count:,.0f}".replace(",", " ")


def table(header, rows):
    lines = ["| " + " | ".join(line) + " |\n" for line in [header, *rows]]
    return lines[0] + "|---|" + "---:|" * (len(header) - 1) + "\n" + "".join(lines[1:]) + "\n"


def entering(counts):
    nothing = counts("nothing", 0)

    def cells(row, sizes=SIZES):
        cell = lambda n: number(counts(row, n) - nothing) if n in sizes else "–"
        numeric = number(counts(row, 8, build="u64-8") - nothing) if 8 in sizes else "–"
        return [cell(0), *map(cell, SIZES), numeric]

    text = "## Entering Rust\n\n"
    text += table(
        ["the function is called with", "0 tied", "1", "8", "64", "8, of type `u64`"],
        [
            ["`#[with_copied_context(python)]`", *cells("enter", [0, *SIZES])],
            ["by hand: `get`, and `task_local!` scopes", *cells("in_task_locals")],
            ["by hand: `get`, and scopes of contextvar", *cells("in_scopes")],
            ["by hand: values as arguments", *cells("arguments")],
        ],
    )
    others = [
        ["64 tied, none set", counts("enter", 64, 0)],
        ["64 tied, one of them read", counts("enter_and_read", 64)],
        ["8 tied, on an event loop", counts("enter on an event loop")],
        ["none tied, 64 others set in Python", counts("enter", 0, 64)],
    ]
    rows = [[row, number(count - nothing)] for row, count in others]
    text += table(["`#[with_copied_context(python)]`", "adds"], rows)
    slope = lambda row: number((counts(row, 8) - counts(row, 1)) / 7)
    values = {
        "fixed": number(counts("enter", 0) - nothing),
        "parts": PARTS,
        "each": slope("enter"),
        "scope": slope("in_task_locals"),
    }
    text += "".join(wrap("- " + note.format(**values), "  ") for note in NOTES) + "\n"

    text += "## Applying changes, 8 tied\n\n"
    text += table(
        ["the function is called with", "nothing changed", "one changed"],
        [
            [
                "`#[with_copied_context(python, apply_changes)]`",
                *(number(counts(row) - nothing) for row in ["apply", "apply_one"]),
            ],
            [
                "by hand: returns the value, and Python calls `set`; none is read",
                "–",
                number(counts("return_and_set") - nothing),
            ],
        ],
    )
    return text


def calling_back(counts):
    same, other = counts("call0"), counts("attach_and_call0")
    cell = lambda row, plain, tied=8: number(counts(row, tied) - plain)
    text = "## Calling Python from Rust\n\n"
    plain = (
        "What a row adds to `function.call0()` of a Python function that does nothing, which is "
        f"{number(same)}, or {number(other)} where it attaches the thread first."
    )
    text += wrap(plain) + "\n"
    return text + table(
        ["the function is called by", "nothing changed", "64 tied, nothing changed", "one changed"],
        [
            [
                "`python::call`",
                cell("call", same),
                cell("call", same, 64),
                cell("call_changed", same),
            ],
            [
                "by hand: `copy_context().run(f)`",
                cell("run_in_copy", same),
                "–",
                cell("set_and_run_in_copy", same),
            ],
            ["`python::call`, on an event loop", cell("call on an event loop", same), "–", "–"],
            ["`python::call`, on a thread of Rust", cell("call_on_thread", other), "–", "–"],
            [
                "by hand: `context.copy().run(f)` there",
                cell("attach_and_run_in_copy", other),
                "–",
                "–",
            ],
        ],
    )


def reading(counts, times):
    eager = (counts("enter", 8) - counts("enter", 1)) / 7
    lazy = counts("lazy_reads")
    text = "## Variables that are not tied\n\n"
    text += table(
        ["in the extension module, 8 others tied", "instructions"],
        [
            ["get a `u64`", number(counts("get"))],
            ["set a `u64` and restore it", number(counts("set"))],
        ],
    )
    text += "\n".join(map(wrap, UNTIED.split("\n\n"))) + "\n"
    text += "## Values are read at the call\n\n"
    text += table(
        ["", "instructions", "nanoseconds"],
        [
            ["a variable at the call, with 8 tied", number(eager), "–"],
            ["`get` without Python", number(counts("get")), "–"],
            [
                "`get` that attaches the thread, asks Python and converts",
                number(lazy),
                number(times["free"]),
            ],
            ["the same, while another thread computes in Python", "–", number(times["busy"])],
        ],
    )
    busy = f"{times['busy'] / 1e6:.0f}"
    return text + wrap(EAGER.format(eager=number(eager), lazy=number(lazy), busy=busy)) + "\n"


def timing(times):
    names = {
        "enter in_task_locals": ("entering, 8 tied", "`get`, and `task_local!` scopes"),
        "enter arguments": ("entering, 8 tied", "values as arguments"),
        "call run_in_copy": ("`python::call`, nothing changed", "`copy_context().run(f)`"),
        "call_changed set_and_run_in_copy": (
            "`python::call`, one changed",
            "the same with a `set`",
        ),
        "call_on_thread attach_and_run_in_copy": (
            "`python::call`, on a thread of Rust",
            "`context.copy().run(f)`",
        ),
        "coroutine future_into_py": (
            "`python::coroutine` of a ready future, awaited",
            "`future_into_py` of pyo3-async-runtimes",
        ),
        "call_async into_future": (
            "`python::call_async` of a coroutine that does nothing",
            "`into_future` of pyo3-async-runtimes",
        ),
    }
    text = "## Times\n\n" + wrap(TIMES) + "\n"
    rows = []
    for key, (one, other) in names.items():
        (low, ratio, high), medians = times[key]["ratio"], times[key]["medians"]
        rows.append([one, other, *map(number, medians), f"{ratio:.2f} ({low:.2f} to {high:.2f})"])
    return text + table(["contextvar", "by hand", "ns", "ns by hand", "ratio"], rows)


def main():
    modules, page = sys.argv[1:]
    counts = Counts(modules)
    environ = environment(modules, "String-8", 8, 8)
    times = json.loads(subprocess.check_output([sys.executable, "timing.py"], env=environ))
    introduction = INTRODUCTION.format(
        python=sys.version.split()[0], nothing=number(counts("nothing", 0))
    )
    tables = entering(counts) + calling_back(counts) + reading(counts, times) + timing(times)
    with open(page, "w") as file:
        file.write(
            "# Calls between Python and Rust\n\n"
            + wrap(introduction)
            + "\n"
            + tables.rstrip()
            + "\n"
        )


if __name__ == "__main__":
    main()
