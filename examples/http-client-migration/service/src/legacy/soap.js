'use strict'

const { XMLParser } = require('fast-xml-parser')

const parser = new XMLParser()

module.exports.call = async function call (action, body) {
  const response = await fetch('https://soap.example/endpoint', {
    method: 'POST',
    headers: { SOAPAction: action, 'Content-Type': 'text/xml' },
    body: `<Envelope><Body>${body}</Body></Envelope>`
  })
  return parser.parse(await response.text())
}
