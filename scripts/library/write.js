export const meta = {
  name: 'write',
  description: 'Writes a workflow script for a task, and corrects it until the checks find nothing',
  phases: [
    { title: 'Decide', detail: 'whether a workflow is worth it, and what proves success' },
    { title: 'Write', detail: 'an agent, at most five rounds' },
    { title: 'Check', detail: 'no agent: what `check` and `plan` say of the script' },
  ],
  args: {
    type: 'object',
    properties: {
      task: { type: 'string', pattern: '\\S' },
      size: { enum: ['small', 'medium', 'large'] },
      verify: { type: ['string', 'null'], description: 'the command that proves success' },
      asks: { type: 'boolean', description: 'whether there is somebody to ask' },
      shape: { type: 'string', description: 'what the repository looks like' },
      guide: { type: 'string', description: 'the rules for scripts' },
      types: { type: 'string', description: 'what scripts find, as TypeScript' },
      project: { type: 'object', description: 'agent types, workflows and backends that there are, as the backend `script-check` takes them' },
    },
    required: ['task'],
  },
}

const { task, size = 'medium', asks = false, shape = '', guide = '', types = '', project = {} } = args
const ROUNDS = 5
const READ_ONLY = ['Read', 'Glob', 'Grep']
const NONE = 'none: no command proves it'
// What each size means: agents in all, and what they are spent on.
const SIZES = {
  small: { agents: 10, means: 'Up to 10 agents in all. One look at each item, one round, no votes; one check at the end.' },
  medium: {
    agents: 50,
    means: 'Up to 50 agents in all. What agents find or change is checked by one or two others; at most two rounds of fixing.',
  },
  large: {
    agents: 500,
    means:
      'Up to some hundreds of agents. Items are found exhaustively, three independent votes decide what is doubtful, fixing goes on for three to five rounds. ' +
      'Rounds look at `budget.remaining()` before they begin.',
  },
}

const text = { type: 'string' }
const texts = { type: 'array', items: text }
const shaped = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required })
// So a provider can hold its model to it while it writes: every property required, and no other.
const closed = (properties) => ({ ...shaped(properties), additionalProperties: false })
const described = (schema, description) => ({ ...schema, description })
const DECISION = closed({
  kind: { enum: ['one agent', 'workflow'] },
  why: described(text, 'in one or two sentences, for the person who gave the task'),
  name: { type: 'string', pattern: '^[a-z][a-z0-9]*(-[a-z0-9]+)*$', maxLength: 40, description: 'kebab-case, what the script does' },
  over: described(text, 'what the fan-out is over and about how many items that is; empty for one agent'),
  steps: described(texts, 'the steps, in order'),
  verify: described(text, 'the command line that proves success, from the folder that you see; empty when there is none'),
  candidates: described({ ...texts, maxItems: 4 }, 'other commands that could prove it, the likeliest first'),
  reason: described(text, 'where the command comes from; without one, what would have to be known'),
})
const SCRIPT = closed({
  script: described(text, 'the whole file'),
  args: { type: ['string', 'null'], description: 'example arguments for a trial, as JSON text; null when the script takes none' },
  notes: described(texts, 'what the person should know or decide before running it'),
})
const FINDING = shaped(
  {
    severity: { enum: ['error', 'warning', 'info'] },
    code: text,
    message: text,
    remedy: text,
    line: { type: 'integer' },
    column: { type: 'integer' },
    excerpt: { type: ['string', 'null'] },
    file: text,
  },
  ['severity', 'code', 'message', 'remedy', 'line', 'column'],
)
const CHECKED = shaped(
  {
    holds: { type: 'boolean' },
    name: { type: ['string', 'null'] },
    errors: { type: 'integer' },
    warnings: { type: 'integer' },
    left: { type: 'integer' },
    findings: { type: 'array', items: FINDING },
    plan: {
      type: ['object', 'null'],
      properties: {
        status: text,
        agents: { type: 'integer' },
        merges: { type: 'integer' },
        phases: { type: 'array', items: shaped({ title: { type: ['string', 'null'] }, agents: { type: 'integer' } }) },
      },
      required: ['status', 'agents', 'phases'],
    },
  },
)

const section = (title, content) => (content ? `\n\n# ${title}\n\n${content}` : '')

