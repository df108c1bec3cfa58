import { releaseReplicaSet } from '../../../src/dev/held-replica-set.ts'

// tap runs this once, after the last test file, as a child of the same runner as mongo-before.ts.
await releaseReplicaSet(process.ppid)
