//! A row of a table: what is measured, and what it is compared with.

use super::Program;

pub(crate) struct Row {
    pub(super) what: &'static str,
    pub(super) repeats: u64,
    pub(super) ours: Side,
    /// The instructions that contextvar may add.
    pub(super) limit: Option<f64>,
    pub(super) peers: Vec<Peer>,
    pub(super) why_not: Option<WhyNot>,
}

/// Why a figure exceeds its limit, or that of a peer.
#[derive(Clone, Copy)]
pub(super) struct WhyNot {
    /// The most that it can be: instructions beside a limit, or else a multiple of the peer's.
    pub(super) most: f64,
    pub(super) reason: &'static str,
}

/// A program, and the same program without what is measured.
pub(super) struct Side {
    pub(super) run: Program,
    pub(super) plain: Option<Program>,
}

pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) side: Side,
    pub(super) why_not: Option<WhyNot>,
}

#[allow(dead_code, reason = "not every build has rows of each kind")]
impl Row {
    /// Returns a row whose figure is that of the whole operation.
    pub(super) fn new(what: &'static str, run: Program) -> Self {
        let ours = Side { run, plain: None };
        Row { what, repeats: 2000, ours, limit: None, peers: Vec::new(), why_not: None }
    }

    /// Makes the row's figure what the operation adds to `plain`.
    pub(super) fn over(mut self, plain: Program) -> Self {
        self.ours.plain = Some(plain);
        self
    }

    pub(super) fn at_most(mut self, instructions: impl Into<f64>) -> Self {
        self.limit = Some(instructions.into());
        self
    }

    /// Adds a peer that contextvar should be ahead of. The peer's figure is over the same plain program as
    /// contextvar's.
    pub(super) fn beside(mut self, name: &'static str, run: Program) -> Self {
        let plain = self.ours.plain;
        self.peers.push(Peer { name, side: Side { run, plain }, why_not: None });
        self
    }

    /// Makes the last peer's figure what it adds to `plain`.
    pub(super) fn its_plain(mut self, plain: Program) -> Self {
        self.peers.last_mut().expect("after `beside`").side.plain = Some(plain);
        self
    }

    /// Says why contextvar is behind the last peer, and at most by which factor; or if there is no peer, why the
    /// limit is exceeded, and the most instructions.
    pub(super) fn why_not(mut self, most: impl Into<f64>, reason: &'static str) -> Self {
        let why_not = Some(WhyNot { most: most.into(), reason });
        match self.peers.last_mut() {
            Some(peer) => peer.why_not = why_not,
            None => self.why_not = why_not,
        }
        self
    }

    pub(super) fn repeats(mut self, repeats: u64) -> Self {
        self.repeats = repeats;
        self
    }

    /// Returns all programs of the row.
    pub(super) fn programs(&self) -> Vec<Program> {
        let peers = self.peers.iter().map(|peer| &peer.side);
        [&self.ours]
            .into_iter()
            .chain(peers)
            .flat_map(|side| [Some(side.run), side.plain])
            .flatten()
            .collect()
    }
}
