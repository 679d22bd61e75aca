// URL, URLSearchParams, TextEncoder and TextDecoder (B06): in scripts/library/web, compiled when a script first names one.

let web;
const world = globalThis;

// What they need of JavaScript's own and of the prelude.
const webHeld = {
  apply, ownKeys, defineProperty, getOwnPropertyDescriptor, setPrototypeOf, getPrototypeOf, slice, stringify, wellFormed,
  toText, isObject, kindOf, fail, list, asArray, NativeTypeError, NativeRangeError, NativeArrayBuffer,
  codePointAt: uncurry(String.prototype.codePointAt),
  fromCharCode: String.fromCharCode,
  isView: ArrayBuffer.isView,
  NativeUint8Array: Uint8Array,
  SymbolIterator: Symbol.iterator,
  define: (target, name, value) => define(target, name, value),
  __proto__: null,
};

const installWeb = () => {
  const names = list();
  names[0] = 'URL';
  names[1] = 'URLSearchParams';
  names[2] = 'TextEncoder';
  names[3] = 'TextDecoder';
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    defineProperty(world, name, {
      get() {
        web ??= host.web()(host, webHeld);
        define(world, name, web[name]);
        return web[name];
      },
      set(value) { define(world, name, value); },
      enumerable: false,
      configurable: true,
      __proto__: null,
    });
  }
};
