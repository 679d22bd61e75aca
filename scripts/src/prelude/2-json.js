// Values that leave the VM are JSON (B02): what is none is named with its path.

const notJson = {};
const replacer = (key, value) => {
  const type = typeof value;
  if (type === 'function' || type === 'symbol' || type === 'bigint') throw notJson;
  return value;
};

const toJson = (value, root) => {
  try {
    return stringify(value, replacer);
  } catch (error) {
    guard(error);
    const found = offender(value, root, '', list(), 0);
    if (found !== undefined) throw fail(NativeTypeError, 'NOT_JSON', found);
    throw error;
  }
};

const OFFENDER_DEPTH_MAX = 500;

// The first place in `value` that JSON cannot hold, as a sentence.
const offender = (value, path, key, above, depth) => {
  if (isObject(value) && typeof value.toJSON === 'function') value = value.toJSON(key);
  const type = typeof value;
  if (type === 'function') return `${path} is a function, which JSON cannot hold: return data only`;
  if (type === 'symbol') return `${path} is a symbol, which JSON cannot hold: return data only`;
  if (type === 'bigint') return `${path} is a BigInt, which JSON cannot hold: convert it with Number() or String()`;
  if (type !== 'object' || value === null || depth > OFFENDER_DEPTH_MAX) return undefined;
  for (let i = 0; i < depth; i++) {
    if (above[i] === value) return `${path} is a cycle (it is one of the objects that it lies in), which JSON cannot hold`;
  }
  above[depth] = value;
  if (isArray(value)) {
    const { length } = value;
    for (let i = 0; i < length; i++) {
      const found = offender(value[i], `${path}[${i}]`, `${i}`, above, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const keys = ownKeys(value);
  for (let i = 0; i < keys.length; i++) {
    const name = keys[i];
    if (typeof name !== 'string' || !getOwnPropertyDescriptor(value, name)?.enumerable) continue;
    const place = host.isName(name) ? `${path}.${name}` : `${path}[${stringify(name)}]`;
    const found = offender(value[name], place, name, above, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
};

const deepFreeze = (root) => {
  if (!isObject(root)) return root;
  const open = list();
  open[0] = root;
  let count = 1;
  while (count > 0) {
    const value = open[--count];
    freeze(value);
    const keys = ownKeys(value);
    for (let i = 0; i < keys.length; i++) {
      const inner = value[keys[i]];
      if (isObject(inner) && !isFrozen(inner)) open[count++] = inner;
    }
  }
  return root;
};

// `args` of a workflow from JSON text (G01).
const readArgs = (text) => {
  if (text === undefined) return undefined;
  let value = parseJson(text);
  if (typeof value === 'string' && host.parsesArgsText) {
    try {
      const inner = parseJson(value);
      if (isObject(inner)) value = inner;
    } catch (error) {
      guard(error);
    }
  }
  return deepFreeze(value);
};

// What is shown of any value: strings as they are, objects as JSON.
const show = (value) => {
  if (typeof value === 'string') return wellFormed(value);
  try {
    if (isObject(value)) {
      if (isError(value)) return describe(value).text;
      const text = typeof value === 'function' ? undefined : stringify(value);
      if (text !== undefined) return wellFormed(text);
    }
    return wellFormed(toText(value));
  } catch (error) {
    guard(error);
    return kindOf(value);
  }
};

// In UTF-16 units. What an error is called is a word; what it says may be a page, and so may its stack.
const NAME_LENGTH_MAX = 256;
const MESSAGE_LENGTH_MAX = 65536;

const read = (value, key) => {
  try {
    return value[key];
  } catch (error) {
    guard(error);
    return undefined;
  }
};

// What was thrown, in texts of bounded length, whatever it is.
const describe = (thrown) => {
  let name = 'Error', code, message, stack = '';
  if (isObject(thrown) && typeof thrown !== 'function') {
    const ownName = read(thrown, 'name'), ownMessage = read(thrown, 'message'), ownCode = read(thrown, 'code');
    if (typeof ownName === 'string' && ownName !== '') name = ownName;
    message = typeof ownMessage === 'string' ? ownMessage : isError(thrown) ? '' : show(thrown);
    if (typeof ownCode === 'string' || typeof ownCode === 'number') code = toText(ownCode);
    if (isError(thrown)) {
      try {
        const own = errorStack(thrown);
        if (typeof own === 'string') stack = own;
      } catch (error) {
        guard(error);
      }
    }
  } else {
    message = show(thrown);
    // What the interpreter throws when there is no room for an error, too.
    if (thrown === null) message += " (when the script itself throws no null: there was no memory left, not even for an error; keep less at once, or raise the limit on the heap)";
  }
  const short = (text, most) => wellFormed(text.length > most ? slice(text, 0, most) + '…' : text);
  message = short(message, MESSAGE_LENGTH_MAX);
  name = short(name, NAME_LENGTH_MAX);
  return {
    name, code: code === undefined ? undefined : short(code, NAME_LENGTH_MAX), message, stack: short(stack, MESSAGE_LENGTH_MAX),
    text: message === '' ? name : `${name}: ${message}`, __proto__: null,
  };
};
