//! The corpora of the fuzz targets; see `scripts/fuzz`.

/// Runs a target on each input of its corpus and on each input that once failed.
pub(crate) fn run(target: &str, corpus: &str, run: fn(&[u8])) {
    // Miri has time for a few inputs.
    const STEP: usize = if cfg!(miri) { 250 } else { 1 };

    assert!(corpus.lines().count() > 100);
    corpus.lines().step_by(STEP).for_each(|digits| run(&bytes(digits)));
    for line in include_str!("../../../fuzz/found.txt").lines() {
        let (found_by, digits) = line.split_once(' ').expect("the target and its input");
        assert!(["maps", "hostile", "baggage"].contains(&found_by), "{found_by} is no target");
        if found_by == target {
            run(&bytes(digits));
        }
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
