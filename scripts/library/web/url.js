// URL and URLSearchParams (B06), after the standard of the WHATWG. What is text goes to the host's library and comes back;
// objects and their order are here. A script may change every object it can reach, so nothing here uses a method by its
// name: what is needed of JavaScript's own comes in `held`, as it was before the script began.

const {
  apply, ownKeys, defineProperty, getOwnPropertyDescriptor, setPrototypeOf, getPrototypeOf, slice, stringify, wellFormed,
  codePointAt, fromCharCode, toText, isView, isObject, kindOf, fail, list, asArray, define, SymbolIterator,
  NativeTypeError, NativeRangeError, NativeUint8Array, NativeArrayBuffer,
} = held;

const text = (value) => wellFormed(toText(value));

// The pairs of a URLSearchParams as one flat list, name and value in turn.
const pairsOf = (init) => {
  const pairs = list();
  if (init === undefined) return pairs;
  if (!isObject(init)) {
    const given = text(init);
    return setPrototypeOf(host.queryPairs(given[0] === '?' ? slice(given, 1) : given), null);
  }
  const iterate = init[SymbolIterator];
  if (iterate === undefined || iterate === null) {
    const keys = ownKeys(init);
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] !== 'string' || !getOwnPropertyDescriptor(init, keys[i])?.enumerable) continue;
      pairs[pairs.length] = text(keys[i]);
      pairs[pairs.length] = text(init[keys[i]]);
    }
    return pairs;
  }
  for (const pair of init) {
    const both = list();
    if (isObject(pair)) for (const one of pair) both[both.length] = text(one);
    if (both.length !== 2) throw fail(NativeTypeError, 'URL', 'new URLSearchParams(pairs): each pair has a name and a value');
    pairs[pairs.length] = both[0];
    pairs[pairs.length] = both[1];
  }
  return pairs;
};

// What the classes may do to each other.
let searchTaken, searchText, queryChanged, urlPart, setUrlPart;
const ownUrl = {};

class URLSearchParams {
  #pairs;
  // The URL whose query this is.
  #url;

  constructor(init, own, url) {
    this.#pairs = own === ownUrl ? init : pairsOf(init);
    if (own === ownUrl) this.#url = url;
  }

