//! eyre.

// Recipe

use contextvar::ContextSnapshot;
use eyre::{Result, WrapErr};

fn parse_order(text: &str) -> Result<u32> {
    text.parse().wrap_err_with(ContextSnapshot::capture)
}

// Test

use contextvar::task;

use crate::support::context;

#[tokio::test]
async fn a_report_has_the_variables_of_the_place_of_the_error() {
    let tasks = [1, 2].map(|n| {
        tokio::spawn(context(n).scope(async { task::spawn(async { parse_order("many") }).await.unwrap() }))
    });
    for (n, task) in (1..).zip(tasks) {
        // The report is made in another context.
        let error = task.await.unwrap().unwrap_err();
        let variables = format!("request_id={n} tenant=\"tenant {n}\"");
        let cause = "invalid digit found in string";
        let (line, report) = context(9).run(|| (format!("{error:#}"), format!("{error:?}")));
        assert_eq!(line, format!("{variables}: {cause}"));
        assert_eq!(error.to_string(), variables);
        assert!(report.starts_with(&variables) && report.contains(cause), "{report}");
        let snapshot = error.downcast_ref::<ContextSnapshot>().unwrap();
        assert_eq!(snapshot.get("tenant"), Some(&*format!("tenant {n}")));
    }
    assert_eq!(parse_order("7").unwrap(), 7);
}
