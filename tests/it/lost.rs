//! The ways to lose a context that the guide's page `lost` lists: what code sees, how the library reports it,
//! and what to write instead.

use std::sync::Once;

use contextvar::ContextVar;
use contextvar::report::{self, Cause};

/// Declares what one test needs: the variable `USER`, `ada()`, a context in which it is set, `user()` and
/// `user_now()`, which read it, and `reported()`, which returns the causes of its reports, each with its
/// count. All reads are at one place for the reports: the line of this macro's call.
macro_rules! user {
    ($name:literal) => {
        #[contextvar::context_var(name = $name)]
        static USER: &str = "nobody";

        const LINE: u32 = line!();

        #[allow(dead_code)]
        fn ada() -> contextvar::Context {
            contextvar::Context::new().with_value(&USER, "ada")
        }

        #[allow(dead_code)]
        fn user_now() -> &'static str {
            USER.get()
        }

        #[allow(dead_code)]
        async fn user() -> &'static str {
            user_now()
        }

        fn reported() -> Vec<(contextvar::report::Cause, u64)> {
            crate::lost::reported(&USER, file!(), LINE)
        }

        crate::lost::start();
        assert_eq!(reported(), []);
    };
}

mod closures;
mod connections;
mod requests;
mod shared;
mod tasks;
mod threads;

/// Turns the reports on, for the whole process.
fn start() {
    static START: Once = Once::new();

    START.call_once(|| {
        report::report_threads(true);
        report::set_reporter(|_| ());
    });
}

/// Returns the causes of a variable's reports, each with its count. The place of each is the given line.
fn reported(var: &'static ContextVar<&'static str>, file: &str, line: u32) -> Vec<(Cause, u64)> {
    let reports = report::all().into_iter().filter(|report| report.variable() == var.name());
    let check = |report: report::Report| {
        assert_eq!((report.location().file(), report.location().line()), (file, line), "{report}");
        (report.cause(), report.count())
    };
    reports.map(check).collect()
}
