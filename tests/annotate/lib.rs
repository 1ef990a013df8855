//! Finds functions and their containers in Rust source text, and puts an attribute on them.
//!
//! Functions inside macro invocations (`macro_rules! ..`, `vec![..]`) are not found, because syn sees them as
//! tokens.

use std::ops::Range;

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    AttrStyle, Attribute, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemTrait, Result, Signature,
    TraitItemFn,
};

/// An item that an attribute can go on. All offsets count bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub kind: Kind,
    /// The name of the function, trait or module. For an `impl` block, the text of its type.
    pub name: String,
    /// True for an `async fn`, and for a container that has one.
    pub is_async: bool,
    /// The whole item, from its first attribute or doc comment. An attribute above all others goes at its
    /// start.
    pub item: Range<usize>,
    /// The item's first token after its attributes and doc comments. An attribute below all others goes here.
    pub below: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    Method,
    Impl,
    Trait,
    /// An inline module.
    Module,
}

impl Kind {
    pub fn is_container(self) -> bool {
        matches!(self, Kind::Impl | Kind::Trait | Kind::Module)
    }
}

/// Returns the functions and methods that have a body and are not `const`, including functions in the bodies
/// of other functions.
pub fn functions(source: &str) -> Result<Vec<Place>> {
    Ok(places(source)?.into_iter().filter(|place| !place.kind.is_container()).collect())
}

/// Returns the `impl` blocks, traits and inline modules that have such a function, except modules with a
/// `mod file;`, on which rustc accepts no attribute macro.
pub fn containers(source: &str) -> Result<Vec<Place>> {
    Ok(places(source)?.into_iter().filter(|place| place.kind.is_container()).collect())
}

/// Returns the functions and the containers in the order of their starts, except those that already have one
/// of the two attributes.
pub fn places(source: &str) -> Result<Vec<Place>> {
    let file = syn::parse_file(source)?;
    // syn's offsets do not count these.
    let bom = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let shift = bom + file.shebang.as_ref().map_or(0, String::len);
    let mut finder = Finder { source: &source[shift..], places: Vec::new() };
    finder.visit_file(&file);
    let Finder { mut places, .. } = finder;
    places.sort_by_key(|place| place.item.start);
    for place in &mut places {
        place.item = place.item.start + shift..place.item.end + shift;
        place.below += shift;
    }
    Ok(places)
}

/// Selects the attribute, and the places that [`annotate`] puts it on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The text between `#[` and `]`.
    pub attribute: String,
    /// Put the attribute below other attributes, not above them.
    pub below: bool,
    /// Put the attribute on containers, not on functions.
    pub containers: bool,
    /// Select only places with [`Place::is_async`].
    pub async_only: bool,
}

impl Options {
    fn select(&self, place: &Place) -> bool {
        place.kind.is_container() == self.containers && (place.is_async || !self.async_only)
    }
}

/// Returns the source with the attribute on all selected places, and their number. Each attribute is on the
/// same line as the token after it, so every line keeps its number.
pub fn annotate(source: &str, options: &Options) -> Result<(String, usize)> {
    let mut offsets: Vec<usize> = places(source)?
        .iter()
        .filter(|place| options.select(place))
        .map(|place| if options.below { place.below } else { place.item.start })
        .collect();
    offsets.sort_unstable();
    let mut annotated = String::new();
    let mut copied = 0;
    for &offset in &offsets {
        annotated += &source[copied..offset];
        annotated += &format!("#[{}] ", options.attribute);
        copied = offset;
    }
    annotated += &source[copied..];
    Ok((annotated, offsets.len()))
}

struct Finder<'a> {
    /// The text that syn's offsets refer to.
    source: &'a str,
    places: Vec<Place>,
}

