// The global `patterns` (X08): plain JavaScript in scripts/library/patterns, which a script may read and copy. It is
// compiled when a script first uses it, since most never do.

let library;

// What the library needs of JavaScript's own and of the prelude.
const handed = freeze({
  isArray, stringify, defineProperty, ownKeys, includes, trim, guard, isCap,
  messageOf: (error) => describe(error).text,
  wrong: (code, message) => fail(NativeTypeError, code, message),
  __proto__: null,
});

// The patterns of one use: their agents belong to the workflow that asks, and to the line where it does.
const patternsAt = (own, line) => {
  library ??= host.library();
  return library(
    (prompt, options) => callAgent(own, true, prompt, options, line),
    (items, stage) => {
      const stages = list();
      stages[0] = stage;
      return pipeline(items, stages);
    },
    handed,
  );
};

const patternsOf = (own) => freeze({
  refute(claim, options, line) { return patternsAt(own, line).refute(claim, options); },
  converge(options, _, line) { return patternsAt(own, line).converge(options); },
});
