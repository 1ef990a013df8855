//! async-graphql's resolvers: the attribute above and below `#[Object]`, and on methods.

use async_graphql::{EmptyMutation, EmptySubscription, Object, Result, Schema};
use contextvar::{context_var, with_copied_context};
use serde_json::json;

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    tokio::task::yield_now().await;
    format!("{found}, {}", USER.get())
}

struct Above;

#[with_copied_context]
#[Object]
impl Above {
    async fn visit(&self) -> String {
        visit().await
    }

    #[with_copied_context(USER = user)]
    async fn entry(&self, user: String) -> Result<String> {
        Ok(visit().await)
    }
}

struct Below;

#[Object]
#[with_copied_context]
impl Below {
    async fn visit(&self) -> String {
        visit().await
    }

    #[with_copied_context(USER = user)]
    async fn entry(&self, user: String) -> Result<String> {
        Ok(visit().await)
    }
}

struct Method;

#[Object]
impl Method {
    #[with_copied_context]
    async fn visit(&self) -> String {
        visit().await
    }

    #[with_copied_context(USER = user)]
    async fn entry(&self, user: String) -> Result<String> {
        Ok(visit().await)
    }

    async fn plain(&self) -> String {
        visit().await
    }
}

struct Query;

#[with_copied_context]
#[Object]
impl Query {
    async fn above(&self) -> Above {
        Above
    }

    async fn below(&self) -> Below {
        Below
    }

    async fn method(&self) -> Method {
        Method
    }
}

#[tokio::test]
async fn each_field_keeps_the_values_of_its_resolver() {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let ask = async |query| {
        let answer = schema.execute(query).await.into_result().unwrap();
        answer.data.into_json().unwrap()
    };

    USER.set("grace".to_owned());
    for _ in 0..2 {
        // async-graphql resolves the fields of an object concurrently.
        for object in ["above", "below", "method"] {
            let answer =
                ask(format!(r#"{{ {object} {{ first: visit, second: visit, entry(user: "ada") }} }}"#)).await;
            let expected =
                json!({ "first": "grace, visitor", "second": "grace, visitor", "entry": "ada, visitor" });
            assert_eq!(answer[object], expected);
        }
        assert_eq!(USER.get(), "grace");
    }

    // A method without the attribute shares the context of its caller.
    let answer = ask("{ method { plain } }".to_owned()).await;
    assert_eq!(answer["method"]["plain"], "grace, visitor");
    assert_eq!(USER.get(), "visitor");
}
