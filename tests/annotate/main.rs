//! Puts an attribute on the functions or containers in source files, in place, and prints their number:
//! annotate [--attribute PATH] [--above | --below] [--containers] [--all | --async-only] FILE..

use std::error::Error;
use std::{env, fs};

use annotate::{Options, annotate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options {
        attribute: "contextvar::with_copied_context".to_owned(),
        below: false,
        containers: false,
        async_only: false,
    };
    let mut files = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--attribute" => options.attribute = args.next().ok_or("--attribute needs a path")?,
            "--above" => options.below = false,
            "--below" => options.below = true,
            "--containers" => options.containers = true,
            "--all" => options.async_only = false,
            "--async-only" => options.async_only = true,
            option if option.starts_with("--") => return Err(format!("unknown option {option}").into()),
            _ => files.push(arg),
        }
    }
    let mut total = 0;
    for file in files {
        let source = fs::read_to_string(&file)?;
        let (annotated, places) = annotate(&source, &options).map_err(|error| format!("{file}: {error}"))?;
        fs::write(&file, annotated)?;
        total += places;
    }
    println!("{total}");
    Ok(())
}
