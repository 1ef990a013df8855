//! What is measured.

/// How many variables are set.
pub(crate) const SIZES: [usize; 4] = [1, 8, 64, 1000];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Get,
    GetInTurn,
    ReadString,
    CloneString,
    GetUnset,
    SetNumber,
    SetString,
    Copy,
    RunInCopy,
    CopyOnWrite,
    Poll,
    SpawnCurrentThread,
    SpawnMultiThread,
    Request,
    RequestWithoutBlocking,
}

use Operation::*;

impl Operation {
    pub(crate) const ALL: [Operation; 15] = [
        Get,
        GetInTurn,
        ReadString,
        CloneString,
        GetUnset,
        SetNumber,
        SetString,
        Copy,
        RunInCopy,
        CopyOnWrite,
        Poll,
        SpawnCurrentThread,
        SpawnMultiThread,
        Request,
        RequestWithoutBlocking,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Get => "get a u64",
            GetInTurn => "get each variable in turn",
            ReadString => "read a String by reference",
            CloneString => "clone a String",
            GetUnset => "read an unset variable, with a default",
            SetNumber => "set a u64 and restore it",
            SetString => "set a String and restore it",
            Copy => "copy the context and drop the copy",
            RunInCopy => "run a closure in a copy made before",
            CopyOnWrite => "copy, then the first set",
            Poll => "one poll of a wrapped future",
            SpawnCurrentThread => "spawn + join, current-thread",
            SpawnMultiThread => "spawn + join, multi-thread",
            Request => "the request",
            RequestWithoutBlocking => "the request without its blocking call",
        }
    }

    /// The composed case: eight variables set, three tasks spawned in copies, one blocking call, 200 polls, 40 reads.
    /// The blocking call goes to another thread and back, which takes longer than all the rest and is never twice
    /// the same; so there is a second one without it.
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Request | RequestWithoutBlocking)
    }

    /// Whether it is for the text variable.
    pub(crate) fn is_of_text(self) -> bool {
        matches!(self, ReadString | CloneString | SetString)
    }

    /// Whether it is measured with this number of variables set.
    pub(crate) fn runs_with(self, variables: usize) -> bool {
        match self {
            // It sets the eight itself.
            _ if self.is_request() => variables == 8,
            GetInTurn => variables > 1,
            _ => true,
        }
    }
}
