import { parser } from '@prometheus-io/lezer-promql'

export interface Selector {
  metric: string
  /** The labels that it asks for, with their operators and values. */
  matchers: { label: string; operator: string; value: string }[]
}

export interface Query {
  selectors: Selector[]
  /** Labels by which is grouped or joined. */
  groupings: string[]
}

/** What an expression of PromQL asks for; throws where it is none, by Prometheus' own grammar. */
export function queryOf(expression: string): Query {
  const query: Query = { selectors: [], groupings: [] }
  parser.parse(expression).iterate({
    enter({ name, type, from, to, node }) {
      const text = expression.slice(from, to)
      const partOf = (kind: string): string => {
        const part = node.getChild(kind)
        return part ? expression.slice(part.from, part.to) : ''
      }
      if (type.isError) throw new Error(`no PromQL at "${expression.slice(from)}" of ${expression}`)
      if (name === 'VectorSelector') query.selectors.push({ metric: partOf('Identifier'), matchers: [] })
      if (name === 'UnquotedLabelMatcher') {
        const value = partOf('StringLiteral').slice(1, -1)
        const matcher = { label: partOf('LabelName'), operator: partOf('MatchOp'), value }
        query.selectors.at(-1)?.matchers.push(matcher)
      }
      if (name === 'LabelName' && node.parent?.name === 'GroupingLabels') query.groupings.push(text)
    },
  })
  return query
}

export interface Exposed {
  labels: Set<string>
  /** What its metric says of itself. */
  help: string
}

/** Every series' name in Prometheus' text format, with its labels. */
export function exposedIn(text: string): Map<string, Exposed> {
  const exposed = new Map<string, Exposed>()
  let help = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('# HELP ')) help = line.slice('# HELP '.length)
    const [, name, labels = ''] = /^([a-z0-9_]+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const known = exposed.get(name) ?? { labels: new Set(), help }
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.labels.add(label)
    exposed.set(name, known)
  }
  return exposed
}
