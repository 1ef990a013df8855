#[tokio::main]
pub(crate) async fn main() {
    let held = &Held::default();
    held.number.put(0, A.set(1));
    held.text.put(0, T.set("text 2".to_owned()));
    for (x, var) in (0..).zip(&MORE) { var.set(x); }
    held.context.put(0, copy_context());
    held.context.put(1, Context::new());
    held.context.put(2, held.context.with(0, |context| context.clone()));
    held.context.with(0, |context| println!("{:?}", context.get(&A)));
    held.context.with(0, |context| println!("{}", context.contains(&T)));
    held.context.with(0, |context| println!("{}", context.len()));
    held.context.with(1, |context| println!("{context:?}"));
    held.context.with(0, |context| context.run(|| {
        held.text.put(1, S.set("text 3".to_owned()));
        B.sync_scope(4, || {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        });
        std::thread::spawn(|| {
            let held = &Held::default();
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }).join().unwrap();
    }));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::panic::resume_unwind(Box::new(6));
    }));
    let _ = FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async move {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new(7));
    })).await;
    println!("{:?}", T.try_reset(held.text.take(0)));
    let child_held = Held::default();
    held.task.put(0, task::spawn(async move {
        let held = &child_held;
        tokio::task::yield_now().await;
        held.number.put(0, A.set(8));
        println!("{:?}", A.try_reset(held.number.take(0)));
        async move {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }.await;
        None
    }));
    let context = held.context.take(0);
    let child_held = held.hand_over();
    held.task.put(1, tokio::spawn(async move {
        let ((), context) = context.scope(async move {
            let held = &child_held;
            async move {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            }.in_copied_context().await;
            held.context.with(2, |context| context.run(|| async move {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            })).await;
        }).and_context().await;
        Some((0, context))
    }));
    task::spawn_blocking(|| {
        let held = &Held::default();
        println!("{:?}", A.try_get());
        println!("{:?}", S.get_or("text 5".to_owned()));
    }).await.unwrap();
    held.join(0).await;
    held.join(1).await;
    held.context.with(0, |context| println!("{}", context.len()));
}
