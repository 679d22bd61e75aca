//! The promises that wait for a settlement. Their functions live in the runtime's own store, since nothing outside may hold on
//! to a value of it; a slot says where.

use std::cell::RefCell;

use rquickjs::{Ctx, Function, IntoJs, Value};

/// For each slot the function that fulfils, then the one that rejects.
type Waiting<'js> = RefCell<Vec<Option<Function<'js>>>>;

const FUNCTIONS_A_SLOT: usize = 2;

/// Makes the store, once for a VM.
pub(crate) fn prepare(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.store_userdata(Waiting::default())
        .map(drop)
        .map_err(|_| rquickjs::Error::Unknown)
}

/// Lets what `ask` issues into a new slot wait for its settlement: its promise, or `false` at a limit.
pub(crate) fn promise<'js>(
    ctx: &Ctx<'js>,
    ask: impl FnOnce() -> Option<u32>,
) -> rquickjs::Result<Value<'js>> {
    // First, so that nothing is asked for whose answer nobody could take.
    let (promise, resolve, reject) = ctx.promise()?;
    match ask() {
        Some(slot) => {
            put(ctx, slot, resolve, Some(reject))?;
            Ok(promise.into_value())
        }
        None => false.into_js(ctx),
    }
}

/// Lets functions wait in a slot that is free.
pub(crate) fn put<'js>(
    ctx: &Ctx<'js>,
    slot: u32,
    resolve: Function<'js>,
    reject: Option<Function<'js>>,
) -> rquickjs::Result<()> {
    let waiting = ctx
        .userdata::<Waiting<'js>>()
        .ok_or(rquickjs::Error::Unknown)?;
    let mut waiting = waiting.borrow_mut();
    let at = slot as usize * FUNCTIONS_A_SLOT;
    if waiting.len() < at + FUNCTIONS_A_SLOT {
        waiting.resize(at + FUNCTIONS_A_SLOT, None);
    }
    waiting[at] = Some(resolve);
    waiting[at + 1] = reject;
    Ok(())
}

/// What waits in a slot, which is empty afterwards.
pub(crate) fn take<'js>(
    ctx: &Ctx<'js>,
    slot: u32,
) -> (Option<Function<'js>>, Option<Function<'js>>) {
    let Some(waiting) = ctx.userdata::<Waiting<'js>>() else {
        return (None, None);
    };
    let mut waiting = waiting.borrow_mut();
    let at = slot as usize * FUNCTIONS_A_SLOT;
    let mut function = |at| waiting.get_mut(at).and_then(Option::take);
    (function(at), function(at + 1))
}
