//! Prints a program in Python and in Rust, for a person to read and run.

pub(crate) mod python;
pub(crate) mod rust;

use std::fmt::Write;

use crate::program::{Body, Op};

const VARIABLES: [&str; 4] = ["a", "b", "s", "t"];

struct Printer {
    text: String,
    indent: usize,
    /// The number of functions that were defined.
    functions: usize,
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
}
