//! A program as a person reads and runs it, in both languages.

use std::fmt::Write;

use crate::program::{Body, May, Op, Var};

const VARIABLES: [&str; 4] = ["a", "b", "s", "t"];

pub(crate) fn python(program: &Body) -> String {
    const BEFORE: &str = r#"import asyncio, contextvars, threading

a = contextvars.ContextVar("a")
b = contextvars.ContextVar("b", default=100)
s = contextvars.ContextVar("s")
t = contextvars.ContextVar("t", default="default")
more = [contextvars.ContextVar("more") for _ in range(40)]

class Hand:
    def __init__(self):
        self.token, self.context, self.task = [None] * 3, [None] * 3, [None] * 3

    def give(self):
        given = Hand()
        given.token, self.token = self.token, given.token
        given.context, self.context = self.context, given.context
        return given

    def lend(self, slot):
        context, self.context[slot] = self.context[slot], None
        return context

    async def join(self, slot):
        task, back = self.task[slot]
        await task
        if back and self.context[back[0]] is None:
            self.context[back[0]] = back[1]

def show(f, *arguments):
    try:
        print(f(*arguments))
    except (LookupError, RuntimeError, ValueError) as error:
        print(type(error).__name__)

def call(coroutine):
    try:
        coroutine.send(None)
    except StopIteration:
        pass

"#;
    let mut printer = Printer { text: BEFORE.to_owned(), indent: 0, bodies: 0 };
    let main = printer.define(program);
    printer.line(&format!("asyncio.run({main}(Hand()))"));
    printer.text
}

