import type { ResourceType } from '../../../src/asset-storage.ts'
import type { MessageDocument } from '../../../src/collections.ts'
import type { Draft } from '../../../src/send-message/draft.ts'
import { permanentIdOf } from '../../../src/send-message/media-reference.ts'
import type { SimulatedDatabase } from './database.ts'
import type { SimulatedStorage } from './storage.ts'
import type { World } from './world.ts'

/** What must hold, whatever goes wrong. The storage itself looks at each move of an asset that a message has. */
export interface Checks {
  isBound(assetId: string): boolean
  isAttached(id: string): boolean
  onStored(message: MessageDocument, draft: Draft): void
  onAcknowledged(message: MessageDocument, draft: Draft): void
  onRefused(code: string, draft: Draft): void
  nothingIsLeftPromoted(when: string): void
  atRest(): void
}

const expectedCodes = new Set([
  'REQUEST_IN_PROGRESS',
  'MEDIA_ALREADY_USED',
  'MEDIA_PROMOTION_FAILED',
  'BLOCKED_RELATIONSHIP',
  'DATABASE_UNAVAILABLE',
])

export function checksOf(world: World, database: SimulatedDatabase, storage: SimulatedStorage): Checks {
  /** Assets of messages, by the message that has them. */
  const bound = new Map<string, string>()
  const stored = new Map<Draft, MessageDocument>()

  function hasItsAssets(message: MessageDocument): boolean {
    return message.media.every(
      ({ type, publicId, assetId }) => storage.at(resourceTypeOf(type), publicId) === assetId,
    )
  }

  function nothingIsLeftPromoted(when: string): void {
    for (const { type, publicId, assetId } of storage.list())
      if (publicId.startsWith('messages/') && !bound.has(assetId))
        world.violate(`${assetId} (${type}) is ${publicId}, without a message, ${when}`)
  }

  return {
    isBound: (assetId) => bound.has(assetId),
    isAttached: (id) => database.media.get(id)?.state === 'attached',
    nothingIsLeftPromoted,

    onStored(message, draft) {
      const name = `“${message.content}”`
      const places = message.media.map(({ publicId }) => publicId).join()
      if (places !== draft.mediaIds.map(permanentIdOf).join())
        world.violate(`${name} was stored with ${places}, which was not sent`)
      if (!hasItsAssets(message)) world.violate(`${name} was stored without its assets`)
      for (const { assetId } of message.media) {
        const other = bound.get(assetId)
        if (other) world.violate(`${assetId} is in two messages, ${other} and ${name}`)
        bound.set(assetId, name)
      }
      stored.set(draft, message)
    },

    onAcknowledged(message, draft) {
      const name = `“${draft.content}”`
      if (message.content !== draft.content) world.violate(`${name} was answered with another message`)
      if (!database.messages.has(message._id.toHexString()))
        world.violate(`${name} was acknowledged, and is not stored`)
    },

    onRefused(code, draft) {
      if (!expectedCodes.has(code)) world.violate(`“${draft.content}” was answered with ${code}`)
      if (stored.has(draft) && code !== 'DATABASE_UNAVAILABLE')
        world.violate(`“${draft.content}” was refused with ${code}, and is stored`)
    },

    atRest() {
      nothingIsLeftPromoted('at rest')
      for (const message of stored.values())
        if (!hasItsAssets(message)) world.violate(`“${message.content}” is without its assets, at rest`)
      for (const { _id, state, until } of database.media.values())
        if (state !== 'attached' || until) world.violate(`the record of ${_id} is ${state}, or due, at rest`)
    },
  }
}

function resourceTypeOf(type: MessageDocument['media'][number]['type']): ResourceType {
  return type === 'file' ? 'raw' : type
}
