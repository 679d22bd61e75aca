//! Our crates' modules as syntax trees, and the way from a name in one of them to its definition.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::{Item, UseTree, Visibility};

use super::super::text;

/// One module: where it is, and what stands in it.
struct Module {
    /// The crate, then the modules down to this one.
    path: Vec<String>,
    items: Vec<Item>,
}

/// Something public: how users name it, and where it is defined.
pub(super) struct Export {
    /// `bellwether::view::RunView`.
    pub(super) path: String,
    /// Its last part.
    pub(super) name: String,
    /// The module that defines it.
    module: Vec<String>,
    /// Its name there.
    defined_as: String,
}

/// All modules of our crates, but those of tests.
pub(super) struct SourceMap(Vec<Module>);

impl SourceMap {
    /// Reads crates, each by its name in code and its folder.
    pub(super) fn read(crates: &[(&str, &str)]) -> Self {
        let mut modules = Vec::new();
        for (name, folder) in crates {
            let source = Path::new(folder).join("src");
            read_file(
                &source.join("lib.rs"),
                &source,
                &[(*name).to_owned()],
                &mut modules,
            );
        }
        Self(modules)
    }

    /// What users of a crate can name, in the order of its declarations.
    pub(super) fn exports(&self, name: &str) -> Vec<Export> {
        let mut exports = Vec::new();
        self.export_module(&[name.to_owned()], name, &mut exports);
        exports
    }

    fn module(&self, path: &[String]) -> Option<&Module> {
        self.0.iter().find(|module| module.path == path)
    }

    fn export_module(&self, module: &[String], public: &str, exports: &mut Vec<Export>) {
        let Some(found) = self.module(module) else {
            return;
        };
        for item in &found.items {
            match item {
                Item::Use(import) if is_public(&import.vis) => {
                    for used in leaves(&import.tree) {
                        self.export_use(module, &used, public, exports);
                    }
                }
                Item::Mod(inner) if is_public(&inner.vis) => {
                    let name = inner.ident.to_string();
                    let below = [module, std::slice::from_ref(&name)].concat();
                    self.export_module(&below, &format!("{public}::{name}"), exports);
                }
                _ => {
                    if let Some(name) = public_name(item) {
                        exports.push(Export {
                            path: format!("{public}::{name}"),
                            name: name.clone(),
                            module: module.to_owned(),
                            defined_as: name,
                        });
                    }
                }
            }
        }
    }

    fn export_use(&self, from: &[String], used: &Used, public: &str, exports: &mut Vec<Export>) {
        let mut target = self.absolute(from, &used.path);
        if used.glob {
            self.export_module(&target, public, exports);
            return;
        }
        let path = format!("{public}::{}", used.name);
        if self.module(&target).is_some() {
            self.export_module(&target, &path, exports);
            return;
        }
        let Some(mut defined_as) = target.pop() else {
            return;
        };
        // A re-export of a re-export is followed to the end.
        while let Some((module, name)) = self.forwarded(&target, &defined_as) {
            (target, defined_as) = (module, name);
        }
        exports.push(Export {
            path,
            name: used.name.clone(),
            module: target,
            defined_as,
        });
    }

    /// Where `name` comes from, when the module only hands it on.
    fn forwarded(&self, module: &[String], name: &str) -> Option<(Vec<String>, String)> {
        self.module(module)?.items.iter().find_map(|item| {
            let Item::Use(import) = item else { return None };
            let used = leaves(&import.tree)
                .into_iter()
                .find(|used| used.name == name)?;
            let mut target = self.absolute(module, &used.path);
            let name = target.pop()?;
            Some((target, name))
        })
    }

    /// A path as written in a module, from its crate down.
    fn absolute(&self, from: &[String], path: &[String]) -> Vec<String> {
        match path.first().map(String::as_str) {
            Some("crate") => [&from[..1], &path[1..]].concat(),
            Some("self") => [from, &path[1..]].concat(),
            Some("super") => [&from[..from.len() - 1], &path[1..]].concat(),
            Some(first) if self.0.iter().any(|module| module.path == [first]) => path.to_vec(),
            _ => [from, path].concat(),
        }
    }

    /// The definition of an export; `None` when a macro makes it.
    pub(super) fn definition(&self, export: &Export) -> Option<&Item> {
        let items = &self.module(&export.module)?.items;
        items
            .iter()
            .find(|item| public_name(item).as_ref() == Some(&export.defined_as))
    }

