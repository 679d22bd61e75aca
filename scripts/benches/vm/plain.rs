//! The same scripts in plain rquickjs, with the least host that can run them: no journal of what was asked for but a list, no
//! contexts, no limits but the heap's, nothing sealed, nothing guarded against a script that patches its world.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rquickjs::{Context, Function, Runtime};

/// A prompt and its options.
type Call = (String, Option<String>);

/// `agent` and the two fan-outs as a script's author would write them; the last open call is settled first, as in the bench.
const HOST: &str = "
const open = []
globalThis.agent = (prompt, options) => {
  const promise = new Promise((resolve) => { open.push(resolve) })
  issued(prompt, options === undefined ? undefined : JSON.stringify(options))
  return promise
}
globalThis.parallel = (thunks) => Promise.all(thunks.map((thunk) => Promise.resolve(thunk()).catch(() => null)))
globalThis.pipeline = (items, ...stages) => Promise.all(items.map(async (item, index) => {
  let value = item
  for (const stage of stages) value = await stage(value, item, index)
  return value
}))
globalThis.settle = (text) => {
  if (open.length === 0) return false
  open.pop()(JSON.parse(text))
  return true
}";

/// Seconds that `body` takes with `calls` as its `args`, and how many calls it made.
pub(crate) fn run(body: &str, calls: u64) -> rquickjs::Result<(f64, usize)> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(1 << 34);
    let context = Context::full(&runtime)?;
    let issued: Arc<Mutex<Vec<Call>>> = Arc::default();
    let began = Instant::now();
    context.with(|ctx| {
        let list = Arc::clone(&issued);
        let take = move |prompt: String, options: Option<String>| {
            list.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((prompt, options));
        };
        ctx.globals()
            .set("issued", Function::new(ctx.clone(), take)?)?;
        ctx.globals().set("args", calls as f64)?;
        ctx.eval::<(), _>(HOST)?;
        ctx.eval::<(), _>(format!("(async () => {{ {body} }})()"))?;
        let settle: Function<'_> = ctx.globals().get("settle")?;
        loop {
            while ctx.execute_pending_job() {}
            if !settle.call::<_, bool>(("\"a short answer\"",))? {
                return Ok::<_, rquickjs::Error>(());
            }
        }
    })?;
    let count = issued.lock().unwrap_or_else(PoisonError::into_inner).len();
    Ok((began.elapsed().as_secs_f64(), count))
}
