use contextvar::context_var;

struct NeitherDisplayNorDebug;

struct User {
    name: String,
    shape: NeitherDisplayNorDebug,
}

#[context_var(log = |user| &user.nmae)]
static NO_FIELD: User;

#[context_var(log = |user| &user.shape)]
static NOT_SHOWN: User;

fn main() {}
