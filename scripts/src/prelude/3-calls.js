// Calls: agent(), attempt() and timers. The host makes the promise of each and settles it; only refusals come from here.

const { call: issueCall, attempt: issueAttempt } = host;

// What the host has made of a call: its promise, or nothing at a limit, where the VM is to end now.
const promised = (promise) => {
  if (typeof promise !== 'object') for (;;);
  return promise;
};

// Called by the host to reject what waits for a settlement.
const refuse = (reject, code, name, message, isOfCap) => {
  const error = isOfCap ? failCap(NativeError, code, name, message) : fail(NativeError, code, message);
  if (!isOfCap) defineProperty(error, 'name', { value: name, configurable: true, writable: true, __proto__: null });
  reject(error);
};
const refuseValue = (reject, error) => {
  guard(error);
  refuse(reject, 'INVALID_VALUE', 'InvalidValueError', 'the value that came is no JSON', false);
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
  const issue = isAttempt ? issueAttempt : issueCall;
  try {
    if (typeof prompt !== 'string') {
      throw fail(NativeTypeError, 'PROMPT', `${nameOf(isAttempt)}(prompt, options): the prompt is ${kindOf(prompt)}; give it a string`);
    }
    if (!(prompt >= '!') && trim(prompt) === '') {
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
    const group = groupOf(own, phase);
    // Half a surrogate pair is no text outside: the rare prompt with one is repaired.
    const promise = issue(prompt, line, own.rolling, group, json, label) ?? issue(wellFormed(prompt), line, own.rolling, group, json, label);
    return promised(promise);
  } catch (error) {
    return rejected(guard(error));
  }
};

// The function that a script calls. What nearly all calls are, a prompt without options, takes the short way.
const agentOf = (own, isAttempt) => {
  const issue = isAttempt ? issueAttempt : issueCall, name = nameOf(isAttempt);
  return {
    [name](prompt, options, line) {
      if (options === undefined && typeof prompt === 'string' && prompt >= '!') {
        try {
          const promise = issue(prompt, line, own.rolling, own.title);
          if (typeof promise === 'object') return promise;
        } catch (error) {
          return rejected(guard(error));
        }
      }
      return callAgent(own, isAttempt, prompt, options, line);
    },
  }[name];
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
    return promised(host.sleep(milliseconds, own.rolling));
  } catch (error) {
    return rejected(guard(error));
  }
};

const setTimer = (callback, delay, values) => {
  if (typeof callback !== 'function') {
    throw fail(NativeTypeError, 'CALLBACK', `setTimeout(callback, ms): the callback is ${kindOf(callback)}; give a function`);
  }
  const milliseconds = +delay;
  const fire = () => {
    try {
      apply(callback, undefined, values);
    } catch (error) {
      taken(host.log(1, `setTimeout: the callback threw ${describe(guard(error)).text}`));
    }
  };
  return host.timer(fire, milliseconds > 0 ? (milliseconds > MILLISECONDS_MAX ? MILLISECONDS_MAX : milliseconds) : 0) + 1;
};

const clearTimer = (id) => {
  if (typeof id === 'number') host.clearTimer(id - 1);
};