  static {
    searchTaken = (search, query) => { search.#pairs = pairsOf(query); };
    searchText = (search) => host.queryText(search.#pairs);
  }

  #changed() {
    if (this.#url !== undefined) queryChanged(this.#url, searchText(this));
  }

  // The places of the pairs with this name, and with this value if there is one.
  #places(name, value) {
    const places = list();
    for (let i = 0; i < this.#pairs.length; i += 2) {
      if (this.#pairs[i] === name && (value === undefined || this.#pairs[i + 1] === value)) places[places.length] = i;
    }
    return places;
  }

  #without(places, from) {
    const kept = list();
    for (let i = 0, next = from; i < this.#pairs.length; i += 2) {
      if (next < places.length && places[next] === i) {
        next++;
        continue;
      }
      kept[kept.length] = this.#pairs[i];
      kept[kept.length] = this.#pairs[i + 1];
    }
    this.#pairs = kept;
  }

  get size() { return this.#pairs.length / 2; }

  append(name, value) {
    this.#pairs[this.#pairs.length] = text(name);
    this.#pairs[this.#pairs.length] = text(value);
    this.#changed();
  }

  delete(name, value) {
    this.#without(this.#places(text(name), value === undefined ? undefined : text(value)), 0);
    this.#changed();
  }

  get(name) {
    const places = this.#places(text(name));
    return places.length > 0 ? this.#pairs[places[0] + 1] : null;
  }

  getAll(name) {
    const places = this.#places(text(name));
    const values = list();
    for (let i = 0; i < places.length; i++) values[i] = this.#pairs[places[i] + 1];
    return asArray(values);
  }

  has(name, value) {
    return this.#places(text(name), value === undefined ? undefined : text(value)).length > 0;
  }

  set(name, value) {
    const wanted = text(name);
    const given = text(value);
    const places = this.#places(wanted);
    if (places.length === 0) {
      this.append(wanted, given);
      return;
    }
    this.#pairs[places[0] + 1] = given;
    this.#without(places, 1);
    this.#changed();
  }

  // By name, in the order of UTF-16 code units; equal names stay in their order.
  sort() {
    const pairs = this.#pairs;
    const count = pairs.length / 2;
    let order = list();
    for (let i = 0; i < count; i++) order[i] = i;
    for (let width = 1; width < count; width *= 2) {
      const merged = list();
      for (let start = 0; start < count; start += 2 * width) {
        let left = start, right = start + width;
        const middle = right < count ? right : count;
        const end = start + 2 * width < count ? start + 2 * width : count;
        while (left < middle || right < end) {
          const takeLeft = right >= end || (left < middle && pairs[2 * order[left]] <= pairs[2 * order[right]]);
          merged[merged.length] = order[takeLeft ? left++ : right++];
        }
      }
      order = merged;
    }
    const sorted = list();
    for (let i = 0; i < count; i++) {
      sorted[sorted.length] = pairs[2 * order[i]];
      sorted[sorted.length] = pairs[2 * order[i] + 1];
    }
    this.#pairs = sorted;
    this.#changed();
  }

  forEach(callback, self) {
    for (let i = 0; i < this.#pairs.length; i += 2) apply(callback, self, [this.#pairs[i + 1], this.#pairs[i], this]);
  }

  *entries() { for (let i = 0; i < this.#pairs.length; i += 2) yield [this.#pairs[i], this.#pairs[i + 1]]; }
  *keys() { for (let i = 0; i < this.#pairs.length; i += 2) yield this.#pairs[i]; }
  *values() { for (let i = 0; i < this.#pairs.length; i += 2) yield this.#pairs[i + 1]; }
  toString() { return searchText(this); }
}
define(URLSearchParams.prototype, SymbolIterator, URLSearchParams.prototype.entries);

class URL {
  #href;
  #search;

  constructor(url, base) {
    const given = text(url);
    const from = base === undefined ? undefined : text(base);
    const href = host.url(given, from);
    if (href === undefined) {
      const against = from === undefined ? '' : ` from ${stringify(from)}`;
      throw fail(NativeTypeError, 'ERR_INVALID_URL', `new URL(url, base): ${stringify(given)}${against} is no absolute URL`);
    }
    this.#href = href;
  }

  static {
    urlPart = (url, part) => host.urlPart(url.#href, part);
    // What a part cannot be is left as it was, but for the whole.
    setUrlPart = (url, part, value) => {
      const href = host.setUrlPart(url.#href, part, text(value));
      if (href === undefined) {
        if (part === 'href') throw fail(NativeTypeError, 'ERR_INVALID_URL', `url.href = ${stringify(text(value))}: that is no absolute URL`);
        return;
      }
      url.#href = href;
      if (part === 'href' || part === 'search') {
        if (url.#search !== undefined) searchTaken(url.#search, urlPart(url, 'search'));
      }
    };
    queryChanged = (url, query) => {
      url.#href = host.setUrlPart(url.#href, 'search', query) ?? url.#href;
    };
  }

  static canParse(url, base) { return host.url(text(url), base === undefined ? undefined : text(base)) !== undefined; }
  static parse(url, base) { return host.url(text(url), base === undefined ? undefined : text(base)) === undefined ? null : new URL(url, base); }

  get searchParams() {
    this.#search ??= new URLSearchParams(pairsOf(urlPart(this, 'search')), ownUrl, this);
    return this.#search;
  }

  get origin() { return urlPart(this, 'origin'); }
  toString() { return this.#href; }
  toJSON() { return this.#href; }
}
const urlParts = setPrototypeOf([
  'href', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash',
], null);
for (let i = 0; i < urlParts.length; i++) {
  const part = urlParts[i];
  defineProperty(URL.prototype, part, {
    get() { return urlPart(this, part); },
    set(value) { setUrlPart(this, part, value); },
    enumerable: true,
    configurable: true,
    __proto__: null,
  });
}
