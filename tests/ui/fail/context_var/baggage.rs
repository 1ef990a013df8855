use contextvar::context_var;

#[context_var(secret, baggage = "password")]
static SECRET: String;

#[context_var(baggage = "not a key")]
static SPACES: String;

#[context_var(baggage)]
static NO_KEY: String;

#[context_var(codec = Codec)]
static NO_BAGGAGE: String;

#[context_var(baggage = "codec", codec = 7)]
static NO_CODEC: String;

fn main() {}
