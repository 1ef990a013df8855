//! A transaction that its task alone uses.

// Recipe

use std::sync::Arc;

use contextvar::context_var;
use sqlx::{Result, Sqlite, SqlitePool, Transaction};
use tokio::sync::Mutex;

#[context_var(inherit = false)]
static TRANSACTION: Arc<Mutex<Transaction<'static, Sqlite>>>;

async fn in_transaction<T>(pool: &SqlitePool, work: impl Future<Output = Result<T>>) -> Result<T> {
    let transaction = Arc::new(Mutex::new(pool.begin().await?));
    let result = TRANSACTION.scope(transaction.clone(), work).await;
    let transaction = Arc::into_inner(transaction).expect("something keeps the transaction").into_inner();
    match &result {
        Ok(_) => transaction.commit().await?,
        Err(_) => transaction.rollback().await?,
    }
    result
}

async fn insert(pool: SqlitePool, item: &str) -> Result<()> {
    let insert = sqlx::query("INSERT INTO orders VALUES (?)").bind(item);
    match TRANSACTION.try_get() {
        Ok(transaction) => insert.execute(&mut **transaction.lock().await).await,
        Err(_) => insert.execute(&pool).await,
    }?;
    Ok(())
}

// Test

use contextvar::{InContext, copy_context, task};

async fn pool() -> SqlitePool {
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(2);
    let pool = pool.connect("sqlite::memory:").await.unwrap();
    sqlx::query("CREATE TABLE orders (item TEXT)").execute(&pool).await.unwrap();
    pool
}

async fn orders(pool: &SqlitePool) -> Vec<String> {
    sqlx::query_scalar("SELECT item FROM orders").fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_spawned_task_is_outside_of_the_transaction() {
    let pool = pool().await;
    let work = async {
        task::spawn(insert(pool.clone(), "from a task")).await.unwrap()?;
        insert(pool.clone(), "in the transaction").await?;
        Err(sqlx::Error::RowNotFound)
    };
    let result = in_transaction::<()>(&pool, work).await;
    assert!(matches!(result, Err(sqlx::Error::RowNotFound)), "{result:?}");
    assert_eq!(orders(&pool).await, ["from a task"]);
}

#[tokio::test]
async fn functions_of_the_task_are_in_the_transaction() {
    let pool = pool().await;
    let work = || async {
        insert(pool.clone(), "anvil").await?;
        insert(pool.clone(), "globe").in_copied_context().await
    };
    let result = in_transaction(&pool, async { work().await.and(Err::<(), _>(sqlx::Error::RowNotFound)) });
    assert!(matches!(result.await, Err(sqlx::Error::RowNotFound)));
    assert_eq!(orders(&pool).await, [""; 0]);
    in_transaction(&pool, work()).await.unwrap();
    assert_eq!(orders(&pool).await, ["anvil", "globe"]);
    assert!(!TRANSACTION.is_set());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_have_transactions_of_their_own() {
    let pool = pool().await;
    let request = |item| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let work = async { insert(pool.clone(), item).await };
            in_transaction(&pool, work).await
        })
    };
    for request in [request("anvil"), request("globe")] {
        request.await.unwrap().unwrap();
    }
    let mut orders = orders(&pool).await;
    orders.sort();
    assert_eq!(orders, ["anvil", "globe"]);
}

/// A copy by hand does not leave the variable out.
#[tokio::test]
async fn a_copy_that_is_spawned_takes_the_transaction_along() {
    let pool = pool().await;
    let work = async {
        let copied = tokio::spawn(copy_context().scope(async { TRANSACTION.is_set() }));
        let inherited = task::spawn(async { TRANSACTION.is_set() });
        assert!(copied.await.unwrap());
        assert!(!inherited.await.unwrap());
        Ok(())
    };
    in_transaction(&pool, work).await.unwrap();
}
