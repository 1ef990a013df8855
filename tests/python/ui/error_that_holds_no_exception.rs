use contextvar::with_copied_context;

#[with_copied_context(python, apply_changes)]
fn count() -> Result<u64, String> {
    Ok(7)
}

fn main() {}
