// What a script finds beyond ECMAScript (B06, X05), and what it does not find (B04, B05).

const define = (target, name, value) => defineProperty(
  target, name, { value, writable: true, configurable: true, enumerable: false, __proto__: null },
);

const logAt = (level) => (...values) => {
  let text = '';
  for (let i = 0; i < values.length; i++) text += (i > 0 ? ' ' : '') + show(values[i]);
  taken(host.log(level, text));
};

const left = (tokens) => tokens > 0 ? tokens : 0;

const installGlobals = (own, args) => {
  const budget = freeze({
    total: host.budgetTotal,
    spent() { return host.spent(); },
    remaining() { return host.budgetTotal === null ? Infinity : left(host.budgetTotal - host.spent()); },
  });
  const contract = {
    agent: agentOf(own, false),
    attempt: agentOf(own, true),
    merge(worktrees, options, line) { return callMerge(own, worktrees, options, line); },
    ask(question, options, line) { return callAsk(own, question, options, line); },
    parallel(thunks) { return parallel(thunks); },
    pipeline(items, ...stages) { return pipeline(items, setPrototypeOf(stages, null)); },
    workflow(target, args, line) { return callWorkflow(own, target, args, line); },
    phase(title) { enterPhase(own, title); },
    log(...values) { apply(logInfo, undefined, values); },
    sleep(duration) { return sleep(own, duration); },
    now() { return host.now(); },
    random() { return host.random(own.rolling); },
    setTimeout(callback, delay, ...values) { return setTimer(callback, delay, values); },
    clearTimeout(id) { clearTimer(id); },
    structuredClone(value) { return clone(value); },
    queueMicrotask(callback) { queueJob(callback); },
  };
  for (const name of ownKeys(contract)) define(globalThis, name, contract[name]);
  define(globalThis, 'args', args);
  define(globalThis, 'patterns', patternsOf(own));
  define(globalThis, 'budget', budget);
  const console = {};
  for (const name of ['log', 'info', 'debug']) define(console, name, logAt(0));
  define(console, 'warn', logAt(1));
  define(console, 'error', logAt(2));
  define(globalThis, 'console', console);
  installWeb();
};
const logInfo = logAt(0);

const queueJob = (callback) => {
  if (typeof callback !== 'function') {
    throw fail(NativeTypeError, 'CALLBACK', `queueMicrotask(callback): the callback is ${kindOf(callback)}; give a function`);
  }
  const promise = new NativePromise(capture);
  const resolve = lastResolve;
  resolve();
  onward(promise, () => {
    try {
      callback();
    } catch (error) {
      taken(host.log(1, `queueMicrotask: the callback threw ${describe(guard(error)).text}`));
    }
  });
};

// A copy of data: the types that scripts of JSON meet, cycles and shared parts kept.
const clone = (value) => cloneInto(value, new NativeMap());
const cloneInto = (value, seen) => {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw fail(NativeTypeError, 'DATA_CLONE', `structuredClone(value): ${kindOf(value)} cannot be copied; copy data only`);
  }
  if (!isObject(value)) return value;
  if (mapHas(seen, value)) return mapGet(seen, value);
  if (isArray(value)) {
    const copy = list();
    mapSet(seen, value, copy);
    for (let i = 0; i < value.length; i++) copy[i] = cloneInto(value[i], seen);
    return asArray(copy);
  }
  const prototype = getPrototypeOf(value);
  if (prototype === NativeMap.prototype) {
    const copy = new NativeMap();
    mapSet(seen, value, copy);
    mapForEach(value, (inner, key) => { mapSet(copy, cloneInto(key, seen), cloneInto(inner, seen)); });
    return copy;
  }
  if (prototype === NativeSet.prototype) {
    const copy = new NativeSet();
    mapSet(seen, value, copy);
    setForEach(value, (inner) => { realSetAdd(copy, cloneInto(inner, seen)); });
    return copy;
  }
  if (prototype === NativeDate.prototype) return new NativeDate(dateValue(value));
  const copy = isError(value) ? new NativeError(read(value, 'message')) : {};
  mapSet(seen, value, copy);
  const keys = ownKeys(value);
  for (let i = 0; i < keys.length; i++) {
    if (typeof keys[i] !== 'string' || !getOwnPropertyDescriptor(value, keys[i])?.enumerable) continue;
    define(copy, keys[i], cloneInto(value[keys[i]], seen));
    defineProperty(copy, keys[i], { enumerable: true, __proto__: null });
  }
  return copy;
};
const mapForEach = uncurry(Map.prototype.forEach), setForEach = uncurry(Set.prototype.forEach);
const mapDelete = uncurry(Map.prototype.delete), mapClear = uncurry(Map.prototype.clear);
const mapSize = uncurry(getOwnPropertyDescriptor(Map.prototype, 'size').get);
const realSetAdd = uncurry(Set.prototype.add);
const NativeDate = Date;
const dateValue = uncurry(Date.prototype.valueOf);
