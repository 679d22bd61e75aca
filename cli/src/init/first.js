export const meta = {
  name: 'first',
  description: 'Asks an agent about each file, and one more to sum up',
  whenToUse: 'To see a workflow work, and as a beginning of your own',
  args: {
    type: 'object',
    properties: { files: { type: 'array', items: { type: 'string' }, description: 'the files to look at' } },
  },
  phases: [
    { title: 'Look', detail: 'an agent a file, all at once' },
    { title: 'Sum up', detail: 'one agent over what they found' },
  ],
}

const files = args?.files ?? ['README.md']

phase('Look')
const looks = await pipeline(files, (file) =>
  agent(`Read ${file}. What is the one thing in it that would help its readers most if it were better?`, {
    label: file,
    schema: {
      type: 'object',
      properties: { problem: { type: 'string' }, line: { type: 'integer' }, remedy: { type: 'string' } },
      required: ['problem', 'remedy'],
    },
  }),
)

// An agent that failed is null: what is left out is said, not forgotten.
const found = looks.flatMap((look, index) => (look ? [{ file: files[index], ...look }] : []))
if (found.length < files.length) log(`${files.length - found.length} of ${files.length} files have no answer`)

phase('Sum up')
return agent(`Which three of these should be done first, and why?\n${JSON.stringify(found, null, 2)}`)
