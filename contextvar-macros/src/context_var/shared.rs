//! Types whose clones share something that can change.

use syn::{GenericArgument, Ident, Path, PathArguments, PathSegment, Type};

/// Types with interior mutability, and ends of channels. Clones of them, or references to them, share their
/// state.
const SHARED: &[&str] = &[
    "ArcSwap",
    "ArcSwapAny",
    "ArcSwapOption",
    "ArrayQueue",
    "Barrier",
    "CancellationToken",
    "Condvar",
    "DashMap",
    "DashSet",
    "FairMutex",
    "Mutex",
    "Notify",
    "OnceCell",
    "OnceLock",
    "ReentrantLock",
    "ReentrantMutex",
    "RwLock",
    "SegQueue",
    "Semaphore",
    "SetOnce",
    "SyncSender",
    "TaskTracker",
    "UnboundedSender",
];

/// What follows `Atomic` in the names of atomics.
const ATOMICS: &[&str] = &[
    "", "Bool", "Cell", "F32", "F64", "I8", "I16", "I32", "I64", "I128", "Isize", "Ptr", "RefCell", "U8",
    "U16", "U32", "U64", "U128", "Usize", "Waker",
];

/// Modules whose `Sender` can be cloned. Other types are called `Sender` as well.
const CHANNELS: &[&str] = &["broadcast", "mpsc", "watch"];

/// Types that do not change behind an `Arc`, with the number of their arguments that are part of the value.
/// Further arguments are hashers and allocators.
const IMMUTABLE: &[(&str, usize)] = &[
    ("Arc", 1),
    ("BTreeMap", 2),
    ("BTreeSet", 1),
    ("BinaryHeap", 1),
    ("Box", 1),
    ("Bytes", 0),
    ("CStr", 0),
    ("CString", 0),
    ("Cow", 1),
    ("Duration", 0),
    ("HashMap", 2),
    ("HashSet", 1),
    ("HeaderMap", 0),
    ("HeaderName", 0),
    ("HeaderValue", 0),
    ("Instant", 0),
    ("IpAddr", 0),
    ("Ipv4Addr", 0),
    ("Ipv6Addr", 0),
    ("LinkedList", 1),
    ("NonZero", 1),
    ("NonZeroI128", 0),
    ("NonZeroI16", 0),
    ("NonZeroI32", 0),
    ("NonZeroI64", 0),
    ("NonZeroI8", 0),
    ("NonZeroIsize", 0),
    ("NonZeroU128", 0),
    ("NonZeroU16", 0),
    ("NonZeroU32", 0),
    ("NonZeroU64", 0),
    ("NonZeroU8", 0),
    ("NonZeroUsize", 0),
    ("Option", 1),
    ("OsStr", 0),
    ("OsString", 0),
    ("Path", 0),
    ("PathBuf", 0),
    ("PhantomData", 0),
    ("Regex", 0),
    ("Result", 2),
    ("SocketAddr", 0),
    ("String", 0),
    ("SystemTime", 0),
    ("Uri", 0),
    ("Url", 0),
    ("Uuid", 0),
    ("Vec", 1),
    ("VecDeque", 1),
    ("bool", 0),
    ("char", 0),
    ("f32", 0),
    ("f64", 0),
    ("i128", 0),
    ("i16", 0),
    ("i32", 0),
    ("i64", 0),
    ("i8", 0),
    ("isize", 0),
    ("str", 0),
    ("u128", 0),
    ("u16", 0),
    ("u32", 0),
    ("u64", 0),
    ("u8", 0),
    ("usize", 0),
];

/// Returns the first name in `ty` of a type whose clones share something that can change. An `Arc` is such a
/// type unless its contents are known not to change.
///
/// Names are all that a macro sees. It does not see through aliases, type macros and the user's own types.
pub(crate) fn find_shared(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Array(array) => find_shared(&array.elem),
        Type::Group(group) => find_shared(&group.elem),
        Type::Paren(paren) => find_shared(&paren.elem),
        Type::Reference(reference) => find_shared(&reference.elem),
        Type::Slice(slice) => find_shared(&slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(find_shared),
        Type::Path(path) if path.qself.is_none() => {
            let last = path.path.segments.last()?;
            if is_shared(&path.path) {
                return Some(&last.ident);
            }
            // It has no value of the type.
            if last.ident == "PhantomData" {
                return None;
            }
            let inner = arguments(last).find_map(find_shared);
            let can_change = |contents| !is_immutable(contents);
            let is_shared_arc = last.ident == "Arc" && arguments(last).next().is_some_and(can_change);
            inner.or(is_shared_arc.then_some(&last.ident))
        }
        _ => None,
    }
}

