//! The page.
use bytes::Bytes;

/// TODO
#[derive(Clone, Debug)]
pub struct Page {}
/// TODO
#[derive(Debug)]
pub struct PageBody(Option<Bytes>);
impl Page {
    pub(super) fn new() -> Self {
        let _ = (super::finished::finished, PageBody(None).0);
        Page {}
    }
}
