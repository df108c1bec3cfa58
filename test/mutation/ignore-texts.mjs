import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** Texts for people: no promise is in their words, and a test of them could only say them twice. */
const textFields = new Set(['message', 'description', 'summary', 'help'])
const logMethods = new Set(['warn', 'info', 'error'])

const texts = {
  shouldIgnore({ node, parent }) {
    if (node.type !== 'StringLiteral' && node.type !== 'TemplateLiteral' && node.type !== 'BinaryExpression')
      return
    if (parent?.type === 'ObjectProperty' && textFields.has(parent.key.name)) return 'a text for people'
    if (node.type === 'BinaryExpression') return
    if (parent?.type === 'NewExpression' || parent?.callee?.type === 'Super') return 'the text of an error'
    if (parent?.type !== 'CallExpression') return
    if (logMethods.has(parent.callee.property?.name)) return 'the text of a line in the log'
    if (parent.callee.name === 'assert') return 'the text of an assertion'
  },
}

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'texts', texts)]