pub(crate) fn rust(program: &Body) -> String {
    const BEFORE: &str = r#"#![allow(unused)]

use std::sync::Mutex;

use contextvar::{Context, ContextVar, InContext, Token, context_var, copy_context, task};
use futures::FutureExt;

#[context_var(name = "a")]
static A: u64;
#[context_var(name = "b")]
static B: u64 = 100;
#[context_var(name = "s")]
static S: String;
#[context_var(name = "t")]
static T: String = "default".to_owned();
static MORE: [ContextVar<u64>; 40] = [const { ContextVar::new("more") }; 40];

struct Slots<T>(Mutex<[Option<T>; 3]>);
impl<T> Default for Slots<T> {
    fn default() -> Self { Slots(Mutex::default()) }
}
impl<T> Slots<T> {
    fn give(&self) -> Self { Slots(Mutex::new(std::mem::take(&mut self.0.lock().unwrap()))) }
    fn take(&self, slot: usize) -> T { self.0.lock().unwrap()[slot].take().expect("it is here") }
    fn put(&self, slot: usize, value: T) { self.0.lock().unwrap()[slot] = Some(value) }
    fn put_back(&self, slot: usize, value: T) { self.0.lock().unwrap()[slot].get_or_insert(value); }
    fn with<R>(&self, slot: usize, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take(slot);
        let result = f(&mut value);
        self.put_back(slot, value);
        result
    }
}

#[derive(Default)]
struct Hand {
    number: Slots<Token<u64>>,
    text: Slots<Token<String>>,
    context: Slots<Context>,
    task: Slots<tokio::task::JoinHandle<Option<(usize, Context)>>>,
}
impl Hand {
    fn give(&self) -> Hand {
        let (number, text, context) = (self.number.give(), self.text.give(), self.context.give());
        Hand { number, text, context, task: Slots::default() }
    }
    async fn join(&self, slot: usize) {
        if let Some((slot, context)) = self.task.take(slot).await.unwrap() {
            self.context.put_back(slot, context);
        }
    }
}

#[tokio::main]
pub(super) async fn main() {
    let hand = &Hand::default();
"#;
    let mut printer = Printer { text: BEFORE.to_owned(), indent: 1, bodies: 0 };
    program.iter().for_each(|op| printer.rust(op));
    printer.text + "}\n"
}

struct Printer {
    text: String,
    indent: usize,
    bodies: usize,
}

impl Printer {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{line}", "", indent = self.indent * 4);
    }

    fn block(&mut self, first: &str, body: &Body, print: fn(&mut Self, &Op), last: &str) {
        self.line(first);
        self.indent += 1;
        body.iter().for_each(|op| print(self, op));
        self.indent -= 1;
        if !last.is_empty() {
            self.line(last);
        }
    }

    /// A body that has a hand of its own.
    fn actor(&mut self, first: &str, hand: &str, body: &Body, last: &str) {
        self.line(first);
        self.indent += 1;
        self.line(&format!("let hand = &{hand};"));
        body.iter().for_each(|op| self.rust(op));
        self.indent -= 1;
        last.lines().for_each(|line| self.line(line));
    }

    /// Defines a coroutine function and gives its name.
    fn define(&mut self, body: &Body) -> String {
        self.bodies += 1;
        let name = format!("body{}", self.bodies);
        self.block(&format!("async def {name}(hand):"), body, Self::python, "");
        self.indent += 1;
        self.line("pass");
        self.indent -= 1;
        name
    }

    fn python(&mut self, op: &Op) {
        let var = |var: Var| VARIABLES[var];
        let value =
            |var: Var, value: u64| if var < 2 { value.to_string() } else { format!("\"text {value}\"") };
        match *op {
            Op::Get(v) => self.line(&format!("show({}.get)", var(v))),
            Op::GetOr(v, x) => self.line(&format!("show({}.get, {})", var(v), value(v, x))),
            Op::Set(v, x, slot) => {
                self.line(&format!("hand.token[{slot}] = {}.set({})", var(v), value(v, x)))
            }
            Op::Reset(v, slot) => self.line(&format!("show({}.reset, hand.token[{slot}])", var(v))),
            Op::Fill(x) => self.line(&format!("[var.set({x} + i) for i, var in enumerate(more)]")),
            Op::Copy(slot) => self.line(&format!("hand.context[{slot}] = contextvars.copy_context()")),
            Op::New(slot) => self.line(&format!("hand.context[{slot}] = contextvars.Context()")),
            Op::Clone(from, to) => self.line(&format!("hand.context[{to}] = hand.context[{from}].copy()")),
            Op::Lookup(slot, v) => self.line(&format!("show(lambda: hand.context[{slot}][{}])", var(v))),
            Op::Contains(slot, v) => self.line(&format!("print({} in hand.context[{slot}])", var(v))),
            Op::Len(slot) => self.line(&format!("print(len(hand.context[{slot}]))")),
            Op::Entries(slot) => {
                self.line(&format!("print(sorted((v.name, x) for v, x in hand.context[{slot}].items()))"));
            }
            Op::Run(slot, ref body) => {
                let name = self.define(body);
                self.line(&format!("show(hand.context[{slot}].run, lambda: call({name}(hand)))"));
            }
            Op::Scoped(v, x, ref body) => {
                self.line(&format!("scoped = {}.set({})", var(v), value(v, x)));
                let name = self.define(body);
                self.block("try:", &Body::new(), Self::python, "");
                self.line(&format!("    call({name}(hand))"));
                self.line("finally:");
                self.line(&format!("    {}.reset(scoped)", var(v)));
            }
            Op::Raise(x) => self.line(&format!("raise Exception({x})")),
            Op::Catch(ref body) => {
                self.block("try:", body, Self::python, "    pass");
                self.line("except Exception as error: print(\"caught\", error)");
            }
            Op::Thread(ref body) => {
                let name = self.define(body);
                self.line(&format!("thread = threading.Thread(target=lambda: call({name}(Hand())))"));
                self.line("thread.start(); thread.join()");
            }
            Op::Task(slot, take, ref body) => {
                let (name, hand) = (self.define(body), if take { "hand.give()" } else { "Hand()" });
                self.line(&format!("hand.task[{slot}] = asyncio.create_task({name}({hand})), None"));
            }
            Op::TaskIn(from, slot, take, ref body) => {
                let (name, hand) = (self.define(body), if take { "hand.give()" } else { "Hand()" });
                self.line(&format!("lent = hand.lend({from})"));
                self.line(&format!("task = asyncio.create_task({name}({hand}), context=lent)"));
                self.line(&format!("hand.task[{slot}] = task, ({from}, lent)"));
            }
            Op::Yield => self.line("await asyncio.sleep(0)"),
            Op::Await(ref body) => {
                let name = self.define(body);
                self.line(&format!("await {name}(hand)"));
            }
            Op::Trap(slot, ref body) => {
                let name = self.define(body);
                self.line(&format!("await hand.context[{slot}].run({name}, hand)"));
            }
            Op::Isolated(ref body) => {
                let name = self.define(body);
                self.line(&format!("await asyncio.create_task({name}(hand))"));
            }
            Op::ToThread(ref body) => {
                let name = self.define(body);
                self.line(&format!("await asyncio.to_thread(lambda: call({name}(Hand())))"));
            }
            Op::Join(slot) => self.line(&format!("await hand.join({slot})")),
        }
    }

    fn rust(&mut self, op: &Op) {
        let var = |var: Var| VARIABLES[var].to_uppercase();
        let value = |var: Var, value: u64| {
            if var < 2 { value.to_string() } else { format!("\"text {value}\".to_owned()") }
        };
        let given = |take: bool| if take { "hand.give()" } else { "Hand::default()" };
        let tokens = |var: Var| if var < 2 { "hand.number" } else { "hand.text" };
        match *op {
            Op::Get(v) => self.line(&format!("println!(\"{{:?}}\", {}.try_get());", var(v))),
            Op::GetOr(v, x) => {
                self.line(&format!("println!(\"{{:?}}\", {}.get_or({}));", var(v), value(v, x)));
            }
            Op::Set(v, x, slot) => {
                self.line(&format!("{}.put({slot}, {}.set({}));", tokens(v), var(v), value(v, x)));
            }
            Op::Reset(v, slot) => {
                self.line(&format!(
                    "println!(\"{{:?}}\", {}.try_reset({}.take({slot})));",
                    var(v),
                    tokens(v)
                ));
            }
            Op::Fill(x) => self.line(&format!("for (x, var) in ({x}..).zip(&MORE) {{ var.set(x); }}")),
            Op::Copy(slot) => self.line(&format!("hand.context.put({slot}, copy_context());")),
            Op::New(slot) => self.line(&format!("hand.context.put({slot}, Context::new());")),
            Op::Clone(from, to) => {
                self.line(&format!(
                    "hand.context.put({to}, hand.context.with({from}, |context| context.clone()));"
                ));
            }
            Op::Lookup(slot, v) => self.line(&format!(
                "hand.context.with({slot}, |context| println!(\"{{:?}}\", context.get(&{})));",
                var(v)
            )),
            Op::Contains(slot, v) => self.line(&format!(
                "hand.context.with({slot}, |context| println!(\"{{}}\", context.contains(&{})));",
                var(v)
            )),
            Op::Len(slot) => {
                self.line(&format!(
                    "hand.context.with({slot}, |context| println!(\"{{}}\", context.len()));"
                ));
            }
            Op::Entries(slot) => {
                self.line(&format!("hand.context.with({slot}, |context| println!(\"{{context:?}}\"));"));
            }
            Op::Run(slot, ref body) => {
                let first = format!("hand.context.with({slot}, |context| context.run(|| {{");
                self.block(&first, body, Self::rust, "}));");
            }
            Op::Scoped(v, x, ref body) => {
                let first = format!("{}.sync_scope({}, || {{", var(v), value(v, x));
                self.block(&first, body, Self::rust, "});");
            }
            Op::Raise(x) => self.line(&format!("std::panic::resume_unwind(Box::new({x}));")),
            Op::Catch(ref body) if !May::EVERYTHING.called().allows(body) => {
                self.block(
                    "let _ = FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async move {",
                    body,
                    Self::rust,
                    "})).await;",
                );
            }
            Op::Catch(ref body) => {
                self.block(
                    "let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {",
                    body,
                    Self::rust,
                    "}));",
                );
            }
            Op::Thread(ref body) => {
                self.actor("std::thread::spawn(|| {", "Hand::default()", body, "}).join().unwrap();");
            }
            Op::Task(slot, take, ref body) => {
                self.line(&format!("let given = {};", given(take)));
                let first = format!("hand.task.put({slot}, task::spawn(async move {{");
                self.actor(&first, "given", body, "    None\n}));");
            }
            Op::TaskIn(from, slot, take, ref body) => {
                self.line(&format!("let context = hand.context.take({from});"));
                self.line(&format!("let given = {};", given(take)));
                self.line(&format!("hand.task.put({slot}, tokio::spawn(async move {{"));
                self.indent += 1;
                let first = "let ((), context) = context.scope(async move {";
                self.actor(first, "given", body, "}).and_context().await;");
                self.line(&format!("Some(({from}, context))"));
                self.indent -= 1;
                self.line("}));");
            }
            Op::Yield => self.line("tokio::task::yield_now().await;"),
            Op::Await(ref body) => self.block("async move {", body, Self::rust, "}.await;"),
            Op::Trap(slot, ref body) => {
                let first = format!("hand.context.with({slot}, |context| context.run(|| async move {{");
                self.block(&first, body, Self::rust, "})).await;");
            }
            Op::Isolated(ref body) => {
                self.block("async move {", body, Self::rust, "}.in_copied_context().await;");
            }
            Op::ToThread(ref body) => {
                self.actor("task::spawn_blocking(|| {", "Hand::default()", body, "}).await.unwrap();");
            }
            Op::Join(slot) => self.line(&format!("hand.join({slot}).await;")),
        }
    }
}
