use contextvar::baggage::Codec;
use contextvar::context_var;

struct Decimal;

impl Codec<u64> for Decimal {
    fn encode(value: &u64) -> String {
        value.to_string()
    }

    fn decode(text: &str) -> Option<u64> {
        text.parse().ok()
    }
}

#[context_var(baggage = "list", codec = Decimal)]
static LIST: Vec<u8>;

fn main() {}
