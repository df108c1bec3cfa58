import type { CloudinaryStandIn } from '../../../src/dev/cloudinary/server.ts'
import type { Draft, Ledger } from './ledger.ts'
import type { People } from './people.ts'
import { sendUntilAnswered } from './traffic.ts'

export interface ErrandDeps {
  people: People
  storage: CloudinaryStandIn
  ledger: Ledger
  /** Where the nth try of a message goes. */
  urlOf(tryNumber: number): string
}

// Longer than a killed process holds an upload.
const patienceMs = 120_000

/**
 * Messages that are sent at one moment and share their documents with a transaction that is about to be left open: keys in
 * known chats, first messages, uploads. Resolves when each has its answer.
 */
export async function sendTogether(
  { people, storage, ledger, urlOf }: ErrandDeps,
  { mark, ofEach }: { mark: string; ofEach: number },
): Promise<void> {
  const state = { drainedAt: performance.now() + patienceMs }
  const kinds = ['text', 'first', 'media'] as const
  const drafts = kinds.flatMap((kind) =>
    people.senders.slice(0, ofEach).map((sender): { draft: Draft; token: string } => {
      const name = `${mark}-${kind}-${people.senders.indexOf(sender)}`
      const receiver = kind === 'first' ? people.strangerTo(sender) : people.contactsOf(sender)[0]
      const publicId = `temp/user_${sender.id}/${name}`
      if (kind === 'media') storage.put({ publicId, resourceType: 'image' })
      const mediaIds = kind === 'media' ? [publicId] : []
      const receiverId = receiver?.id ?? ''
      return {
        draft: { mark: name, kind, key: name, senderId: sender.id, receiverId, mediaIds },
        token: sender.token,
      }
    }),
  )
  await Promise.all(
    drafts.map(({ draft, token }) => {
      let tryNumber = 0
      const nextUrl = (): string => urlOf(tryNumber++)
      return sendUntilAnswered({ nextUrl }, ledger, { entry: ledger.open(draft), token, state })
    }),
  )
}