fn is_shared(path: &Path) -> bool {
    let mut names = path.segments.iter().rev().map(|segment| segment.ident.to_string());
    let Some(name) = names.next() else { return false };
    SHARED.contains(&&*name)
        || name.strip_prefix("Atomic").is_some_and(|rest| ATOMICS.contains(&rest))
        || name == "Sender" && names.next().is_some_and(|module| CHANNELS.contains(&&*module))
}

/// Returns whether `ty`, in which [`find_shared`] finds no name, is known not to change behind an `Arc`. Type
/// macros count as such, because nobody can see into them.
fn is_immutable(ty: &Type) -> bool {
    match ty {
        Type::FnPtr(_) | Type::Macro(_) | Type::Never(_) => true,
        Type::Array(array) => is_immutable(&array.elem),
        Type::Group(group) => is_immutable(&group.elem),
        Type::Paren(paren) => is_immutable(&paren.elem),
        Type::Reference(reference) => is_immutable(&reference.elem),
        Type::Slice(slice) => is_immutable(&slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_immutable),
        Type::Path(path) if path.qself.is_none() => path.path.segments.last().is_some_and(|last| {
            let known = IMMUTABLE.iter().find(|(name, _)| last.ident == name);
            known.is_some_and(|&(_, contents)| arguments(last).take(contents).all(is_immutable))
        }),
        _ => false,
    }
}

/// Returns the types between `<` and `>`.
fn arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::find_shared;

    fn found(ty: &str) -> Option<String> {
        find_shared(&syn::parse_str(ty).expect(ty)).map(ToString::to_string)
    }

    #[test]
    fn types_whose_clones_share_something() {
        for (ty, name) in [
            ("std::sync::Mutex<u8>", "Mutex"),
            ("Arc<Mutex<Vec<u8>>>", "Mutex"),
            ("::std::sync::Arc<::std::sync::atomic::AtomicU64>", "AtomicU64"),
            ("Arc<AtomicCell<u8>>", "AtomicCell"),
            ("&'static AtomicBool", "AtomicBool"),
            ("Option<CancellationToken>", "CancellationToken"),
            ("tokio::sync::mpsc::Sender<u8>", "Sender"),
            ("(u8, [&'static (Notify); 2])", "Notify"),
            ("HashMap<String, Arc<RwLock<u8>>>", "RwLock"),
            ("Own<Mutex<u8>>", "Mutex"),
            ("Arc<Config>", "Arc"),
            ("Option<Arc<config::Config>>", "Arc"),
            ("Arc<Vec<(u8, Config)>>", "Arc"),
            ("Arc<HashMap<u8, Config>>", "Arc"),
            ("Arc<dyn Fn() -> u8 + Send + Sync>", "Arc"),
            ("Arc<<u8 as Trait>::Config>", "Arc"),
            ("(Arc<Config>, Mutex<u8>)", "Arc"),
        ] {
            assert_eq!(found(ty).as_deref(), Some(name), "{ty}");
        }
    }

    #[test]
    fn types_whose_clones_share_nothing_that_changes() {
        for ty in [
            "u64",
            "String",
            "&'static str",
            "Config",
            "&'static Config",
            "Option<Config>",
            "Arc<str>",
            "Arc<[u8; 4]>",
            "Arc<[std::string::String]>",
            "Arc<(u8, &'static str)>",
            "Arc<HashMap<Arc<str>, Option<Vec<PathBuf>>, Hasher>>",
            "Arc<fn(&Mutex<u8>) -> Config>",
            "Arc<name_of!(Config)>",
            "PhantomData<Mutex<u8>>",
            "fn(Arc<Config>) -> Mutex<u8>",
            "<Mutex<u8> as Trait>::Output",
            "name_of!(Mutex<u8>)",
            // A type of the user with the name of another one.
            "Arc",
            "AtomicNumber",
            "email::Sender",
            "mutex::Guarded",
        ] {
            assert_eq!(found(ty), None, "{ty}");
        }
    }
}
