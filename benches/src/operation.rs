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
}

use Operation::*;

impl Operation {
    pub(crate) const ALL: [Operation; 14] = [
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
        }
    }

    /// Whether it is measured with this number of variables set.
    pub(crate) fn runs_with(self, variables: usize) -> bool {
        match self {
            // It sets the eight itself.
            Request => variables == 8,
            GetInTurn => variables > 1,
            _ => true,
        }
    }
}
