// What the patterns share. A script may change every object it can reach, so nothing here uses a method by its name: what
// is needed of JavaScript's own comes in `held`, as it was before the script began.

const { isArray, stringify, defineProperty, ownKeys, includes, trim, guard, isCap, messageOf, wrong } = held;

const isObject = (value) => typeof value === 'object' && value !== null;
const isText = (value) => typeof value === 'string' && trim(value) !== '';
const isWhole = (value, least, most) => typeof value === 'number' && value % 1 === 0 && value >= least && value <= most;

// What an object itself says, whatever stands on its prototypes.
const own = (object) => ({ __proto__: null, ...object });

// Assignment, and adding to a list, that no setter on a prototype hears of.
const put = (object, key, value) => {
  defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true, __proto__: null });
};
const add = (list, item) => put(list, list.length, item);
const addAll = (list, items) => {
  for (let i = 0; i < items.length; i++) add(list, items[i]);
};

const textOf = (value) => typeof value === 'string' ? value : stringify(value, null, 2) ?? 'nothing';

// What others wrote, between two lines that it cannot contain.
const material = (value) => {
  const text = textOf(value);
  let line = '-----';
  while (includes(text, line)) line += '-';
  return `${line}\n${text}\n${line}`;
};

// Whether a function of the script gave what attempt() gave it.
const isAttempt = (value) => {
  if (!isObject(value) || isArray(value)) return false;
  const { ok, agentId } = own(value);
  return typeof ok === 'boolean' && typeof agentId === 'string';
};

// What a function of the script threw, as attempt() tells a failure.
const thrown = (error) => ({ kind: 'thrown', message: messageOf(error), attempts: 1 });

// The options of a pattern. One that it does not have is an error, before anything is spent.
const optionsOf = (pattern, given, names) => {
  if (given === undefined || given === null) return own({});
  if (!isObject(given) || isArray(given)) throw wrong('OPTIONS', `${pattern}: the options are no object; give { ${names[0]}: … }`);
  const keys = ownKeys(given);
  for (let i = 0; i < keys.length; i++) {
    let known = false, all = '';
    for (let k = 0; k < names.length; k++) {
      known ||= names[k] === keys[i];
      all += k === 0 ? names[k] : `, ${names[k]}`;
    }
    if (!known && typeof keys[i] === 'string') throw wrong('OPTIONS', `${pattern}: there is no option ${stringify(keys[i])}; there are ${all}`);
  }
  return own(given);
};

const number = (pattern, name, value, least, most) => {
  if (isWhole(value, least, most)) return value;
  throw wrong('OPTIONS', `${pattern}: ${name} is ${textOf(value)}; give a whole number from ${least} to ${most}`);
};

const objectOr = (pattern, name, value = {}) => {
  if (isObject(value) && !isArray(value)) return own(value);
  throw wrong('OPTIONS', `${pattern}: ${name} is no object`);
};
