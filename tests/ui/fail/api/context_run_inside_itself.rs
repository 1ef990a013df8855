fn main() {
    let mut ctx = contextvar::copy_context();
    ctx.run(|| ctx.run(|| ()));
}
