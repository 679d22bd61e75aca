// Takes away what is not the same on every host and at every time (B04, B05).

const absent = [
  'eval', 'performance', 'SharedArrayBuffer', 'Atomics', 'WeakRef', 'FinalizationRegistry', 'WebAssembly', 'gc', 'navigator',
];
for (const name of absent) deleteProperty(globalThis, name);

// Code comes from the script's text only: no function is made from a string, by any of the four roads.
const noCode = () => {
  throw fail(NativeTypeError, 'NO_EVAL', 'making code from text is not available; write the function into the script');
};
const functions = [
  function () {}, async function () {}, function* () {}, async function* () {},
];
for (const sample of functions) {
  const prototype = getPrototypeOf(sample);
  const { constructor } = prototype;
  const { name } = constructor;
  const sealed = { [name]: function () { return noCode(); } }[name];
  defineProperty(sealed, 'prototype', { value: prototype, writable: false, __proto__: null });
  defineProperty(prototype, 'constructor', { value: sealed, writable: false, configurable: false, __proto__: null });
  if (name === 'Function') define(globalThis, 'Function', sealed);
}

const noRandom = { random() {
  throw fail(NativeError, 'NO_RANDOM', 'Math.random() would differ in a replay; use random(), which is recorded, or vary by index');
} }.random;
define(globalThis.Math, 'random', noRandom);

// Local time is UTC: what reads or sets local parts reads or sets those of UTC.
{
  const prototype = NativeDate.prototype;
  const utc = NativeDate.UTC, parseDate = NativeDate.parse;
  const offset = uncurry(prototype.getTimezoneOffset);
  for (const part of ['FullYear', 'Month', 'Date', 'Day', 'Hours', 'Minutes', 'Seconds', 'Milliseconds']) {
    define(prototype, `get${part}`, prototype[`getUTC${part}`]);
    if (part !== 'Day') define(prototype, `set${part}`, prototype[`setUTC${part}`]);
  }
  const year = uncurry(prototype.getUTCFullYear);
  const iso = uncurry(prototype.toISOString), utcText = uncurry(prototype.toUTCString);
  const two = (number) => number < 10 ? `0${number}` : `${number}`;
  const hours = uncurry(prototype.getUTCHours), minutes = uncurry(prototype.getUTCMinutes);
  const seconds = uncurry(prototype.getUTCSeconds), month = uncurry(prototype.getUTCMonth), day = uncurry(prototype.getUTCDate);
  const isInvalid = (date) => { const time = dateValue(date); return time !== time; };
  // 'Thu, 01 Jan 1970 00:00:00 GMT' -> 'Thu Jan 01 1970'
  const dateText = (date) => {
    const text = utcText(date);
    return `${slice(text, 0, 3)} ${slice(text, 8, 11)} ${slice(text, 5, 7)} ${slice(text, 12, -13)}`;
  };
  const timeText = (date) => `${two(hours(date))}:${two(minutes(date))}:${two(seconds(date))}`;
  const localTime = (date) => {
    const hour = hours(date);
    return `${hour % 12 === 0 ? 12 : hour % 12}:${two(minutes(date))}:${two(seconds(date))} ${hour < 12 ? 'AM' : 'PM'}`;
  };
  const localDate = (date) => `${month(date) + 1}/${day(date)}/${year(date)}`;
  const texts = {
    getTimezoneOffset() { return isInvalid(this) ? NaN : 0; },
    getYear() { return year(this) - 1900; },
    toString() { return isInvalid(this) ? 'Invalid Date' : `${dateText(this)} ${timeText(this)} GMT+0000 (UTC)`; },
    toDateString() { return isInvalid(this) ? 'Invalid Date' : dateText(this); },
    toTimeString() { return isInvalid(this) ? 'Invalid Date' : `${timeText(this)} GMT+0000 (UTC)`; },
    toLocaleString() { return isInvalid(this) ? 'Invalid Date' : `${localDate(this)}, ${localTime(this)}`; },
    toLocaleDateString() { return isInvalid(this) ? 'Invalid Date' : localDate(this); },
    toLocaleTimeString() { return isInvalid(this) ? 'Invalid Date' : localTime(this); },
  };
  for (const name of ownKeys(texts)) define(prototype, name, texts[name]);
  deleteProperty(prototype, 'setYear');

  // A text without a zone means UTC too. It was read as local time exactly when it reads otherwise with a zone behind it.
  const parseUtc = (text) => {
    const time = parseDate(text);
    if (time !== time || offset(new NativeDate(time)) === 0) return time;
    let zoned = parseDate(`${text}Z`);
    if (zoned !== zoned) zoned = parseDate(`${text} GMT`);
    return zoned !== zoned ? time : zoned;
  };
  const noNow = (what) => {
    throw fail(NativeError, 'NO_CLOCK', `${what} would differ in a replay; use now(), which is recorded, or pass the time in args`);
  };
  const SealedDate = function Date(...parts) {
    if (new.target === undefined) noNow('Date()');
    if (parts.length === 0) noNow('new Date()');
    let time;
    if (parts.length === 1) {
      let [value] = setPrototypeOf(parts, ArrayPrototype);
      value = parts[0];
      if (isObject(value)) {
        let brand;
        try { brand = dateValue(value); } catch (error) { guard(error); }
        value = brand !== undefined ? brand : toPrimitive(value);
      }
      time = typeof value === 'string' ? parseUtc(value) : +value;
    } else {
      time = apply(utc, NativeDate, parts);
    }
    return construct(NativeDate, [time], new.target);
  };
  const toPrimitive = (value) => {
    const exotic = value[Symbol.toPrimitive];
    if (exotic !== undefined && exotic !== null) return apply(exotic, value, ['default']);
    const plain = value.valueOf();
    return isObject(plain) ? value.toString() : plain;
  };
  define(SealedDate, 'UTC', utc);
  define(SealedDate, 'parse', { parse(text) { return parseUtc(toText(text)); } }.parse);
  define(SealedDate, 'now', { now() { noNow('Date.now()'); } }.now);
  defineProperty(SealedDate, 'length', { value: 7, configurable: true, __proto__: null });
  defineProperty(SealedDate, 'prototype', { value: prototype, writable: false, __proto__: null });
  define(prototype, 'constructor', SealedDate);
  define(globalThis, 'Date', SealedDate);
}

