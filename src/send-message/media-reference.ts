import type { MediaItem } from '../../schemas/message.ts'
import type { ResourceType } from '../asset-storage.ts'
import { InvalidMediaReference } from '../errors.ts'
import type { Draft } from './draft.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const forbidden = /[\u0000-\u001f\u007f-\u009f\\%?#&+<>]/

/**
 * The contract's check 9: each reference is in the sender's own temporary folder, and nothing in it could be read as
 * another path. Throws `InvalidMediaReference` with the position of each that is not.
 */
export function refuseInvalidMediaReferences({
  senderId,
  mediaIds,
}: Pick<Draft, 'senderId' | 'mediaIds'>): void {
  const folder = `temp/user_${senderId}/`
  const faults = mediaIds.flatMap((id, index) =>
    isOwnUpload(id, folder)
      ? []
      : [{ path: `/media/${index}`, message: 'is not one of your temporary uploads' }],
  )
  if (faults.length > 0) throw new InvalidMediaReference({ faults })
}

function isOwnUpload(id: string, folder: string): boolean {
  if (!id.startsWith(folder) || !id.isWellFormed() || forbidden.test(id) || id.trim() !== id) return false
  const segments = id.slice(folder.length).split('/')
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

/** Where a temporary asset goes: a function of where it is, so that a retry finds what its first try has moved. */
export function permanentIdOf(temporaryId: string): string {
  return `messages/${temporaryId.slice('temp/'.length)}`
}

/** The storage's `raw` is a message's `file`. */
export function mediaTypeOf(type: ResourceType): MediaItem['type'] {
  return type === 'raw' ? 'file' : type
}
