//! tower-lsp's servers: the attribute above and below `#[tower_lsp::async_trait]`, on a method, and on
//! methods outside the protocol.

use contextvar::{context_var, with_copied_context};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use tower_lsp::jsonrpc::{Request, Result};
use tower_lsp::lsp_types::{ExecuteCommandParams, InitializeParams, InitializeResult};
use tower_lsp::{LanguageServer, LspService};

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
#[tower_lsp::async_trait]
impl LanguageServer for Above {
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        Ok(InitializeResult::default())
    }

    async fn execute_command(&self, _: ExecuteCommandParams) -> Result<Option<Value>> {
        Ok(Some(visit().await.into()))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

#[with_copied_context(USER = "ada".to_owned())]
impl Above {
    async fn visit(&self, _: ExecuteCommandParams) -> Result<String> {
        Ok(visit().await)
    }
}

struct Below;

#[tower_lsp::async_trait]
#[with_copied_context(USER = "ada".to_owned())]
impl LanguageServer for Below {
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        Ok(InitializeResult::default())
    }

    async fn execute_command(&self, _: ExecuteCommandParams) -> Result<Option<Value>> {
        Ok(Some(visit().await.into()))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

struct Method;

#[tower_lsp::async_trait]
impl LanguageServer for Method {
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        Ok(InitializeResult::default())
    }

    #[with_copied_context(USER = params.command.clone())]
    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        Ok(Some(format!("{}: {}", params.command, visit().await).into()))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

impl Method {
    #[with_copied_context]
    async fn visit(&self, _: ExecuteCommandParams) -> Result<String> {
        Ok(visit().await)
    }

    async fn plain(&self, _: ExecuteCommandParams) -> Result<String> {
        Ok(visit().await)
    }
}

async fn call(service: &mut LspService<impl LanguageServer>, method: &'static str) -> Value {
    // Each method takes only its own parameters from these.
    let params = json!({ "capabilities": {}, "command": "ada" });
    let request = Request::build(method).params(params).id(1).finish();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    response.unwrap().into_parts().1.unwrap()
}

async fn initialized<S: LanguageServer>(mut service: LspService<S>) -> LspService<S> {
    call(&mut service, "initialize").await;
    service
}

#[tokio::test]
async fn each_request_keeps_the_values_of_its_handler() {
    let above = LspService::build(|_| Above).custom_method("visit", Above::visit);
    let above = &mut initialized(above.finish().0).await;
    let below = &mut initialized(LspService::new(|_| Below).0).await;
    let method = LspService::build(|_| Method).custom_method("visit", Method::visit);
    let method = &mut initialized(method.custom_method("plain", Method::plain).finish().0).await;

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(call(above, "workspace/executeCommand").await, "grace, visitor");
        assert_eq!(call(above, "visit").await, "ada, visitor");
        assert_eq!(call(below, "workspace/executeCommand").await, "ada, visitor");
        assert_eq!(call(method, "workspace/executeCommand").await, "ada: ada, visitor");
        assert_eq!(call(method, "visit").await, "grace, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A method without the attribute shares the context of its caller.
    assert_eq!(call(method, "plain").await, "grace, visitor");
    assert_eq!(call(method, "plain").await, "visitor, visitor");
}