phase('Decide')
const decision = await agent(
  'Somebody wants a task done by agents. Decide how; do not do it, and change nothing.\n\n' +
    '- A workflow is a script that fans work out over many agents. It is worth it when the task falls into many parts that can be done apart, ' +
    'or when findings need independent checks. What one agent can do well in one sitting is a task for one agent: say so.\n' +
    '- Look at the repository before you decide. Do not guess paths, numbers or commands.\n' +
    '- Name the command that proves success: one that fails when the task was done wrongly. It must be there; you cannot run it.' +
    (args.verify ? ` The person has named it: ${args.verify}` : '') +
    section('The task', task) +
    section('Size', `${size}. ${SIZES[size].means}`) +
    section('The repository', shape),
  { label: 'decide', schema: DECISION, tools: READ_ONLY },
)
if (decision === null) throw new Error('the agent that decides how to do the task failed; `bellwether show last` says why')
log(`${decision.kind}: ${decision.why}`)

const { verify, confirmed } = await command()

/** The command that proves success, and whether a person has said so. */
async function command() {
  if (args.verify) return { verify: args.verify, confirmed: true }
  const proposed = [...new Set([decision.verify, ...decision.candidates].map((line) => line.trim()))].filter(Boolean)
  if (!asks) return { verify: proposed[0] ?? null, confirmed: false }
  const question = `Which command proves that this is done?\n\n${task}\n\n${decision.reason}`
  if (proposed.length === 0) {
    const answer = await ask(`${question}\n\nA command line, or "" for none.`, { schema: text, default: '', label: 'verify' })
    return { verify: answer?.trim() || null, confirmed: true }
  }
  const answer = await ask(`${question}\n\nFor another one, stop here and begin again with --verify COMMAND.`, {
    choices: [...proposed, NONE],
    default: proposed[0],
    label: 'verify',
  })
  return { verify: answer === NONE ? null : answer, confirmed: true }
}

const brief =
  'Write a workflow script for the task below, as a person would want to read and edit it. Look at the repository where you need to know more; change nothing. ' +
  'Your answer is the script; it is not run now.' +
  section('The task', task) +
  section(
    'What was decided',
    `${decision.kind === 'one agent' ? 'A task for one agent: the script asks exactly one agent, and its description says so.' : `A workflow, over ${decision.over}.`}\n` +
      `Why: ${decision.why}\nName: ${decision.name}\nSteps:\n${decision.steps.map((step) => `- ${step}`).join('\n')}`,
  ) +
  section('The command that proves success', verify ?? 'There is none. The script says in its result that nothing was proved, and what a person should look at.') +
  section('Size', `${size}. ${SIZES[size].means}`) +
  section('The repository', shape) +
  section('What scripts find', types && '```ts\n' + types.trim() + '\n```') +
  (guide && `\n\n${guide.trim()}`)

/** The example arguments as a value; why they are none. */
function example(text) {
  if (text === null || text.trim() === '') return { args: null, wrong: null }
  try {
    return { args: JSON.parse(text), wrong: null }
  } catch (error) {
    return { args: null, wrong: error.message }
  }
}

/** What only this script knows to look for. */
function ownFindings({ script, wrong }, { plan, name }) {
  const finding = (severity, code, message, remedy) => ({ severity, code, message, remedy, line: 0, column: 0, excerpt: null })
  const warning = (...what) => finding('warning', ...what)
  const found = []
  if (wrong !== null) found.push(finding('error', 'args', `the example arguments are no JSON: ${wrong}`, 'give JSON text, or null'))
  if (verify !== null && !script.includes(verify)) {
    found.push(warning('verify-missing', `the script never names the command that proves success: ${verify}`, 'let the last step run it, and return whether it passed'))
  }
  if (decision.kind === 'one agent' && plan?.status === 'completed' && plan.agents !== 1) {
    found.push(warning('one-agent', `this is a task for one agent, and the plan asks ${plan.agents}`, 'ask one agent'))
  }
  if (plan !== null && plan.agents > SIZES[size].agents) {
    found.push(warning('size', `the plan asks ${plan.agents} agents; ${size} is up to ${SIZES[size].agents}`, 'spend fewer agents on each item'))
  }
  if (name !== null && Object.hasOwn(project.workflows ?? {}, name)) {
    found.push(warning('name-taken', `there is a workflow ${name} already`, 'choose another name'))
  }
  return found
}

