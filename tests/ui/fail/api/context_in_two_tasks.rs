use contextvar::Context;

fn main() {
    let context = Context::new();
    let first = context.scope(async {});
    let second = context.scope(async {});
    drop((first, second));
}
