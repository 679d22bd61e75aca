// ask(): a person answers, when ever that is (X03). What the engine does for it is to wait.

const askFail = (message) => fail(NativeTypeError, 'OPTIONS', `ask(question, options): ${message}`);

const ASK_OPTIONS = create(null);
for (const name of ['choices', 'schema', 'timeout', 'default', 'key']) ASK_OPTIONS[name] = true;
const warnedOfAsk = create(null);

// What may be chosen, each once, as JSON texts.
const choicesOf = (choices) => {
  if (!isArray(choices) || choices.length === 0) {
    throw askFail(`choices is ${isArray(choices) ? 'empty' : kindOf(choices)}; give an array of what may be answered`);
  }
  const texts = list(), seen = create(null);
  for (let i = 0; i < choices.length; i++) {
    const text = toJson(choices[i], `choices[${i}]`);
    if (text === undefined || text === 'null') throw askFail(`choices[${i}] is ${kindOf(choices[i])}; give what may be answered`);
    if (seen[text] === true) throw askFail(`choices[${i}] is there twice: ${text}`);
    seen[text] = true;
    texts[i] = text;
  }
  return texts;
};

const askOption = (known, key, value) => {
  if (key === 'timeout') {
    const milliseconds = toMilliseconds(value, 'ask(question, options): timeout');
    if (milliseconds === 0) throw askFail('timeout is 0; give the time that a person may take, or leave it out');
    known.timeout = ceil(milliseconds);
  } else if (key === 'key') {
    if (typeof value !== 'string' || value === '') throw askFail(`key is ${value === '' ? 'empty' : kindOf(value)}; give a string`);
    known.key = wellFormed(value);
  } else known[key] = value;
};

const callAsk = (own, question, options, line) => {
  try {
    if (typeof question !== 'string' || trim(question) === '') {
      throw fail(NativeTypeError, 'QUESTION', `ask(question, options): the question is ${question === '' ? 'empty' : typeof question === 'string' ? 'blank' : kindOf(question)}; give a string that a person can answer`);
    }
    let label, phase = own.phase;
    const known = create(null);
    if (options !== undefined && options !== null) {
      if (typeof options !== 'object') throw askFail(`the options are ${kindOf(options)}; give an object`);
      const keys = ownKeys(options);
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (typeof key !== 'string') continue;
        const value = options[key];
        if (value === undefined || value === null) continue;
        if (key === 'label') label = asLabel(value);
        else if (key === 'phase') phase = asLabel(value) ?? phase;
        else if (ASK_OPTIONS[key] === true) askOption(known, key, value);
        else warnOfOption(warnedOfAsk, 'ask', key);
      }
    }
    if (known.choices !== undefined) {
      const texts = choicesOf(known.choices);
      if (known.default !== undefined) {
        const chosen = toJson(known.default, 'default');
        let isChoice = false;
        for (let i = 0; i < texts.length; i++) isChoice ||= texts[i] === chosen;
        if (!isChoice) throw askFail(`the default ${chosen} is none of the choices`);
      }
    }
    return promised(host.ask(wellFormed(question), line, own.rolling, groupOf(own, phase), toJson(known, 'options'), label));
  } catch (error) {
    return rejected(guard(error));
  }
};
