"""Programs, run by CPython: a batch of them a line, as JSON, and a line of traces for each batch. See program.rs."""

import asyncio
import contextvars
import json
import sys
import threading

SLOTS = 3
a = contextvars.ContextVar("a")
b = contextvars.ContextVar("b", default=100)
s = contextvars.ContextVar("s")
t = contextvars.ContextVar("t", default="default")
VARS = [a, b, s, t]
MORE = [contextvars.ContextVar("more") for _ in range(40)]


def is_number(var):
    return var < 2


def value_of(var, value):
    return value if is_number(var) else f"text {value}"


class Raised(Exception):
    pass


class Hand:
    """What an actor has at hand, and what it may give away."""

    def __init__(self):
        # A token and its variable's number.
        self.tokens = [None] * SLOTS
        # A context, or a number that says which time it went away.
        self.contexts = [None] * SLOTS
        self.entered = 0


class Actor:
    def __init__(self, path, hand):
        self.path = path
        self.trace = []
        self.hand = hand
        self.tasks = [None] * SLOTS
        self.other_tasks = []
        self.children = 0
        self.traces = {}

    async def live(self, body):
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
        """Runs what waits for nothing."""
        return drive(self.exec(body))

    def context(self, slot):
        context = self.hand.contexts[slot]
        if context is None:
            self.trace.append("no context")
        elif isinstance(context, int):
            self.trace.append("entered")
        else:
            return context

    def take_context(self, slot):
        context = self.context(slot)
        if context is not None:
            self.hand.entered += 1
            self.hand.contexts[slot] = self.hand.entered
        return context, self.hand.entered

    def give_back(self, slot, time, context):
        if self.hand.contexts[slot] == time:
            self.hand.contexts[slot] = context

    def child(self, take=False):
        hand = Hand()
        if take:
            self.hand, hand = hand, self.hand
        self.children += 1
        return Actor(f"{self.path}.{self.children - 1}", hand)

    def keep(self, slot, task):
        if self.tasks[slot]:
            self.other_tasks.append(self.tasks[slot])
        self.tasks[slot] = task

    async def join(self, task):
        handle, back = task
        self.traces |= await handle
        if back:
            self.give_back(*back)

    async def Get(self, var):
        try:
            self.trace.append(str(VARS[var].get()))
        except LookupError:
            self.trace.append("LookupError")

    async def GetOr(self, var, value):
        self.trace.append(str(VARS[var].get(value_of(var, value))))

    async def Set(self, var, value, slot):
        token = VARS[var].set(value_of(var, value))
        self.hand.tokens[slot] = token, var
        old = token.old_value
        self.trace.append("MISSING" if old is contextvars.Token.MISSING else str(old))

    async def Reset(self, var, slot):
        if self.hand.tokens[slot] is None:
            return self.trace.append("no token")
        token, its_var = self.hand.tokens[slot]
        if is_number(its_var) != is_number(var):
            return self.trace.append("another type's")
        try:
            VARS[var].reset(token)
            said = "reset"
        except RuntimeError as error:
            assert "once" in str(error), error
            said = "used"
        except ValueError as error:
            said = "another variable's" if "different ContextVar" in str(error) else "another context's"
        self.trace.append(said)

    async def Fill(self, value):
        for index, var in enumerate(MORE):
            var.set(value + index)

    async def Copy(self, slot):
        self.hand.contexts[slot] = contextvars.copy_context()

    async def New(self, slot):
        self.hand.contexts[slot] = contextvars.Context()

    async def Clone(self, slot, to):
        context = self.context(slot)
        if context is not None:
            self.hand.contexts[to] = context.copy()

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
        context, time = self.take_context(slot)
        if context is not None:
            try:
                context.run(self.call, body)
            finally:
                self.give_back(slot, time, context)

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
        thread = threading.Thread(target=lambda: drive(child.live(body)))
        thread.start()
        thread.join()
        self.traces |= child.traces

    async def Task(self, slot, take, body):
        self.keep(slot, (asyncio.create_task(self.child(take).live(body)), None))

    async def TaskIn(self, slot, to, take, body):
        context, time = self.take_context(slot)
        if context is not None:
            task = asyncio.create_task(self.child(take).live(body), context=context)
            self.keep(to, (task, (slot, time, context)))

    async def Yield(self):
        await asyncio.sleep(0)

    async def Await(self, *body):
        await self.exec(body)

    async def Trap(self, slot, body):
        context, time = self.take_context(slot)
        if context is not None:
            coroutine = context.run(self.exec, body)
            self.give_back(slot, time, context)
            await coroutine

    async def Isolated(self, *body):
        await asyncio.create_task(self.exec(body), context=contextvars.copy_context())

    async def ToThread(self, *body):
        child = self.child()
        await asyncio.to_thread(lambda: drive(child.live(body)))
        self.traces |= child.traces

    async def Join(self, slot):
        task, self.tasks[slot] = self.tasks[slot], None
        if task:
            await self.join(task)
        else:
            self.trace.append("no task")


def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for nothing")


async def run(way, program):
    actor = Actor("0", Hand())
    if way == "Thread":
        thread = threading.Thread(target=lambda: drive(actor.live(program)))
        thread.start()
        thread.join()
        return actor.traces
    return await asyncio.create_task(actor.live(program), context=contextvars.Context())


async def main():
    for line in sys.stdin:
        print(json.dumps([await run(way, program) for way, program in json.loads(line)]), flush=True)


asyncio.run(main())
