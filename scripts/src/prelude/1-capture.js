// The prelude: what a script finds in its world, and the engine's side of it. All files of this folder are one function
// body, in the order of their names; `host` is the table of functions in host.rs. A script may patch every prototype it
// can reach, so nothing here uses a method by name after this file: all of them are captured as functions first.

const {
  apply, construct, ownKeys, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, deleteProperty,
} = Reflect;
const { create, freeze, isFrozen, setPrototypeOf } = Object;
const { isArray } = Array;
const { ceil } = Math;
const uncurry = Function.prototype.bind.bind(Function.prototype.call);
const { parse: parseJson, stringify } = JSON;
const NativePromise = Promise;
const promiseThen = uncurry(Promise.prototype.then);
const slice = uncurry(String.prototype.slice);
const trim = uncurry(String.prototype.trim);
const includes = uncurry(String.prototype.includes);
const wellFormed = uncurry(String.prototype.toWellFormed);
const setHas = uncurry(WeakSet.prototype.has);
const setAdd = uncurry(WeakSet.prototype.add);
const errorStack = uncurry(getOwnPropertyDescriptor(Error.prototype, 'stack').get);
const { isError } = Error;
const toText = String;
const ObjectPrototype = Object.prototype;
const ArrayPrototype = Array.prototype;
const NativeError = Error, NativeTypeError = TypeError, NativeRangeError = RangeError;
const internalErrorPrototype = InternalError.prototype;
const rangeErrorPrototype = RangeError.prototype;
const NativeArrayBuffer = ArrayBuffer;
const NativeWeakSet = WeakSet, NativeMap = Map, NativeSet = Set;
const mapGet = uncurry(Map.prototype.get), mapSet = uncurry(Map.prototype.set), mapHas = uncurry(Map.prototype.has);

// An array that no setter on a prototype can reach while it is filled.
const list = () => setPrototypeOf([], null);
const asArray = (items) => setPrototypeOf(items, ArrayPrototype);

// One executor for all promises: what it was given is picked up at once.
let lastResolve, lastReject;
const capture = (resolve, reject) => { lastResolve = resolve; lastReject = reject; };

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

// Takes more stack than anything that `guard` does after it: where the guard cannot finish it must not begin to pass.
const headroom = (depth) => depth > 0 ? headroom(depth - 1) + 1 : 0;

// Looks at everything that a `catch` of the author or a rejection handler is about to see: the end of the heap or of the
// stack is no error of the script's, it ends the VM. The loop runs until the interrupt handler, which knows, breaks it off
// for good. Gives the value back.
const guard = (error) => {
  headroom(4);
  if (host.tripped()) for (;;);
  if (typeof error === 'object' && isError(error)) {
    const message = getOwnPropertyDescriptor(error, 'message');
    if (message !== undefined) {
      const prototype = getPrototypeOf(error);
      if (prototype === internalErrorPrototype && host.isOutOfMemory(message.value)) {
        host.heapLimit();
        for (;;);
      }
      if (prototype === rangeErrorPrototype && message.value === 'Maximum call stack size exceeded') {
        host.stackLimit();
        for (;;);
      }
    }
  }
  return error;
};

// What the host answers when it takes something: at its limit the VM is to end now, not after thousands of steps more.
const taken = (accepted) => {
  if (!accepted) for (;;);
};

const fail = (Type, code, message) => {
  const error = new Type(message);
  defineProperty(error, 'code', { value: code, enumerable: true, configurable: true, writable: true, __proto__: null });
  return error;
};

// Errors of caps and the budget, which reject a whole fan-out (P04).
const caps = new NativeWeakSet();
const failCap = (Type, code, name, message) => {
  const error = fail(Type, code, message);
  defineProperty(error, 'name', { value: name, configurable: true, writable: true, __proto__: null });
  setAdd(caps, error);
  return error;
};
const isCap = (error) => isObject(error) && setHas(caps, error);

const rejected = (error) => {
  const promise = new NativePromise(capture);
  const reject = lastReject;
  reject(error);
  return promise;
};

const kindOf = (value) => {
  if (value === null) return 'null';
  if (isArray(value)) return 'an array';
  const type = typeof value;
  return type === 'undefined' ? 'undefined' : type === 'object' ? 'an object' : `a ${type}`;
};

// Calls one of two functions with what `value` comes to; at once when it is no promise.
const settleTo = (value, onValue, onError) => {
  if (!isObject(value)) return onValue(value);
  try {
    // The usual case at no cost: this fails at once for what only looks like a promise.
    if (value.constructor === NativePromise) return void promiseThen(value, onValue, onError);
  } catch (error) {
    guard(error);
  }
  if (!host.isPromise(value)) {
    // A thenable, or an ordinary object.
    const promise = new NativePromise(capture);
    const resolve = lastResolve;
    resolve(value);
    return onward(promise, onValue, onError);
  }
  onward(value, onValue, onError);
};

// promiseThen in a world where the constructor of all promises, or its species, is no longer what it was.
const onward = (promise, onValue, onError) => {
  defineProperty(promise, 'constructor', { value: undefined, configurable: true, __proto__: null });
  try {
    promiseThen(promise, onValue, onError);
  } finally {
    deleteProperty(promise, 'constructor');
  }
};
