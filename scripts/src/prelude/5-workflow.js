// Workflows: the script itself and those that it runs inline. Each has its own agent, workflow, phase and args.

const contextOf = (parent, name, path, rolling) => {
  const group = parent === undefined ? undefined : groupOf(parent, `▸ ${name}`);
  return {
    rolling,
    // What its calls are shown under: `title` is `groupOf` its group and its phase.
    title: group,
    group,
    phase: undefined,
    depth: parent === undefined ? 0 : parent.depth + 1,
    path,
    parent,
    __proto__: null,
  };
};

// The way from the outermost workflow to `path`, if `path` is on it already.
const cycleTo = (own, path) => {
  let text = path;
  for (let at = own; at !== undefined; at = at.parent) {
    text = `${at.path} → ${text}`;
    if (at.path === path) return text;
  }
  return undefined;
};

const refuseCycle = (own, path) => {
  const cycle = cycleTo(own, path);
  if (cycle !== undefined) {
    throw fail(NativeError, 'WORKFLOW_CYCLE', `workflow(): a cycle: ${cycle}; a workflow cannot run itself`);
  }
};

const callWorkflow = (own, target, args, line) => {
  try {
    let prompt, options;
    if (typeof target === 'string') {
      if (trim(target) === '') throw fail(NativeTypeError, 'WORKFLOW', 'workflow(name, args): the name is empty');
      prompt = wellFormed(target);
      options = '{"by":"name"}';
    } else if (isObject(target) && typeof target.scriptPath === 'string' && target.scriptPath !== '') {
      prompt = host.resolve(own.path, wellFormed(target.scriptPath));
      options = '{"by":"path"}';
    } else {
      throw fail(NativeTypeError, 'WORKFLOW', `workflow(target, args): the target is ${kindOf(target)}; give a name or { scriptPath: '…' }`);
    }
    if (own.depth >= host.nesting) {
      throw fail(NativeError, 'WORKFLOW_NESTING', `workflow(${stringify(prompt)}): ${own.depth + 1} levels of nesting, more than the limit of ${host.nesting}; call it from the outer script, or raise the setting nesting`);
    }
    if (options === '{"by":"path"}') refuseCycle(own, prompt);
    const argsText = args === undefined ? undefined : toJson(args, 'args');
    const answer = promised(host.workflow(prompt, line, own.rolling, own.title, options));
    return runChild(own, answer, prompt, argsText);
  } catch (error) {
    return rejected(guard(error));
  }
};

const runChild = async (own, answer, prompt, argsText) => {
  const found = await answer;
  const source = found?.source, path = found?.path;
  if (typeof source !== 'string' || typeof path !== 'string') {
    throw fail(NativeError, 'WORKFLOW', `workflow(${stringify(prompt)}): no script came back`);
  }
  refuseCycle(own, path);
  const child = host.compile(source, path);
  if (child.refusal !== undefined) {
    throw fail(NativeSyntaxError, 'SCRIPT_REFUSED', `workflow(${stringify(prompt)}): ${child.refusal}`);
  }
  const inner = contextOf(own, child.name, path, child.rolling);
  host.enter(child.name);
  const text = resultText(await bodyOf(inner, child.factory, readArgs(argsText))());
  if (child.rolling && !own.rolling) host.leaveRolling();
  return parseJson(text);
};
const NativeSyntaxError = SyntaxError;

const enterPhase = (own, title) => {
  own.phase = asLabel(title);
  own.title = groupOf(own, own.phase);
  if (own.title !== undefined) taken(host.phase(own.title));
};

const bodyOf = (own, factory, args) => factory(
  guard,
  agentOf(own, false),
  agentOf(own, true),
  { merge(worktrees, options, line) { return callMerge(own, worktrees, options, line); } }.merge,
  { ask(question, options, line) { return callAsk(own, question, options, line); } }.ask,
  patternsOf(own),
  { workflow(target, args, line) { return callWorkflow(own, target, args, line); } }.workflow,
  { phase(title) { enterPhase(own, title); } }.phase,
  args,
);

const resultText = (value) => toJson(value === undefined ? null : value, 'result') ?? 'null';

const threw = (error) => {
  const { name, code, message, stack } = describe(guard(error));
  host.threw(name, code, message, stack);
};

// Called by the host once: runs the script's synchronous beginning.
const start = (factory, name, path, argsText, rolling) => {
  const own = contextOf(undefined, name, path, rolling);
  const args = readArgs(argsText);
  installGlobals(own, args);
  let running;
  try {
    running = bodyOf(own, factory, args)();
  } catch (error) {
    return threw(error);
  }
  onward(running, (value) => {
    let text;
    try {
      text = resultText(value);
    } catch (error) {
      return threw(error);
    }
    host.returned(wellFormed(text));
  }, threw);
};
