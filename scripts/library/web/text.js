// TextEncoder and TextDecoder (B06), of UTF-8, after the standard of the WHATWG.

class TextEncoder {
  get encoding() { return 'utf-8'; }
  encode(input = '') { return new NativeUint8Array(host.utf8(text(input))); }

  encodeInto(source, destination) {
    const given = text(source);
    let read = 0, written = 0;
    while (read < given.length) {
      const point = codePointAt(given, read);
      const bytes = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      if (written + bytes > destination.length) break;
      if (bytes === 1) destination[written] = point;
      else {
        const first = bytes === 2 ? 0xc0 : bytes === 3 ? 0xe0 : 0xf0;
        destination[written] = first | (point >> (6 * (bytes - 1)));
        for (let i = 1; i < bytes; i++) destination[written + i] = 0x80 | ((point >> (6 * (bytes - 1 - i))) & 0x3f);
      }
      written += bytes;
      read += point < 0x10000 ? 1 : 2;
    }
    return { read, written };
  }
}

class TextDecoder {
  #fatal;
  #keepsMark;
  // Bytes of a character that is not whole yet, in a stream: as the host is given them, each a character of a text.
  #pending = '';
  #isBegun = false;

  constructor(label = 'utf-8', options = {}) {
    const name = host.isUtf8Label(text(label));
    if (!name) throw fail(NativeRangeError, 'ERR_ENCODING_NOT_SUPPORTED', `new TextDecoder(label): ${stringify(text(label))} is not supported; there is utf-8`);
    this.#fatal = Boolean(options?.fatal);
    this.#keepsMark = Boolean(options?.ignoreBOM);
  }

  get encoding() { return 'utf-8'; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#keepsMark; }

  decode(input, options) {
    const isStream = Boolean(options?.stream);
    const bytes = this.#pending + bytesOf(input);
    const decoded = host.fromUtf8(bytes, this.#fatal, isStream);
    if (decoded === undefined) {
      this.#pending = '';
      this.#isBegun = false;
      throw fail(NativeTypeError, 'ERR_ENCODING_INVALID_ENCODED_DATA', 'TextDecoder.decode(): the bytes are no UTF-8');
    }
    let out = decoded[0];
    const used = decoded[1];
    this.#pending = slice(bytes, used);
    if (!this.#isBegun && out.length > 0 && !this.#keepsMark && out[0] === '\ufeff') out = slice(out, 1);
    this.#isBegun = isStream && (this.#isBegun || used > 0);
    return out;
  }
}

const BYTES_AT_ONCE = 8192;
const bytesOf = (input) => {
  let buffer = input, start = 0, length;
  if (input === undefined) return '';
  if (isView(input)) {
    buffer = input.buffer;
    start = input.byteOffset;
    length = input.byteLength;
  } else if (isObject(input) && getPrototypeOf(input) === NativeArrayBuffer.prototype) length = input.byteLength;
  else throw noBytes(input);
  let bytes = '';
  for (let i = 0; i < length; i += BYTES_AT_ONCE) {
    const count = length - i < BYTES_AT_ONCE ? length - i : BYTES_AT_ONCE;
    bytes += apply(fromCharCode, undefined, new NativeUint8Array(buffer, start + i, count));
  }
  return bytes;
};
const noBytes = (input) => {
  return fail(NativeTypeError, 'ERR_INVALID_ARG_TYPE', `TextDecoder.decode(bytes): ${kindOf(input)} is given; give an ArrayBuffer or a view of one`);
};
