//! A snapshot as text, and as JSON.

use std::fmt;

use contextvar::{ContextVar, inspect};

use crate::support::*;

static TENANT: ContextVar<String> = ContextVar::new("tenant").debug();
static RAW: ContextVar<Raw> = ContextVar::new("raw").debug();

/// Writes the text as it is.
#[derive(Clone)]
struct Raw(&'static str);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Returns the lines of the tree with this root, with `..` in place of the parts that differ between runs: numbers,
/// lines of the code, and times.
fn tree_of(root: u64) -> String {
    let text = inspect::snapshot().to_string();
    let trees = text.split("\n\n").find(|tree| tree.starts_with(&format!("#{root} "))).expect("it is listed");
    let lines = trees.lines().map(|line| match line.split_once("tests/inspect/support.rs:") {
        Some((start, rest)) => {
            let (before, after) = start.split_once('#').expect("a number");
            let what = after.split_once(' ').expect("a kind").1;
            let state = if rest.contains("  FINISHED ") { " FINISHED" } else { "" };
            format!("{before}#.. {}{state}", what.trim_end())
        }
        None => line.to_owned(),
    });
    lines.skip(1).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_text_shows_trees_with_their_variables_below_each_context() {
    in_root_alone(|root| {
        let mut first = Unit::new("first");
        first.run(|| drop(TENANT.set("acme".to_owned())));
        let mut child = first.child("child");
        let grandchild = child.child("grandchild");
        let _second_child = first.child("second child");
        let mut last = Unit::new("last");
        last.run(|| drop(TENANT.set("initech".to_owned())));
        let _child_of_last = last.child("child of last");
        drop(child);
        let expected = r#"
├─ #.. scope "first"
│  │  tenant="acme"
│  ├─ #.. scope "child" FINISHED
│  │  └─ #.. scope "grandchild"
│  │        tenant="acme"
│  └─ #.. scope "second child"
│        tenant="acme"
└─ #.. scope "last"
   │  tenant="initech"
   └─ #.. scope "child of last"
         tenant="initech""#;
        assert_eq!(format!("\n{}", tree_of(root)), expected);
        drop(grandchild);
    });
}

#[test]
fn a_value_cannot_write_a_line_or_control_a_terminal() {
    in_root_alone(|root| {
        let mut unit = Unit::new("unit");
        unit.run(|| drop(RAW.set(Raw("one\n#1 request\u{1b}[2J"))));
        assert!(tree_of(root).ends_with(r"   raw=one\n#1 request\u{1b}[2J"), "{}", tree_of(root));
    });
}

#[test]
fn the_name_of_a_thread_cannot_write_a_line() {
    in_root(|_| {
        let snapshot = contextvar::inherit_context().bind(|| inspect::snapshot().to_string());
        let thread = std::thread::Builder::new().name("one\ntwo\u{1b}[2J".to_owned());
        let text = thread.spawn(snapshot).unwrap().join().unwrap();
        assert!(text.contains(r"  running on one\ntwo\u{1b}[2J for "), "{text}");
    });
}

#[test]
fn an_idle_context_and_a_running_one_say_what_they_do() {
    in_root_alone(|root| {
        let line = |number: u64| {
            let text = inspect::snapshot().to_string();
            let line = text.lines().find(|line| line.contains(&format!("#{number} ")));
            line.expect("it is listed").to_owned()
        };
        let mut unit = Unit::new("unit");
        let number = only(root).number();
        let idle = line(number);
        assert!(idle.contains("  idle for ") && idle.contains("  1 poll  busy "), "{idle}");
        let running = unit.run(move || line(number));
        assert!(running.contains("  running on ") && running.contains("  2 polls  busy "), "{running}");
    });
}

#[test]
fn json_has_every_field_of_a_context() {
    in_root_alone(|root| {
        let mut unit = Unit::new("unit");
        unit.run(|| drop(TENANT.set("</script>".to_owned())));
        let snapshot = inspect::snapshot();
        let json = serde_json::to_value(&snapshot).unwrap();
        let contexts = json["contexts"].as_array().unwrap();
        let context = contexts.iter().find(|context| context["parent"] == root).unwrap();
        let listed = snapshot.children(root).next().unwrap();
        assert_eq!(context["number"], listed.number());
        assert_eq!(context["kind"], "scope");
        assert_eq!(context["file"], listed.location().file());
        assert_eq!(context["line"], listed.location().line());
        assert_eq!(context["column"], listed.location().column());
        assert_eq!(context["name"], "unit");
        assert_eq!(context["polls"], 2);
        assert_eq!(context["size"], listed.size());
        assert_eq!(context["variables"], serde_json::json!([{"name": "tenant", "value": r#""</script>""#}]));
        for absent in ["finished_us", "running_on", "running_us", "task_id"] {
            assert!(context[absent].is_null(), "{absent}");
        }
        for time in ["age_us", "busy_us", "longest_poll_us", "last_polled_us"] {
            assert!(context[time].is_u64(), "{time}");
        }
        assert_eq!(context.as_object().unwrap().len(), 18);
    });
}