impl Finder<'_> {
    fn function(&mut self, kind: Kind, sig: &Signature, attrs: &[Attribute], item: &impl ToTokens) {
        if sig.constness.is_none() {
            self.add(kind, sig.ident.to_string(), sig.asyncness.is_some(), attrs, item);
        }
    }

    /// Adds a container if it has a function. `inside` is the range of the places in the container.
    fn container(
        &mut self,
        kind: Kind,
        name: String,
        inside: Range<usize>,
        attrs: &[Attribute],
        item: &impl ToTokens,
    ) {
        let inside = &self.places[inside];
        if !inside.is_empty() {
            let is_async = inside.iter().any(|place| place.is_async);
            self.add(kind, name, is_async, attrs, item);
        }
    }

    fn add(&mut self, kind: Kind, name: String, is_async: bool, attrs: &[Attribute], item: &impl ToTokens) {
        if attrs.iter().any(is_contextvar_attribute) {
            return;
        }
        let outer = attrs.iter().filter(|attr| matches!(attr.style, AttrStyle::Outer)).count();
        // Each attribute is a `#` and a group. Doc comments have become attributes.
        let below = item.to_token_stream().into_iter().nth(2 * outer);
        let item = item.span().byte_range();
        let below = below.map_or(item.start, |token| token.span().byte_range().start);
        self.places.push(Place { kind, name, is_async, item, below });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(Kind::Function, &item.sig, &item.attrs, item);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(Kind::Method, &item.sig, &item.attrs, item);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if item.default.is_some() {
            self.function(Kind::Method, &item.sig, &item.attrs, item);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let before = self.places.len();
        visit::visit_item_impl(self, item);
        let name = self.source[item.self_ty.span().byte_range()].to_owned();
        self.container(Kind::Impl, name, before..self.places.len(), &item.attrs, item);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        let before = self.places.len();
        visit::visit_item_trait(self, item);
        let name = item.ident.to_string();
        self.container(Kind::Trait, name, before..self.places.len(), &item.attrs, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let before = self.places.len();
        visit::visit_item_mod(self, item);
        if is_inline(item) {
            let name = item.ident.to_string();
            self.container(Kind::Module, name, before..self.places.len(), &item.attrs, item);
        }
    }
}

fn is_contextvar_attribute(attr: &Attribute) -> bool {
    let last = attr.path().segments.last();
    last.is_some_and(|last| last.ident == "with_copied_context" || last.ident == "with_empty_context")
}

/// Returns true if the module and all modules in it are in this file.
fn is_inline(module: &ItemMod) -> bool {
    module.content.as_ref().is_some_and(|(_, items)| {
        items.iter().all(|item| match item {
            Item::Mod(module) => is_inline(module),
            _ => true,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(source: &str, below: bool, containers: bool, async_only: bool) -> String {
        let options = Options { attribute: "x".to_owned(), below, containers, async_only };
        annotate(source, &options).unwrap().0
    }

    fn names(places: Result<Vec<Place>>) -> Vec<String> {
        places.unwrap().into_iter().map(|place| place.name).collect()
    }

    #[test]
    fn attributes_go_above_or_below_others() {
        let source = "/// Doc.\n#[a] // b\n/** c */ pub(crate) /* d */ async fn f() {}\n";
        let above = "#[x] /// Doc.\n#[a] // b\n/** c */ pub(crate) /* d */ async fn f() {}\n";
        let below = "/// Doc.\n#[a] // b\n/** c */ #[x] pub(crate) /* d */ async fn f() {}\n";
        assert_eq!(annotated(source, false, false, true), above);
        assert_eq!(annotated(source, true, false, true), below);
    }

    #[test]
    fn inner_attributes_stay_below() {
        let source = "#![a]\n//! Doc.\nmod m {\n    #![b]\n    #[c] fn f() { #![d] }\n}";
        let functions = "#![a]\n//! Doc.\nmod m {\n    #![b]\n    #[c] #[x] fn f() { #![d] }\n}";
        let containers = "#![a]\n//! Doc.\n#[x] mod m {\n    #![b]\n    #[c] fn f() { #![d] }\n}";
        assert_eq!(annotated(source, true, false, false), functions);
        assert_eq!(annotated(source, true, true, false), containers);
    }

    #[test]
    fn functions_have_a_body_and_are_not_const() {
        let source = "
            fn a() { fn b() {} let _ = || { async fn c() {} }; }
            const fn d() { fn e() {} }
            extern \"C\" { fn f(); }
            extern \"C\" fn g() {}
            trait T { fn h(); fn i() {} async fn j() {} }
            impl T for S { default unsafe fn k() {} const fn l() {} }
            macro_rules! m { () => { fn n() {} } }
            #[contextvar::with_copied_context] fn o() {}
            #[with_empty_context(A = 1)] fn p() {}
        ";
        assert_eq!(names(functions(source)), ["a", "b", "c", "e", "g", "i", "j", "k"]);
        let is_async = |place: &&Place| place.is_async;
        assert_eq!(functions(source).unwrap().iter().filter(is_async).count(), 2);
    }

    #[test]
    fn containers_have_a_function() {
        let source = "
            impl Vec<u8> { fn a() {} }
            impl S { const C: u8 = 1; }
            trait T { fn b(); }
            trait U { async fn c() {} }
            mod file;
            mod m { mod file; fn d() {} impl<'a> V<'a> { fn e() {} } }
            mod n { mod o { fn f() {} } struct S; }
            mod p { struct S; }
        ";
        assert_eq!(names(containers(source)), ["Vec<u8>", "U", "V<'a>", "n", "o"]);
        let kinds: Vec<_> = containers(source).unwrap().iter().map(|place| place.kind).collect();
        assert_eq!(kinds, [Kind::Impl, Kind::Trait, Kind::Impl, Kind::Module, Kind::Module]);
        assert!(annotated(source, false, true, true).contains("\n            #[x] trait U"));
        assert_eq!(annotated(source, false, true, true).matches("#[x]").count(), 1);
    }

    #[test]
    fn offsets_are_in_bytes_of_the_whole_source() {
        for start in ["", "\u{feff}", "#!/bin/größe\n", "\u{feff}#!/bin/größe\n"] {
            let source =
                format!("{start}const A: &str = \"größe ☃ 🦀\";\r\n/// ß\nfn größe() {{ \"☃\"; }}\n// 🦀\n");
            let function = functions(&source).unwrap().remove(0);
            assert_eq!(&source[function.item], "/// ß\nfn größe() { \"☃\"; }", "{start:?}");
            assert!(source[function.below..].starts_with("fn größe"), "{start:?}");
        }
    }

    #[test]
    fn invalid_rust_is_an_error() {
        functions("fn").unwrap_err();
    }
}
