use contextvar::{with_copied_context, with_empty_context};

#[with_empty_context]
#[with_copied_context]
async fn both() {}

#[with_copied_context]
#[with_empty_context]
fn the_other_way_round() {}

#[with_empty_context]
#[with_empty_context]
async fn twice() {}

fn main() {}