const shown = (finding) =>
  [
    `- ${finding.severity} [${finding.code}]${finding.line > 0 ? ` line ${finding.line}, column ${finding.column}` : ''}${finding.file ? ` of ${finding.file}` : ''}: ${finding.message}`,
    finding.excerpt,
    finding.remedy && `  = ${finding.remedy}`,
  ]
    .filter(Boolean)
    .join('\n')

/** What the writer is asked when a script of its own is there. */
function again(last) {
  const { findings, left, plan } = last.checked
  const wrong = findings.filter(({ severity }) => severity !== 'info')
  return (
    brief +
    section('Your script so far', '```js\n' + last.answer.script + '\n```') +
    section('Its example arguments', last.given ?? '') +
    section(
      'What the checks say of it',
      `${wrong.map(shown).join('\n')}${left > 0 ? `\n${left} findings more are not listed.` : ''}\n\n` +
        'Correct every error, and each warning that is right; a warning that does not apply may stay. Keep what is good, and give the whole script again.' +
        (plan ? ` The plan with made-up answers: ${plan.status}, ${plan.agents} agents.` : ''),
    )
  )
}

// One that cannot be read tells of a single error, whatever else is wrong with it.
const worth = ({ holds, plan, errors, warnings }) => [holds ? 0 : 1, plan === null ? 1 : 0, errors, warnings]
const isBetter = (one, other) => {
  const [left, right] = [worth(one), worth(other)]
  const at = left.findIndex((value, index) => value !== right[index])
  return at >= 0 && left[at] < right[at]
}

/** Asks for a part of a round. Whatever ends that (a failure, its schema, the budget) leaves what is there already. */
async function part(name, prompt, options) {
  let why = `the agent \`${options.label}\` failed; \`bellwether show last\` says why`
  try {
    const value = await agent(prompt, options)
    if (value !== null) return value
  } catch (error) {
    if (best === null) throw error
    why = error.message
  }
  if (best === null) throw new Error(`${name}: ${why}`)
  log(`${name}: ${why}; the best script so far is kept`)
  return null
}

let best = null
let last = null
let rounds = 0
const seen = new Set()
const told = new Set()
while (rounds < ROUNDS) {
  rounds += 1
  const answer = await part('the script could not be written', last === null ? brief : again(last), {
    label: `write ${rounds}`,
    phase: 'Write',
    schema: SCRIPT,
    tools: READ_ONLY,
  })
  if (answer === null) break
  const same = JSON.stringify([answer.script, answer.args])
  if (seen.has(same)) {
    log(`round ${rounds}: the agent gave a script again that it had given before`)
    break
  }
  seen.add(same)
  const { args: sample, wrong } = example(answer.args)
  const checked = await part('the script could not be checked', JSON.stringify({ script: answer.script, args: sample, project }), {
    label: `check ${rounds}`,
    phase: 'Check',
    backend: 'script-check',
    schema: CHECKED,
    tools: [],
  })
  if (checked === null) break
  const own = ownFindings({ script: answer.script, wrong }, checked)
  const warnings = own.filter(({ severity }) => severity === 'warning').length
  checked.findings.push(...own)
  checked.warnings += warnings
  checked.errors += own.length - warnings
  checked.holds &&= own.length === warnings
  log(`round ${rounds}: ${checked.errors} errors, ${checked.warnings} warnings${checked.plan ? `, ${checked.plan.agents} agents in the plan` : ''}`)
  last = { answer, given: answer.args, sample, checked }
  if (best === null || isBetter(checked, best.checked)) best = last
  // A warning goes back once: whoever writes may know better.
  const fresh = checked.findings.filter(({ severity, code, message }) => severity === 'warning' && !told.has(`${code} ${message}`))
  fresh.forEach(({ code, message }) => told.add(`${code} ${message}`))
  if (checked.holds && fresh.length === 0) break
}

if (!best.checked.holds) log(`after ${rounds} rounds the script does not hold: ${best.checked.errors} errors are left`)
if (verify !== null && !confirmed) log(`nobody has confirmed that this command proves success: ${verify}`)
return {
  holds: best.checked.holds,
  rounds,
  kind: decision.kind,
  why: decision.why,
  name: best.checked.name ?? decision.name,
  script: best.answer.script,
  args: best.sample,
  notes: best.answer.notes,
  verify,
  confirmed,
  findings: best.checked.findings,
  plan: best.checked.plan,
}
