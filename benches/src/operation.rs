//! The operations that are measured: the rows of the tables.

/// The numbers of variables set.
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
    SyncScopeNumber,
    SyncScopeString,
    Copy,
    RunInCopy,
    CopyOnWrite,
    Poll,
    PollHandedOver,
    SpawnCurrentThread,
    SpawnMultiThread,
    Request,
    RequestWithoutBlocking,
}

use Operation::*;

impl Operation {
    pub(crate) const ALL: [Operation; 18] = [
        Get,
        GetInTurn,
        ReadString,
        CloneString,
        GetUnset,
        SetNumber,
        SetString,
        SyncScopeNumber,
        SyncScopeString,
        Copy,
        RunInCopy,
        CopyOnWrite,
        Poll,
        PollHandedOver,
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
            SyncScopeNumber => "run a closure with a u64 set",
            SyncScopeString => "run a closure with a String set",
            Copy => "copy the context and drop the copy",
            RunInCopy => "run a closure in an existing copy",
            CopyOnWrite => "copy, then the first set",
            Poll => "one poll of a wrapped future",
            PollHandedOver => "one poll of a future for another task",
            SpawnCurrentThread => "spawn + join, current-thread",
            SpawnMultiThread => "spawn + join, multi-thread",
            Request => "the request",
            RequestWithoutBlocking => "the request without its blocking call",
        }
    }

    /// Returns true for the composed operations: eight variables set, three tasks spawned in copies, one
    /// blocking call, 200 polls, and 40 reads. The blocking call goes to another thread and back, which takes
    /// longer than everything else and varies most, so a second operation omits it.
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Request | RequestWithoutBlocking)
    }

    /// Returns true if the operation uses the text variable.
    pub(crate) fn uses_text(self) -> bool {
        matches!(self, ReadString | CloneString | SetString | SyncScopeString)
    }

    /// Returns true if the operation is measured with this number of variables set.
    pub(crate) fn runs_with(self, variables: usize) -> bool {
        match self {
            // The request sets its eight variables itself.
            _ if self.is_request() => variables == 8,
            GetInTurn => variables > 1,
            _ => true,
        }
    }
}
