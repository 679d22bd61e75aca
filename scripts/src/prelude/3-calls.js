// Calls: agent(), attempt() and timers. What waits for a settlement has a slot; the host knows which slot belongs to which number.

const resolvers = list(), rejecters = list(), free = list();
let freeCount = 0, slotCount = 0;

const takeSlot = () => freeCount > 0 ? free[--freeCount] : slotCount++;

const freeSlot = (slot) => {
  resolvers[slot] = rejecters[slot] = undefined;
  free[freeCount++] = slot;
};

// Called by the host, once for each settlement.
const settle = (slot, value) => {
  const resolve = resolvers[slot];
  freeSlot(slot);
  resolve(value);
};
const settleJson = (slot, text) => {
  let value;
  try {
    value = parseJson(text);
  } catch (error) {
    guard(error);
    return refuse(slot, 'INVALID_VALUE', 'InvalidValueError', 'the value that came is no JSON', false);
  }
  settle(slot, value);
};
const refuse = (slot, code, name, message, isOfCap) => {
  const reject = rejecters[slot];
  freeSlot(slot);
  const error = isOfCap ? failCap(NativeError, code, name, message) : fail(NativeError, code, message);
  if (!isOfCap) defineProperty(error, 'name', { value: name, configurable: true, writable: true, __proto__: null });
  reject(error);
};

const KNOWN = create(null);
for (const name of [
  'schema', 'model', 'effort', 'isolation', 'agentType', 'timeout', 'stallTimeout', 'retries', 'tools',
  'disallowedTools', 'backend', 'cwd', 'maxTurns', 'maxTokens', 'maxCost', 'env', 'key', 'pure',
]) KNOWN[name] = true;

const nameOf = (isAttempt) => isAttempt ? 'attempt' : 'agent';

// Once a run for each name (A05).
const warned = create(null);
const warnOfOption = (warned, what, key) => {
  if (warned[key] === true) return;
  warned[key] = true;
  taken(host.log(1, `${what}(): the option ${stringify(wellFormed(key))} is not known and was ignored`));
};

// A name to show: of what kind ever, a text or nothing.
const asLabel = (value) => {
  if (typeof value === 'string') return value === '' ? undefined : wellFormed(value);
  return value === null || value === undefined ? undefined : show(value);
};

const groupOf = (own, title) => own.group === undefined ? title : title === undefined ? own.group : `${own.group} › ${title}`;

// agent() and attempt() issue the same call; they differ in what they give for it (settle.rs).
const callAgent = (own, isAttempt, prompt, options, line) => {
  const issue = isAttempt ? host.attempt : host.call;
  try {
    if (typeof prompt !== 'string') {
      throw fail(NativeTypeError, 'PROMPT', `${nameOf(isAttempt)}(prompt, options): the prompt is ${kindOf(prompt)}; give it a string`);
    }
    if (!(prompt[0] > ' ') && trim(prompt) === '') {
      throw fail(NativeTypeError, 'PROMPT', `${nameOf(isAttempt)}(prompt, options): the prompt is empty; say what the agent shall do`);
    }
    let label, phase = own.phase, json;
    if (options !== undefined && options !== null) {
      if (typeof options !== 'object') {
        throw fail(NativeTypeError, 'OPTIONS', `${nameOf(isAttempt)}(prompt, options): the options are ${kindOf(options)}; give an object`);
      }
      let known;
      const keys = ownKeys(options);
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (typeof key !== 'string') continue;
        const value = options[key];
        if (value === undefined) continue;
        if (key === 'label') label = asLabel(value);
        else if (key === 'phase') phase = asLabel(value) ?? phase;
        else if (KNOWN[key] === true) {
          known ??= create(null);
          known[key] = value;
        } else warnOfOption(warned, nameOf(isAttempt), key);
      }
      if (known !== undefined) json = toJson(known, 'options');
    }
    const promise = new NativePromise(capture);
    const slot = takeSlot();
    resolvers[slot] = lastResolve;
    rejecters[slot] = lastReject;
    const group = own.group === undefined ? phase : groupOf(own, phase);
    const from = typeof line === 'number' ? line : 0;
    const accepted = issue(slot, prompt, json, label, group, from, own.rolling);
    // Half a surrogate pair is no text outside: the rare prompt with one is repaired.
    if (accepted !== true) taken(accepted === false ? false : issue(slot, wellFormed(prompt), json, label, group, from, own.rolling));
    return promise;
  } catch (error) {
    return rejected(guard(error));
  }
};

const MILLISECONDS_MAX = 8.64e15;

const toMilliseconds = (value, what) => {
  const milliseconds = typeof value === 'string' ? host.duration(value) : value;
  if (typeof milliseconds !== 'number' || milliseconds !== milliseconds) {
    throw fail(NativeTypeError, 'DURATION', `${what}: give milliseconds or an ISO 8601 duration such as 'PT90S'`);
  }
  return milliseconds <= 0 ? 0 : milliseconds > MILLISECONDS_MAX ? MILLISECONDS_MAX : milliseconds;
};

const sleep = (own, duration) => {
  try {
    const milliseconds = toMilliseconds(duration, 'sleep(duration)');
    const promise = new NativePromise(capture);
    const slot = takeSlot();
    resolvers[slot] = lastResolve;
    taken(host.timer(slot, milliseconds, own.rolling) >= 0);
    return promise;
  } catch (error) {
    return rejected(guard(error));
  }
};

const setTimer = (callback, delay, values) => {
  if (typeof callback !== 'function') {
    throw fail(NativeTypeError, 'CALLBACK', `setTimeout(callback, ms): the callback is ${kindOf(callback)}; give a function`);
  }
  const milliseconds = +delay;
  const slot = takeSlot();
  resolvers[slot] = () => {
    try {
      apply(callback, undefined, values);
    } catch (error) {
      taken(host.log(1, `setTimeout: the callback threw ${describe(guard(error)).text}`));
    }
  };
  return host.timer(slot, milliseconds > 0 ? (milliseconds > MILLISECONDS_MAX ? MILLISECONDS_MAX : milliseconds) : 0, true) + 1;
};

const clearTimer = (id) => {
  if (typeof id !== 'number') return;
  const slot = host.clearTimer(id - 1);
  if (slot !== undefined) freeSlot(slot);
};
