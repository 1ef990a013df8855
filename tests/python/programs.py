"""Random programs over contexts, whose blocks alternate between the languages.

A program is a list of blocks. The first block is the program itself, in Python. A step has a kind and numbers. The
last number of some kinds is the index of an inner block, which no other step shares.
"""

import random

# Four variables are tied. The last one is not: each language has its own.
VARS = 5
SLOTS = 3
SLOT_KINDS = ("token", "context", "task")
INNER = ("block", "future", "same")

# The steps that run in any block: their numbers and their weights.
#
# A frame is a task, a thread, or a call from the other language. It has slots for tokens, contexts and tasks, so a
# token stays in its language, as it can't cross. `+token` is a slot that the step fills.
#
# `block` is an inner block that does not wait, `future` is one that can, and `same` is either.
STEPS = {
    "get": ("", 8),
    "get_or": ("var value", 3),
    "set": ("var value +token", 16),
    "reset": ("token var", 16),
    # Sets a variable while the block runs.
    "scoped": ("var value block", 3),
    "copy": ("+context", 8),
    "new": ("+context", 2),
    "lookup": ("context", 4),
    "run": ("context block", 8),
    "raise_": ("value", 2),
    "catch": ("same", 6),
    # Runs the block in the other language. There are several ways to write such a call.
    "call": ("way applying block", 12),
    # Runs the block on a thread, in a copy of the context or in an empty one.
    "thread": ("copies block", 1),
}

# The steps that wait or spawn a task.
ASYNC_STEPS = {
    "task": ("+task future", 5),
    "task_in": ("context +task future", 6),
    "join": ("task", 4),
    "yield_": ("", 3),
    "await_": ("future", 3),
    # Runs the block in a copy of the context.
    "isolated": ("future", 3),
    "to_thread": ("block", 1),
    # Awaits the block in the other language.
    "call_async": ("way applying future", 16),
}
ALL_STEPS = STEPS | ASYNC_STEPS

CALLS = ("call", "call_async")
STARTS_FRAME = (*CALLS, "thread", "to_thread", "task", "task_in")


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def program(self):
        self.blocks = []
        self.steps = self.random.randrange(1, 60)
        self.block(self.random.random() < 0.75, 0, {})
        return self.blocks

    def block(self, waits, depth, frame):
        """Generates a block and returns its number."""
        number = len(self.blocks)
        block = []
        self.blocks.append(block)
        for _ in range(self.random.randint(1, 8 if depth else 25)):
            if self.steps > 0:
                self.steps -= 1
                block.append(self.step(waits, depth, frame))
        return number

    def step(self, waits, depth, frame):
        """Generates a step. `frame` has the filled slots, with the variables of tokens."""
        steps = ALL_STEPS if waits else STEPS
        while True:
            (kind,) = self.random.choices(list(steps), [weight for _, weight in steps.values()])
            names = steps[kind][0].split()
            too_deep = depth == 6 and inner(kind) or depth == 0 and kind == "raise_"
            empty = [name for name in names if name in SLOT_KINDS and not self.filled(name, frame)]
            # Few steps use an empty slot.
            if not too_deep and (not empty or self.random.random() < 0.05):
                break
        numbers = []
        for name in names:
            numbers.append(self.number(name, kind, numbers, waits, depth, frame))
        return kind, numbers

    def number(self, name, kind, numbers, waits, depth, frame):
        choose = self.random.randrange
        if name in SLOT_KINDS:
            return self.random.choice(self.filled(name, frame) or range(SLOTS))
        if name.startswith("+"):
            slot = choose(SLOTS)
            frame[name[1:], slot] = numbers[0] if numbers else None
            return slot
        if name in INNER:
            inner_waits = waits if name == "same" else name == "future"
            return self.block(inner_waits, depth + 1, {} if kind in STARTS_FRAME else frame)
        if kind == "reset" and choose(4) > 0:
            return frame.get(("token", numbers[0]), 0)
        return choose({"var": VARS, "value": 10, "way": 4, "applying": 2, "copies": 2}[name])

    def filled(self, name, frame):
        return [slot for slot in range(SLOTS) if (name, slot) in frame]


def inner(kind):
    """Returns whether steps of a kind have an inner block."""
    return ALL_STEPS[kind][0].endswith(INNER)


def languages(blocks):
    """Returns the language of each block."""
    languages = {}

    def visit(number, language):
        languages[number] = language
        for kind, numbers in blocks[number]:
            if inner(kind):
                other = "Rust" if language == "Python" else "Python"
                visit(numbers[-1], other if kind in CALLS else language)

    visit(0, "Python")
    return languages


def smaller(blocks):
    """Returns the programs that leave out one step, or have a block below it in its place."""
    for number in languages(blocks):
        for index, step in enumerate(blocks[number]):
            for instead in [[], *map(blocks.__getitem__, below(blocks, step))]:
                block = blocks[number][:index] + instead + blocks[number][index + 1 :]
                yield blocks[:number] + [block] + blocks[number + 1 :]


def below(blocks, step):
    """Returns the blocks below a step."""
    kind, numbers = step
    if inner(kind):
        yield numbers[-1]
        for step in blocks[numbers[-1]]:
            yield from below(blocks, step)


def shrink(blocks, fails):
    """Returns a smallest program that still fails."""
    while True:
        for candidate in smaller(blocks):
            if fails(candidate):
                blocks = candidate
                break
        else:
            return blocks


def show(blocks, ours, theirs):
    """Returns the text of a program. Below each block is what it has seen in both runs, if that differs."""
    lines = []
    language_of = languages(blocks)

    def visit(number, indent):
        lines.append(f"{indent}block {number} in {language_of[number]}:")
        for kind, numbers in blocks[number]:
            names = ALL_STEPS[kind][0].replace("+", "").split()
            lines.append(f"{indent}  {kind} " + " ".join(map("{}={}".format, names, numbers)))
            if inner(kind):
                visit(numbers[-1], indent + "    ")
        if ours[number] != theirs[number]:
            lines.append(f"{indent}  saw {ours[number]}")
            lines.append(f"{indent}  and in Python alone {theirs[number]}")

    visit(0, "")
    return "\n".join(lines)