    /// What the crate of an export implements for it, in whichever module.
    pub(super) fn implementations(&self, export: &Export) -> Vec<&syn::ItemImpl> {
        let of = |implementation: &&syn::ItemImpl| {
            matches!(&*implementation.self_ty, syn::Type::Path(named)
                if named.path.segments.last().is_some_and(|last| last.ident == export.defined_as))
        };
        self.0
            .iter()
            .filter(|module| module.path.first() == export.module.first())
            .flat_map(|module| &module.items)
            .filter_map(|item| {
                if let Item::Impl(found) = item {
                    Some(found)
                } else {
                    None
                }
            })
            .filter(of)
            .collect()
    }

    /// Names that the export's module imports from one of `crates`.
    pub(super) fn imported_from(&self, export: &Export, crates: &[&str]) -> BTreeSet<String> {
        let items = self
            .module(&export.module)
            .map_or(&[][..], |module| &module.items);
        items
            .iter()
            .filter_map(|item| {
                if let Item::Use(import) = item {
                    Some(import)
                } else {
                    None
                }
            })
            .flat_map(|import| leaves(&import.tree))
            .filter(|used| {
                used.path
                    .first()
                    .is_some_and(|first| crates.contains(&first.as_str()))
            })
            .map(|used| used.name)
            .collect()
    }

    /// The names of all public types and traits of our crates; another name for a type needs no export.
    pub(super) fn type_names(&self) -> BTreeSet<String> {
        self.0
            .iter()
            .flat_map(|module| &module.items)
            .filter(|item| matches!(item, Item::Struct(_) | Item::Enum(_) | Item::Trait(_)))
            .filter_map(public_name)
            .collect()
    }
}

fn read_file(file: &Path, folder: &Path, path: &[String], modules: &mut Vec<Module>) {
    let parsed =
        syn::parse_file(&text(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(parsed.items, folder, path, modules);
}

fn read_items(items: Vec<Item>, folder: &Path, path: &[String], modules: &mut Vec<Module>) {
    let place = modules.len();
    modules.push(Module {
        path: path.to_vec(),
        items: Vec::new(),
    });
    let items: Vec<Item> = items
        .into_iter()
        .filter(|item| !is_for_tests(item))
        .collect();
    for item in &items {
        let Item::Mod(inner) = item else { continue };
        let name = inner.ident.to_string();
        let below = [path, std::slice::from_ref(&name)].concat();
        let inner_folder = folder.join(&name);
        if let Some((_, content)) = &inner.content {
            read_items(content.clone(), &inner_folder, &below, modules);
        } else {
            let beside = folder.join(format!("{name}.rs"));
            let file: PathBuf = if super::super::root().join(&beside).exists() {
                beside
            } else {
                inner_folder.join("mod.rs")
            };
            read_file(&file, &inner_folder, &below, modules);
        }
    }
    modules[place].items = items;
}

fn is_for_tests(item: &Item) -> bool {
    let Item::Mod(module) = item else {
        return false;
    };
    module.attrs.iter().any(|attribute| {
        matches!(&attribute.meta, syn::Meta::List(list)
            if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    })
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The name of a public item that is neither a module nor an import.
fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// One name that a `use` brings in.
struct Used {
    path: Vec<String>,
    name: String,
    glob: bool,
}

fn leaves(tree: &UseTree) -> Vec<Used> {
    let mut found = Vec::new();
    collect_leaves(tree, &mut Vec::new(), &mut found);
    found
}

fn collect_leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Used>) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            collect_leaves(&step.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            for inner in &group.items {
                collect_leaves(inner, path, found);
            }
        }
        UseTree::Name(leaf) => found.push(used(path, &leaf.ident, &leaf.ident)),
        UseTree::Rename(leaf) => found.push(used(path, &leaf.ident, &leaf.rename)),
        UseTree::Glob(_) => {
            found.push(Used {
                path: path.clone(),
                name: "*".to_owned(),
                glob: true,
            });
        }
    }
}

fn used(path: &[String], name: &proc_macro2::Ident, public: &proc_macro2::Ident) -> Used {
    // `use x::{self}` names x itself.
    let own = if name == "self" {
        Vec::new()
    } else {
        vec![name.to_string()]
    };
    let public = if public == "self" {
        path.last().cloned()
    } else {
        Some(public.to_string())
    };
    Used {
        path: [path, &own].concat(),
        name: public.unwrap_or_default(),
        glob: false,
    }
}
