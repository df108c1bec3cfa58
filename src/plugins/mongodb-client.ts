import { MongoClient, type MongoClientOptions } from 'mongodb'

/** Whatever the URI says: nothing is read from a member that lags, and nothing is acknowledged that could roll back. */
const guarantees = {
  readPreference: 'primary',
  // Not `readConcern`: the URI's level would win over it.
  readConcernLevel: 'majority',
  writeConcern: { w: 'majority' },
  retryReads: true,
  retryWrites: true,
} as const satisfies MongoClientOptions

/**
 * What the URI may say, and does not decide. Taken out of it, and not only overruled: the driver mixes what it says with
 * what it is told. Primary and a staleness, a pool of at least 50 and at most 40, it refuses; a write's own time-out it adds.
 */
const decidedHere: ReadonlySet<string> = new Set(
  [
    ['readPreference', 'readPreferenceTags', 'maxStalenessSeconds', 'readConcernLevel', 'retryReads'],
    ['w', 'journal', 'j', 'fsync', 'wtimeoutMS', 'wtimeout', 'retryWrites'],
    ['minPoolSize', 'maxPoolSize', 'waitQueueTimeoutMS'],
    ['serverSelectionTimeoutMS', 'connectTimeoutMS', 'socketTimeoutMS', 'heartbeatFrequencyMS'],
    // How documents are read: the feature looks at ids, dates and numbers as the driver makes them.
    ['promoteValues', 'promoteLongs', 'promoteBuffers', 'useBigInt64', 'raw', 'ignoreUndefined'],
  ]
    .flat()
    .map((name) => name.toLowerCase()),
)

/** A client with the service's guarantees: of the URI counts who is asked, by whom and how, of `options` the rest. */
export function createMongoClient(uri: string, options: MongoClientOptions): MongoClient {
  return new MongoClient(withoutDecided(uri), { ...options, ...guarantees })
}

/** By hand, because a URL can't have several hosts. */
function withoutDecided(uri: string): string {
  const [, address = uri, query = ''] = /^([a-z+]+:\/\/[^/]+\/[^?]*)\?(.*)$/.exec(uri) ?? []
  const kept = query.split('&').filter((part) => part !== '' && !decidedHere.has(nameOf(part)))
  return kept.length === 0 ? address : `${address}?${kept.join('&')}`
}

/** As the driver reads it, which takes any case, and what is percent-encoded. */
function nameOf(part: string): string {
  const [name = ''] = new URLSearchParams(part).keys()
  return name.toLowerCase()
}
