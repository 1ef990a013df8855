//! Prints a program in Python.

use super::Printer;
use crate::program::{Body, Op, Var};

/// The start of each printed program.
const PRELUDE: &str = include_str!("../prelude.py");

pub(crate) fn print(program: &Body) -> String {
    let mut printer = Printer { text: PRELUDE.to_owned(), indent: 0, functions: 0 };
    let main = printer.define_function(program);
    printer.line(&format!("asyncio.run({main}(Held()))"));
    printer.text
}

impl Printer {
    /// Defines a coroutine function and returns its name.
    fn define_function(&mut self, body: &Body) -> String {
        self.functions += 1;
        let name = format!("body{}", self.functions);
        self.block(&format!("async def {name}(held):"), body, Self::python, "");
        self.indent += 1;
        self.line("pass");
        self.indent -= 1;
        name
    }

    /// Prints one step.
    fn python(&mut self, op: &Op) {
        let var = |var: Var| super::VARIABLES[var];
        let value =
            |var: Var, value: u64| if var < 2 { value.to_string() } else { format!("\"text {value}\"") };
        match *op {
            Op::Get(v) => self.line(&format!("show({}.get)", var(v))),
            Op::GetOr(v, x) => self.line(&format!("show({}.get, {})", var(v), value(v, x))),
            Op::Set(v, x, slot) => {
                self.line(&format!("held.token[{slot}] = {}.set({})", var(v), value(v, x)))
            }
            Op::Reset(v, slot) => self.line(&format!("show({}.reset, held.token[{slot}])", var(v))),
            Op::Fill(x) => self.line(&format!("[var.set({x} + i) for i, var in enumerate(more)]")),
            Op::Copy(slot) => self.line(&format!("held.context[{slot}] = contextvars.copy_context()")),
            Op::New(slot) => self.line(&format!("held.context[{slot}] = contextvars.Context()")),
            Op::Clone(from, to) => self.line(&format!("held.context[{to}] = held.context[{from}].copy()")),
            Op::Lookup(slot, v) => self.line(&format!("show(lambda: held.context[{slot}][{}])", var(v))),
            Op::Contains(slot, v) => self.line(&format!("print({} in held.context[{slot}])", var(v))),
            Op::Len(slot) => self.line(&format!("print(len(held.context[{slot}]))")),
            Op::Entries(slot) => {
                self.line(&format!("print(sorted((v.name, x) for v, x in held.context[{slot}].items()))"));
            }
            Op::Run(slot, ref body) => {
                let name = self.define_function(body);
                self.line(&format!("show(held.context[{slot}].run, lambda: call({name}(held)))"));
            }
            Op::Scoped(v, x, ref body) => {
                self.line(&format!("token = {}.set({})", var(v), value(v, x)));
                let name = self.define_function(body);
                self.block("try:", &Body::new(), Self::python, "");
                self.line(&format!("    call({name}(held))"));
                self.line("finally:");
                self.line(&format!("    {}.reset(token)", var(v)));
            }
            Op::Raise(x) => self.line(&format!("raise Exception({x})")),
            Op::Catch(ref body) => {
                self.block("try:", body, Self::python, "    pass");
                self.line("except Exception as error: print(\"caught\", error)");
            }
            Op::Thread(ref body) => {
                let name = self.define_function(body);
                self.line(&format!("thread = threading.Thread(target=lambda: call({name}(Held())))"));
                self.line("thread.start(); thread.join()");
            }
            Op::Task(slot, take, ref body) => {
                let (name, argument) =
                    (self.define_function(body), if take { "held.hand_over()" } else { "Held()" });
                self.line(&format!("held.task[{slot}] = asyncio.create_task({name}({argument})), None"));
            }
            Op::TaskIn(from, slot, take, ref body) => {
                let (name, argument) =
                    (self.define_function(body), if take { "held.hand_over()" } else { "Held()" });
                self.line(&format!("taken = held.take({from})"));
                self.line(&format!("task = asyncio.create_task({name}({argument}), context=taken)"));
                self.line(&format!("held.task[{slot}] = task, ({from}, taken)"));
            }
            Op::Yield => self.line("await asyncio.sleep(0)"),
            Op::Await(ref body) => {
                let name = self.define_function(body);
                self.line(&format!("await {name}(held)"));
            }
            Op::Trap(slot, ref body) => {
                let name = self.define_function(body);
                self.line(&format!("await held.context[{slot}].run({name}, held)"));
            }
            Op::Isolated(ref body) => {
                let name = self.define_function(body);
                self.line(&format!("await asyncio.create_task({name}(held))"));
            }
            Op::ToThread(ref body) => {
                let name = self.define_function(body);
                self.line(&format!("await asyncio.to_thread(lambda: call({name}(Held())))"));
            }
            Op::Join(slot) => self.line(&format!("await held.join({slot})")),
        }
    }
}
