//! An item as its users see it: no bodies, no private parts, no documentation.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Fields, File, ImplItem, Item, ItemImpl, Meta, Visibility};

use super::source_map::{Export, SourceMap};

/// A definition and what is implemented for it; nothing when a macro makes it.
pub(super) struct Signature(Vec<Item>);

impl Signature {
    pub(super) fn of(sources: &SourceMap, export: &Export) -> Self {
        let Some(definition) = sources.definition(export) else {
            return Self(Vec::new());
        };
        let mut items = vec![without_private_parts(definition.clone())];
        let implementations = sources.implementations(export).into_iter();
        items.extend(
            implementations
                .filter_map(|found| public_part(found.clone()))
                .map(Item::Impl),
        );
        Self(items)
    }

    /// As rustfmt would print it.
    pub(super) fn print(&self) -> String {
        if self.0.is_empty() {
            return "// made by a macro\n".to_owned();
        }
        let file = File {
            shebang: None,
            frontmatter: None,
            attrs: Vec::new(),
            items: self.0.clone(),
        };
        prettyplease::unparse(&file)
    }

    /// Every identifier in it, but for those of derives.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for item in &self.0 {
            let mut item = item.clone();
            if let Item::Struct(syn::ItemStruct { attrs, .. })
            | Item::Enum(syn::ItemEnum { attrs, .. }) = &mut item
            {
                attrs.clear();
            }
            collect_names(quote_item(&item), &mut names);
        }
        names
    }

    /// The last parts of all types and traits that it names.
    pub(super) fn type_names(&self) -> BTreeSet<String> {
        let mut collector = TypeNames(BTreeSet::new());
        for item in &self.0 {
            collector.visit_item(item);
        }
        collector.0
    }

    /// Whether it is an enum or a struct of options, and a new variant or field would break its users.
    pub(super) fn must_grow_and_cannot(&self, name: &str) -> bool {
        let attributes = match self.0.first() {
            Some(Item::Enum(item)) => &item.attrs,
            Some(Item::Struct(item)) if name.ends_with("Options") || name.ends_with("Limits") => {
                &item.attrs
            }
            _ => return false,
        };
        !attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("non_exhaustive"))
    }
}

struct TypeNames(BTreeSet<String>);

impl Visit<'_> for TypeNames {
    fn visit_path(&mut self, path: &syn::Path) {
        if let Some(last) = path.segments.last() {
            self.0.insert(last.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, _: &Attribute) {}
}

fn collect_names(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Ident(ident) => {
                names.insert(ident.to_string());
            }
            TokenTree::Group(group) => collect_names(group.stream(), names),
            _ => {}
        }
    }
}

fn quote_item(item: &Item) -> TokenStream {
    let file = File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items: vec![item.clone()],
    };
    prettyplease::unparse(&file)
        .parse()
        .unwrap_or_else(|error| panic!("{error}"))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Attributes that change what a user may do with the item.
fn keep_attributes(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("non_exhaustive"),
        Meta::List(list) => list.path.is_ident("derive") || list.path.is_ident("cfg"),
        Meta::NameValue(_) => false,
    });
}

fn keep_public_fields(fields: &mut Fields) {
    let keep = |field: syn::Field| {
        let mut field = field;
        field.attrs.clear();
        is_public(&field.vis).then_some(field)
    };
    match fields {
        Fields::Named(named) => {
            named.named = std::mem::take(&mut named.named)
                .into_iter()
                .filter_map(keep)
                .collect();
        }
        Fields::Unnamed(unnamed) => {
            unnamed.unnamed = std::mem::take(&mut unnamed.unnamed)
                .into_iter()
                .filter_map(keep)
                .collect();
        }
        Fields::Unit => {}
    }
}

fn empty_block() -> syn::Block {
    syn::Block {
        brace_token: syn::token::Brace::default(),
        stmts: Vec::new(),
    }
}

fn without_private_parts(mut item: Item) -> Item {
    match &mut item {
        Item::Struct(found) => {
            keep_attributes(&mut found.attrs);
            keep_public_fields(&mut found.fields);
        }
        Item::Enum(found) => {
            keep_attributes(&mut found.attrs);
            for variant in &mut found.variants {
                keep_attributes(&mut variant.attrs);
                for field in &mut variant.fields {
                    field.attrs.clear();
                }
            }
        }
        Item::Trait(found) => {
            keep_attributes(&mut found.attrs);
            for inner in &mut found.items {
                if let syn::TraitItem::Fn(function) = inner {
                    function.attrs.clear();
                    if function.default.is_some() {
                        function.default = Some(empty_block());
                    }
                }
            }
        }
        Item::Fn(found) => {
            keep_attributes(&mut found.attrs);
            *found.block = empty_block();
        }
        Item::Type(found) => keep_attributes(&mut found.attrs),
        Item::Const(found) => keep_attributes(&mut found.attrs),
        Item::Static(found) => keep_attributes(&mut found.attrs),
        _ => {}
    }
    item
}

/// What users can call of an `impl`, or the bare head of a trait's; `None` when nothing is left.
fn public_part(mut found: ItemImpl) -> Option<ItemImpl> {
    keep_attributes(&mut found.attrs);
    if found.trait_.is_some() {
        found.items.clear();
        return Some(found);
    }
    found.items = found.items.into_iter().filter_map(public_member).collect();
    (!found.items.is_empty()).then_some(found)
}

fn public_member(member: ImplItem) -> Option<ImplItem> {
    match member {
        ImplItem::Fn(mut function) if is_public(&function.vis) => {
            keep_attributes(&mut function.attrs);
            function.block = empty_block();
            Some(ImplItem::Fn(function))
        }
        ImplItem::Const(mut constant) if is_public(&constant.vis) => {
            keep_attributes(&mut constant.attrs);
            Some(ImplItem::Const(constant))
        }
        _ => None,
    }
}
