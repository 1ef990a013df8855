use contextvar::ContextVar;

static CALLBACK: ContextVar<for<'a> fn(&'a str) -> &'a str> = ContextVar::new("callback");

fn forever(text: &'static str) -> &'static str {
    text
}

fn main() {
    // If this compiled, `forever` could be called with text that does not live forever.
    let var: &'static ContextVar<fn(&'static str) -> &'static str> = &CALLBACK;
    var.set(forever);
}
