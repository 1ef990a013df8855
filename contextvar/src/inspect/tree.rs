//! The list as text.

use std::fmt::{self, Write};
use std::mem;
use std::time::Duration;

use super::snapshot::{ListedContext, Snapshot};

/// Writes the trees, with two lines for each context: its description, and its variables if any are set.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no contexts\n");
        }
        let contexts: Vec<_> = self.iter().collect();
        let has_later_sibling = later_siblings(&contexts);
        writeln!(f, "{} context{}", contexts.len(), if contexts.len() == 1 { "" } else { "s" })?;
        // For each level of the tree that is being written, whether its context has a later sibling.
        let mut levels = Vec::new();
        for (index, context) in contexts.iter().enumerate() {
            levels.truncate(context.depth());
            match has_later_sibling[index] {
                _ if levels.is_empty() => writeln!(f)?,
                true => write!(f, "{}\u{251c}\u{2500} ", Indent(&levels))?,
                false => write!(f, "{}\u{2514}\u{2500} ", Indent(&levels))?,
            }
            levels.push(has_later_sibling[index]);
            write_context(f, context)?;
            if context.variables().next().is_some() {
                let has_children = contexts.get(index + 1).is_some_and(|next| next.depth() > context.depth());
                write!(f, "{}{} ", Indent(&levels), if has_children { "\u{2502}" } else { " " })?;
                context.variables().try_for_each(|(name, value)| write!(f, " {name}={}", Line(value)))?;
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Writes the lines of the levels below the root.
struct Indent<'a>(&'a [bool]);

impl fmt::Display for Indent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut below_root = self.0.iter().skip(1);
        below_root.try_for_each(|has_later| f.write_str(if *has_later { "\u{2502}  " } else { "   " }))
    }
}

/// Returns for each context whether a later one has the same parent.
fn later_siblings(contexts: &[&ListedContext]) -> Vec<bool> {
    let mut later = vec![false; contexts.len()];
    // For each level, whether a context of that level comes later, before one of a lower level.
    let mut seen: Vec<bool> = Vec::new();
    for (index, context) in contexts.iter().enumerate().rev() {
        let depth = context.depth();
        seen.resize(depth + 1, false);
        later[index] = mem::replace(&mut seen[depth], true);
    }
    later
}

/// Writes text in one line: a user's `Debug` and a thread's name can have unescaped text from clients.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

fn write_context(f: &mut fmt::Formatter<'_>, context: &ListedContext) -> fmt::Result {
    let location = context.location();
    write!(f, "#{} {}", context.number(), context.kind())?;
    if let Some(name) = context.name() {
        write!(f, " {name:?}")?;
    }
    write!(f, "  {}:{}  {}", location.file(), location.line(), Time(context.age()))?;
    if let Some(finished) = context.finished() {
        return writeln!(f, "  FINISHED {} ago", Time(finished));
    }
    match (context.running_on(), context.running_for(), context.last_polled()) {
        (Some(thread), Some(time), _) => write!(f, "  running on {} for {}", Line(thread), Time(time))?,
        (.., Some(time)) => write!(f, "  idle for {}", Time(time))?,
        _ => f.write_str("  not polled yet")?,
    }
    if let Some(task) = context.task_id() {
        write!(f, "  task {task}")?;
    }
    let polls = context.polls();
    write!(f, "  {polls} poll{}", if polls == 1 { "" } else { "s" })?;
    write!(f, "  busy {} (longest {})", Time(context.busy()), Time(context.longest_poll()))?;
    if context.size() > 0 {
        write!(f, "  {} bytes", context.size())?;
    }
    writeln!(f)
}

/// Writes a time with its unit. Times from 1 s to 100 s have two digits.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let seconds = self.0.as_secs();
        match seconds {
            0 if millis == 0 => f.write_str("<1 ms"),
            0 => write!(f, "{millis} ms"),
            1..10 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            10..100 => write!(f, "{seconds} s"),
            100..6000 => write!(f, "{} min", seconds / 60),
            _ => write!(f, "{} h", seconds / 3600),
        }
    }
}
