"""Runs programs with CPython. Each line of the input is a batch of programs as JSON; each line of the output has their traces.

See program.rs for the steps.
"""

import asyncio
import contextvars
import json
import sys
import threading

from prelude import a, b, more, s, t

SLOTS = 3
VARS = [a, b, s, t]


def is_number(var):
    return var < 2


def value_of(var, value):
    return value if is_number(var) else f"text {value}"


class Raised(Exception):
    pass


class Held:
    """The tokens and contexts of an actor, which it can hand over to a task."""

    def __init__(self):
        # Each is a token and the number of its variable.
        self.tokens = [None] * SLOTS
        # Each is a context, or the value of `taken` when the context was taken.
        self.contexts = [None] * SLOTS
        self.taken = 0


class Actor:
    """A task or a thread."""

    def __init__(self, path, held):
        self.path = path
        self.trace = []
        self.held = held
        self.tasks = [None] * SLOTS
        self.other_tasks = []
        self.children = 0
        self.traces = {}

    async def run(self, body):
        """Runs the steps, joins the tasks, and returns the traces of this actor and of theirs."""
        try:
            await self.exec(body)
        except Raised as raised:
            self.trace.append(f"died {raised.args[0]}")
        for task in self.tasks:
            if task:
                await self.join(task)
        for task in self.other_tasks:
            await self.join(task)
        self.traces[self.path] = self.trace
        return self.traces

    async def exec(self, ops):
        for op in ops:
            if isinstance(op, str):
                await getattr(self, op)()
            else:
                ((name, arguments),) = op.items()
                await getattr(self, name)(*(arguments if isinstance(arguments, list) else [arguments]))

    def call(self, body):
        """Runs steps that do not await."""
        return drive(self.exec(body))

    def context(self, slot):
        context = self.held.contexts[slot]
        if context is None:
            self.trace.append("no context")
        elif isinstance(context, int):
            self.trace.append("entered")
        else:
            return context

    def take_context(self, slot):
        context = self.context(slot)
        if context is not None:
            self.held.taken += 1
            self.held.contexts[slot] = self.held.taken
        return context, self.held.taken

    def put_back(self, slot, number, context):
        """Puts a taken context back, unless its slot was overwritten meanwhile."""
        if self.held.contexts[slot] == number:
            self.held.contexts[slot] = context

    def child(self, take=False):
        held = Held()
        if take:
            self.held, held = held, self.held
        self.children += 1
        return Actor(f"{self.path}.{self.children - 1}", held)

    def store_task(self, slot, task):
        if self.tasks[slot]:
            self.other_tasks.append(self.tasks[slot])
        self.tasks[slot] = task

    async def join(self, task):
        handle, returned = task
        self.traces |= await handle
        if returned:
            self.put_back(*returned)

    async def Get(self, var):
        try:
            self.trace.append(str(VARS[var].get()))
        except LookupError:
            self.trace.append("LookupError")

    async def GetOr(self, var, value):
        self.trace.append(str(VARS[var].get(value_of(var, value))))

    async def Set(self, var, value, slot):
        token = VARS[var].set(value_of(var, value))
        self.held.tokens[slot] = token, var
        old = token.old_value
        self.trace.append("MISSING" if old is contextvars.Token.MISSING else str(old))

    async def Reset(self, var, slot):
        if self.held.tokens[slot] is None:
            return self.trace.append("no token")
        token, its_var = self.held.tokens[slot]
        if is_number(its_var) != is_number(var):
            return self.trace.append("another type's")
        try:
            VARS[var].reset(token)
            outcome = "reset"
        except RuntimeError as error:
            assert "once" in str(error), error
            outcome = "used"
        except ValueError as error:
            outcome = "another variable's" if "different ContextVar" in str(error) else "another context's"
        self.trace.append(outcome)

    async def Fill(self, value):
        for index, var in enumerate(more):
            var.set(value + index)

    async def Copy(self, slot):
        self.held.contexts[slot] = contextvars.copy_context()

    async def New(self, slot):
        self.held.contexts[slot] = contextvars.Context()

    async def Clone(self, slot, to):
        context = self.context(slot)
        if context is not None:
            self.held.contexts[to] = context.copy()

    async def Lookup(self, slot, var):
        context = self.context(slot)
        if context is not None:
            try:
                self.trace.append(str(context[VARS[var]]))
            except KeyError:
                self.trace.append("KeyError")

    async def Contains(self, slot, var):
        context = self.context(slot)
        if context is not None:
            self.trace.append(str(VARS[var] in context).lower())

    async def Len(self, slot):
        context = self.context(slot)
        if context is not None:
            self.trace.append(str(len(context)))

    async def Entries(self, slot):
        context = self.context(slot)
        if context is not None:
            self.trace.append(" ".join(sorted(f"{var.name}={value}" for var, value in context.items())))

    async def Run(self, slot, body):
        context, number = self.take_context(slot)
        if context is not None:
            try:
                context.run(self.call, body)
            finally:
                self.put_back(slot, number, context)

    async def Scoped(self, var, value, body):
        token = VARS[var].set(value_of(var, value))
        try:
            self.call(body)
        finally:
            VARS[var].reset(token)

    async def Raise(self, value):
        raise Raised(value)

    async def Catch(self, *body):
        try:
            await self.exec(body)
        except Raised as raised:
            self.trace.append(f"caught {raised.args[0]}")

    async def Thread(self, *body):
        child = self.child()
        thread = threading.Thread(target=lambda: drive(child.run(body)))
        thread.start()
        thread.join()
        self.traces |= child.traces

    async def Task(self, slot, take, body):
        self.store_task(slot, (asyncio.create_task(self.child(take).run(body)), None))

    async def TaskIn(self, slot, to, take, body):
        context, number = self.take_context(slot)
        if context is not None:
            task = asyncio.create_task(self.child(take).run(body), context=context)
            self.store_task(to, (task, (slot, number, context)))

    async def Yield(self):
        await asyncio.sleep(0)

    async def Await(self, *body):
        await self.exec(body)

    async def Trap(self, slot, body):
        context, number = self.take_context(slot)
        if context is not None:
            coroutine = context.run(self.exec, body)
            self.put_back(slot, number, context)
            await coroutine

    async def Isolated(self, *body):
        await asyncio.create_task(self.exec(body), context=contextvars.copy_context())

    async def ToThread(self, *body):
        child = self.child()
        await asyncio.to_thread(lambda: drive(child.run(body)))
        self.traces |= child.traces

    async def Join(self, slot):
        task, self.tasks[slot] = self.tasks[slot], None
        if task:
            await self.join(task)
        else:
            self.trace.append("no task")


def drive(coroutine):
    """Runs a coroutine that does not await."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("synchronous steps do not wait")


async def run(kind, program):
    actor = Actor("0", Held())
    if kind == "Thread":
        thread = threading.Thread(target=lambda: drive(actor.run(program)))
        thread.start()
        thread.join()
        return actor.traces
    return await asyncio.create_task(actor.run(program), context=contextvars.Context())


async def main():
    for line in sys.stdin:
        print(json.dumps([await run(kind, program) for kind, program in json.loads(line)]), flush=True)


asyncio.run(main())
