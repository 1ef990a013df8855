use contextvar::{context_var, task};

#[context_var]
static USER: String;

fn main() {
    task::spawn(async {
        let _reset = USER.set("ada".to_owned()).reset_on_drop();
        tokio::task::yield_now().await;
    });
}
