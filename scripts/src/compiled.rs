//! The VM's own JavaScript, compiled once a process: each new VM reads the bytecode, which takes a fraction of the time.

use std::sync::{Mutex, OnceLock, PoisonError};

use rquickjs::loader::Loader as _;
use rquickjs::loader::bundle::{Bundle, HasByteCode};
use rquickjs::{Context, Ctx, Function, Module, Runtime, WriteOptions};

use crate::library;
use crate::vm;

/// What stands for itself in [`OWN`].
#[derive(Clone, Copy)]
pub(crate) enum Own {
    Prelude,
    Patterns,
    Web,
}

/// A function of ours: its text, and its bytecode once somebody has asked for it.
struct Compiled {
    text: &'static str,
    bytecode: OnceLock<Vec<u8>>,
    /// Held by whoever compiles it; others that want it wait.
    compiling: Mutex<()>,
}

static PRELUDE: Compiled = Compiled::of(vm::PRELUDE);
static PATTERNS: Compiled = Compiled::of(library::PATTERNS);
static WEB: Compiled = Compiled::of(library::WEB);

/// In the order of [`Own`].
static OWN: [(&str, &Compiled); 3] = [
    ("bellwether:prelude", &PRELUDE),
    ("bellwether:patterns", &PATTERNS),
    ("bellwether:web", &WEB),
];

impl Compiled {
    const fn of(text: &'static str) -> Self {
        Self {
            text,
            bytecode: OnceLock::new(),
            compiling: Mutex::new(()),
        }
    }

    /// Sees to it that there is bytecode. A want of memory today is none tomorrow: only what has come about is kept.
    fn ready(&self, name: &str) -> rquickjs::Result<()> {
        if self.bytecode.get().is_some() {
            return Ok(());
        }
        let _compiling = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.bytecode.get().is_none() {
            let bytecode = self.compile(name)?;
            self.bytecode.get_or_init(|| bytecode);
        }
        Ok(())
    }

    /// Compiles it in an interpreter of its own: a VM's heap is the script's, and its limits are for that.
    fn compile(&self, name: &str) -> rquickjs::Result<Vec<u8>> {
        let context = Context::full(&Runtime::new()?)?;
        context.with(|ctx| {
            let text = format!("export default {}", self.text);
            // Nobody reads our source out of a function, and our frames are in no stack that is shown.
            Module::declare(ctx, name, text)?.write(WriteOptions {
                strip_source: true,
                strip_debug: true,
                ..WriteOptions::default()
            })
        })
    }
}

impl HasByteCode<'static> for &'static Compiled {
    fn get_bytecode(&self) -> &'static [u8] {
        // What is not compiled is refused like any other bytes that are no bytecode.
        self.bytecode.get().map_or(&[], Vec::as_slice)
    }
}

/// Compiles what every VM needs, before there is one: for a process that waits for its first.
pub(crate) fn prepare() {
    let (name, compiled) = OWN[Own::Prelude as usize];
    // The first VM tries again, and says what is wrong.
    let _ = compiled.ready(name);
}

/// One of our functions as a value of this VM.
pub(crate) fn function<'js>(ctx: &Ctx<'js>, own: Own) -> rquickjs::Result<Function<'js>> {
    let (name, compiled) = OWN[own as usize];
    compiled.ready(name)?;
    let (module, _) = Bundle(&OWN[..]).load(ctx, name, None)?.eval()?;
    module.get("default")
}
