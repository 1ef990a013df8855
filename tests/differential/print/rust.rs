//! Prints a program in Rust.

use super::Printer;
use crate::program::{Allowed, Body, Op, Var};

/// The start of each printed program.
const PRELUDE: &str = include_str!("../prelude.rs");

pub(crate) fn print(program: &Body) -> String {
    PRELUDE.to_owned() + &print_main(program)
}

/// Prints the program without the prelude.
pub(crate) fn print_main(program: &Body) -> String {
    let mut printer = Printer { text: String::new(), indent: 0, functions: 0 };
    printer.line("#[tokio::main]");
    printer.actor("pub(crate) async fn main() {", "Held::default()", program, "}");
    printer.text
}

impl Printer {
    /// Prints a block in which `held` is `owner`.
    fn actor(&mut self, first: &str, owner: &str, body: &Body, last: &str) {
        self.line(first);
        self.indent += 1;
        self.line(&format!("let held = &{owner};"));
        body.iter().for_each(|op| self.rust(op));
        self.indent -= 1;
        last.lines().for_each(|line| self.line(line));
    }

    /// Prints one step.
    fn rust(&mut self, op: &Op) {
        let var = |var: Var| super::VARIABLES[var].to_uppercase();
        let value = |var: Var, value: u64| {
            if var < 2 { value.to_string() } else { format!("\"text {value}\".to_owned()") }
        };
        let held_by_child = |take: bool| if take { "held.hand_over()" } else { "Held::default()" };
        let tokens = |var: Var| if var < 2 { "held.number" } else { "held.text" };
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
            Op::Copy(slot) => self.line(&format!("held.context.put({slot}, copy_context());")),
            Op::New(slot) => self.line(&format!("held.context.put({slot}, Context::new());")),
            Op::Clone(from, to) => {
                self.line(&format!(
                    "held.context.put({to}, held.context.with({from}, |context| context.clone()));"
                ));
            }
            Op::Lookup(slot, v) => self.line(&format!(
                "held.context.with({slot}, |context| println!(\"{{:?}}\", context.get(&{})));",
                var(v)
            )),
            Op::Contains(slot, v) => self.line(&format!(
                "held.context.with({slot}, |context| println!(\"{{}}\", context.contains(&{})));",
                var(v)
            )),
            Op::Len(slot) => {
                self.line(&format!(
                    "held.context.with({slot}, |context| println!(\"{{}}\", context.len()));"
                ));
            }
            Op::Entries(slot) => {
                self.line(&format!("held.context.with({slot}, |context| println!(\"{{context:?}}\"));"));
            }
            Op::Run(slot, ref body) => {
                let first = format!("held.context.with({slot}, |context| context.run(|| {{");
                self.block(&first, body, Self::rust, "}));");
            }
            Op::Scoped(v, x, ref body) => {
                let first = format!("{}.sync_scope({}, || {{", var(v), value(v, x));
                self.block(&first, body, Self::rust, "});");
            }
            Op::Raise(x) => self.line(&format!("std::panic::resume_unwind(Box::new({x}));")),
            Op::Catch(ref body) if !Allowed::ALL.without_waiting().allows(body) => {
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
                self.actor("std::thread::spawn(|| {", "Held::default()", body, "}).join().unwrap();");
            }
            Op::Task(slot, take, ref body) => {
                self.line(&format!("let child_held = {};", held_by_child(take)));
                let first = format!("held.task.put({slot}, task::spawn(async move {{");
                self.actor(&first, "child_held", body, "    None\n}));");
            }
            Op::TaskIn(from, slot, take, ref body) => {
                self.line(&format!("let context = held.context.take({from});"));
                self.line(&format!("let child_held = {};", held_by_child(take)));
                self.line(&format!("held.task.put({slot}, tokio::spawn(async move {{"));
                self.indent += 1;
                let first = "let ((), context) = context.scope(async move {";
                self.actor(first, "child_held", body, "}).and_context().await;");
                self.line(&format!("Some(({from}, context))"));
                self.indent -= 1;
                self.line("}));");
            }
            Op::Yield => self.line("tokio::task::yield_now().await;"),
            Op::Await(ref body) => self.block("async move {", body, Self::rust, "}.await;"),
            Op::Trap(slot, ref body) => {
                let first = format!("held.context.with({slot}, |context| context.run(|| async move {{");
                self.block(&first, body, Self::rust, "})).await;");
            }
            Op::Isolated(ref body) => {
                self.block("async move {", body, Self::rust, "}.in_copied_context().await;");
            }
            Op::ToThread(ref body) => {
                self.actor("task::spawn_blocking(|| {", "Held::default()", body, "}).await.unwrap();");
            }
            Op::Join(slot) => self.line(&format!("held.join({slot}).await;")),
        }
    }
}