// Every error's stack is written here: frames of the author's files only, in the author's own places.
Error.stackTraceLimit = 50;
Error.prepareStackTrace = (error, frames) => {
  // An interruption of this function is lost, and a loop that makes errors would go on.
  if (host.tripped()) poison(error);
  // The first to see what is thrown, before the stack is unwound and memory freed: a full heap is known here.
  if (error === null) host.heapIsFull();
  else if (typeof error === 'object' && isError(error)) {
    const message = getOwnPropertyDescriptor(error, 'message');
    if (message !== undefined && getPrototypeOf(error) === internalErrorPrototype && host.isOutOfMemory(message.value)) host.heapLimit();
  }
  let text = '';
  if (isArray(frames)) {
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i];
      const place = host.place(frame.getFileName(), frame.getLineNumber(), frame.getColumnNumber());
      if (place !== undefined) text += `    at ${frame.getFunctionName() || '<anonymous>'} (${place})\n`;
    }
  }
  return text;
};
deleteProperty(Error, 'stackTraceLimit');
deleteProperty(Error, 'prepareStackTrace');
deleteProperty(globalThis, 'InternalError');

// Fills the heap for good, so that nothing more can be made: for the host, when the interpreter has turned the end of the
// VM into the rejection of `promise` and the script goes on. Keeping that promise keeps its room from the next one.
const held = list();
for (let i = 0; i < 1024; i++) held[i] = undefined;
let heldCount = 0;
const poison = (promise) => {
  held[heldCount++] = promise;
  for (let size = 2 ** 30; size >= 1;) {
    try {
      held[heldCount] = new NativeArrayBuffer(size);
      heldCount++;
    } catch {
      size = size > 16 ? size / 2 : 0;
    }
  }
};

// Rejected promises that nobody awaits (B09), told to the log at the end of the turn.
const unhandled = new NativeMap();
const track = (promise, reason, isHandled) => {
  if (isHandled) mapDelete(unhandled, promise);
  else mapSet(unhandled, promise, reason);
};
const reportUnhandled = () => {
  if (mapSize(unhandled) === 0) return;
  mapForEach(unhandled, (reason) => {
    const { text, stack } = describe(guard(reason));
    taken(host.log(1, trim(`unhandled rejection: ${text}\n${stack}`)));
  });
  mapClear(unhandled);
};

// In the order of `Entry` in vm.rs.
return [start, threw, refuse, refuseValue, track, reportUnhandled, poison];
