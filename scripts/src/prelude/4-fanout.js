// parallel, pipeline and the combinators of Promise: they own their barriers, and tell the host when a lane ends, so that
// it knows what the code behind the barrier has waited for (docs/replay.md).

const { open: openBarrier, lane: endLane, join: joinLanes } = host;

const barrier = (count) => {
  const promise = new NativePromise(capture);
  const resolve = lastResolve, reject = lastReject;
  const results = list();
  for (let i = 0; i < count; i++) results[i] = undefined;
  const id = count > 0 ? openBarrier(count) : -1;
  let left = count;
  const end = (index, value) => {
    results[index] = value;
    endLane(id, index);
    if (--left === 0) {
      joinLanes(id);
      resolve(asArray(results));
    }
  };
  const abandon = (index, error) => {
    host.won(id, index);
    reject(error);
  };
  if (count === 0) resolve(asArray(results));
  return { promise, end, abandon, __proto__: null };
};

const tooMany = (what, count) => failCap(
  NativeRangeError, 'ITEMS_CAP', 'ItemsCapError',
  `${what}: ${count} items, more than the cap of ${host.itemsMax}; split the work, or raise the cap with --max-items`,
);

const parallel = (thunks) => {
  if (!isArray(thunks)) {
    return rejected(fail(NativeTypeError, 'THUNKS', `parallel(thunks): the argument is ${kindOf(thunks)}; give an array of functions: parallel([() => agent(…), …])`));
  }
  const count = thunks.length;
  if (count > host.itemsMax) return rejected(tooMany('parallel(thunks)', count));
  const run = list();
  for (let i = 0; i < count; i++) {
    const thunk = thunks[i];
    if (typeof thunk !== 'function') {
      return rejected(fail(NativeTypeError, 'THUNKS', `parallel(thunks): item ${i} is ${isObject(thunk) && !isArray(thunk) ? 'a promise or another object' : kindOf(thunk)}, no function; wrap it: () => agent(…)`));
    }
    run[i] = thunk;
  }
  const { promise, end, abandon } = barrier(count);
  for (let i = 0; i < count; i++) {
    const drop = (error) => {
      if (isCap(guard(error))) return abandon(i, error);
      taken(host.log(0, `parallel: item ${i} gave null, since it threw ${describe(error).text}`));
      end(i, null);
    };
    try {
      settleTo((0, run[i])(), (value) => end(i, value), drop);
    } catch (error) {
      drop(error);
    }
  }
  return promise;
};

const pipeline = (items, stages) => {
  if (!isArray(items)) {
    return rejected(fail(NativeTypeError, 'ITEMS', `pipeline(items, ...stages): the first argument is ${kindOf(items)}; give an array of items`));
  }
  const count = items.length, stageCount = stages.length;
  if (count > host.itemsMax) return rejected(tooMany('pipeline(items, ...stages)', count));
  for (let k = 0; k < stageCount; k++) {
    if (typeof stages[k] !== 'function') {
      return rejected(fail(NativeTypeError, 'STAGES', `pipeline(items, ...stages): stage ${k + 1} is ${kindOf(stages[k])}; give a function: (previous, item, index) => …`));
    }
  }
  const { promise, end, abandon } = barrier(count);
  const all = list();
  for (let i = 0; i < count; i++) all[i] = items[i];
  const lane = (i) => {
    // How many stages have ended. There is one at a time, so two functions do for all of them; the one that knows itself
    // is let go at the end, since only a search for cycles would free it.
    let k = 0, next;
    const drop = (error) => {
      next = undefined;
      if (isCap(guard(error))) return abandon(i, error);
      taken(host.log(0, `pipeline: item ${i} dropped, since stage ${k + 1} threw ${describe(error).text}`));
      end(i, null);
    };
    next = (value) => {
      if (value !== null && ++k < stageCount) return walk(i, k, value, next, drop);
      next = undefined;
      if (value === null) taken(host.log(0, `pipeline: item ${i} dropped, since stage ${k + 1} gave null`));
      end(i, value);
    };
    if (stageCount === 0) end(i, all[i]);
    else walk(i, 0, all[i], next, drop);
  };
  const walk = (i, k, previous, next, drop) => {
    let result;
    try {
      result = (0, stages[k])(previous, all[i], i);
    } catch (error) {
      return drop(error);
    }
    // A synchronous stage waits its turn too, so that calls are issued stage by stage in the order of the items.
    if (isObject(result)) return settleTo(result, next, drop);
    const promise = new NativePromise(capture);
    const resolve = lastResolve;
    resolve(result);
    onward(promise, next, drop);
  };
  for (let i = 0; i < count; i++) lane(i);
  return promise;
};

// The elements of any iterable, taken as the script's world has it.
const elements = (iterable) => {
  const found = list();
  let count = 0;
  for (const element of iterable) found[count++] = element;
  return found;
};

const combinators = {
  all(iterable) {
    const found = elements(iterable);
    const { promise, end, abandon } = barrier(found.length);
    for (let i = 0; i < found.length; i++) {
      settleTo(found[i], (value) => end(i, value), (error) => abandon(i, guard(error)));
    }
    return promise;
  },
  allSettled(iterable) {
    const found = elements(iterable);
    const { promise, end } = barrier(found.length);
    for (let i = 0; i < found.length; i++) {
      settleTo(
        found[i],
        (value) => end(i, { status: 'fulfilled', value }),
        (reason) => end(i, { status: 'rejected', reason: guard(reason) }),
      );
    }
    return promise;
  },
  race(iterable) {
    const found = elements(iterable);
    const promise = new NativePromise(capture);
    const resolve = lastResolve, reject = lastReject;
    const id = found.length > 0 ? host.open(found.length) : -1;
    for (let i = 0; i < found.length; i++) {
      settleTo(
        found[i],
        (value) => { host.won(id, i); resolve(value); },
        (error) => { host.won(id, i); reject(guard(error)); },
      );
    }
    return promise;
  },
  any(iterable) {
    const found = elements(iterable);
    const promise = new NativePromise(capture);
    const resolve = lastResolve, reject = lastReject;
    const errors = list();
    const count = found.length;
    for (let i = 0; i < count; i++) errors[i] = undefined;
    const allFailed = () => reject(new NativeAggregateError(asArray(errors), 'All promises were rejected'));
    if (count === 0) {
      allFailed();
      return promise;
    }
    const id = host.open(count);
    let left = count;
    for (let i = 0; i < count; i++) {
      settleTo(
        found[i],
        (value) => { host.won(id, i); resolve(value); },
        (error) => {
          errors[i] = guard(error);
          host.lane(id, i);
          if (--left === 0) {
            host.join(id);
            allFailed();
          }
        },
      );
    }
    return promise;
  },
};
const NativeAggregateError = AggregateError;

for (const name of ['all', 'allSettled', 'race', 'any']) {
  const native = NativePromise[name], ours = combinators[name];
  const combinator = {
    [name](iterable) {
      if (this !== NativePromise) return apply(native, this, [iterable]);
      try {
        return ours(iterable);
      } catch (error) {
        return rejected(guard(error));
      }
    },
  }[name];
  defineProperty(NativePromise, name, { value: combinator, writable: true, configurable: true, enumerable: false, __proto__: null });
}

{
  const { then } = {
    then(onFulfilled, onRejected) {
      if (typeof onRejected !== 'function') return promiseThen(this, onFulfilled, onRejected);
      return promiseThen(this, onFulfilled, (error) => {
        guard(error);
        return onRejected(error);
      });
    },
  };
  defineProperty(NativePromise.prototype, 'then', { value: then, writable: true, configurable: true, enumerable: false, __proto__: null });
}
