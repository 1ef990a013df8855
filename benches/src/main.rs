//! contextvar and its peers, side by side, in one run. See the README's "Speed".

mod alloc;
mod measure;
mod operation;
mod peers;
mod report;
mod work;

fn main() {
    let mut peers = peers::all();
    let figures = measure::all(&mut peers);
    print!("{}", report::tables(&peers, &figures));
}
