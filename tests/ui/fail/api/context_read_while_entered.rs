use contextvar::{Context, context_var};

#[context_var]
static USER: u64;

fn main() {
    let mut context = Context::new();
    context.run(|| context.get(&USER).is_some());
}
