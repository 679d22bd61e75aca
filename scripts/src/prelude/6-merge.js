// merge(): the engine lands the branches that agents' work was kept on (X06, T03). The script only says which, and where to.

// A branch's name out of an item of the list: a name, a worktree, or what has one (what attempt() gave, what converge gave).
// `undefined` where nothing was kept.
const branchOf = (item, index) => {
  let found = item;
  if (isObject(found) && found.branch === undefined && found.worktree !== undefined) found = found.worktree;
  if (found === null || found === undefined) return undefined;
  if (isObject(found)) found = found.branch;
  if (typeof found === 'string' && trim(found) !== '') return wellFormed(found);
  throw fail(NativeTypeError, 'WORKTREES', `merge(worktrees, options): item ${index} is ${isObject(item) ? `${kindOf(item)} without a branch` : item === '' ? 'an empty name' : kindOf(item)}; give a branch's name, a worktree or what attempt() gave`);
};


const branchesOf = (worktrees) => {
  if (!isArray(worktrees)) {
    throw fail(NativeTypeError, 'WORKTREES', `merge(worktrees, options): the worktrees are ${kindOf(worktrees)}; give an array`);
  }
  const branches = list(), seen = create(null);
  const { length } = worktrees;
  let count = 0;
  for (let i = 0; i < length; i++) {
    const branch = branchOf(worktrees[i], i);
    if (branch === undefined || seen[branch] === true) continue;
    seen[branch] = true;
    branches[count++] = branch;
  }
  return branches;
};

const mergeText = (key, value) => {
  if (typeof value === 'string' && trim(value) !== '') return wellFormed(value);
  const wanted = key === 'verify' ? 'one command line, as a shell takes it' : "a branch's name";
  throw fail(NativeTypeError, 'OPTIONS', `merge(worktrees, options): ${key} is ${value === '' ? 'empty' : kindOf(value)}; give ${wanted}`);
};

const mergeTimeout = (value) => {
  const milliseconds = toMilliseconds(value, 'merge(worktrees, options): timeout');
  if (milliseconds > 0) return ceil(milliseconds);
  throw fail(NativeTypeError, 'OPTIONS', 'merge(worktrees, options): timeout is 0; give the time that one verification may take');
};

const callMerge = (own, worktrees, options, line) => {
  try {
    const branches = branchesOf(worktrees);
    let label, phase = own.phase;
    const known = create(null);
    if (options !== undefined && options !== null) {
      if (typeof options !== 'object') {
        throw fail(NativeTypeError, 'OPTIONS', `merge(worktrees, options): the options are ${kindOf(options)}; give an object`);
      }
      const keys = ownKeys(options);
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (typeof key !== 'string') continue;
        const value = options[key];
        if (value === undefined || value === null) continue;
        if (key === 'label') label = asLabel(value);
        else if (key === 'phase') phase = asLabel(value) ?? phase;
        else if (key === 'verify' || key === 'into') known[key] = mergeText(key, value);
        else if (key === 'timeout') known[key] = mergeTimeout(value);
        // Other than an agent's: with `verify` misspelt, work would land that nobody has looked at.
        else throw fail(NativeTypeError, 'OPTIONS', `merge(worktrees, options): there is no option ${stringify(wellFormed(key))}; there is: into, verify, timeout, label, phase`);
      }
    }
    if (branches.length === 0) {
      // No step of the engine: there is nothing to allow, to journal or to keep a rewind from.
      const promise = new NativePromise(capture);
      const resolve = lastResolve;
      resolve({ into: known.into ?? null, before: null, after: null, landed: [], left: [] });
      return promise;
    }
    return promised(host.merge(stringify(branches), line, own.rolling, groupOf(own, phase), stringify(known), label));
  } catch (error) {
    return rejected(guard(error));
  }
};
