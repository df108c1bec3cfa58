import type { AssetStorage, ResourceType, StoredAsset } from '../../../src/asset-storage.ts'
import { answerWithin, type Instance } from './time.ts'
import { fateOfCall, type World } from './world.ts'

/** A storage whose calls may be carried out long after they were given up, or never, and whose answers may be lost. */
export interface SimulatedStorage {
  /** As an instance reaches it. */
  of(instance: Instance): AssetStorage
  upload(type: ResourceType, publicId: string): void
  /** The asset at a place. */
  at(type: ResourceType, publicId: string): string | undefined
  list(): { type: ResourceType; publicId: string; assetId: string }[]
  /** Uploads so far, those that are gone included. */
  readonly uploaded: ReadonlySet<string>
}

/** `isBound`: to a message, so that it may never move again. */
export function createStorage(world: World, isBound: (assetId: string) => boolean): SimulatedStorage {
  const { timeline, dice } = world
  const assets = new Map<string, string>()
  const uploaded = new Set<string>()
  const keyOf = (type: ResourceType, publicId: string): string => `${type}:${publicId}`

  function take(type: ResourceType, publicId: string, why: string): void {
    const assetId = assets.get(keyOf(type, publicId))
    assets.delete(keyOf(type, publicId))
    if (assetId && isBound(assetId)) world.violate(`${assetId}, which a message has, was ${why}`)
  }

  async function call<T>(
    instance: Instance,
    name: string,
    limitMs: number,
    deed: () => T,
  ): Promise<T | { kind: 'refused'; status: number } | { kind: 'unanswered' }> {
    const { executeInMs, answerInMs, isRefused } = fateOfCall(world)
    const givenUpAtMs = timeline.nowMs + limitMs
    let done: T | undefined
    world.note?.(instance.name, `asks: ${name}`)
    if (executeInMs !== undefined)
      timeline.after(executeInMs, () => {
        done = deed()
        if (timeline.nowMs > givenUpAtMs) world.count('done after it was given up')
        world.note?.('storage', `${name}: ${(done as { kind: string }).kind} (asked by ${instance.name})`)
      })
    return await new Promise((resolve) => {
      const unanswered = (): void => resolve({ kind: 'unanswered' })
      // A connection that breaks says so before the limit.
      const breaksInMs = answerInMs === Number.POSITIVE_INFINITY ? dice.between(1, 2 * limitMs) : answerInMs
      answerWithin(
        world,
        instance,
        { answerInMs: breaksInMs, limitMs },
        {
          answer() {
            if (isRefused) resolve({ kind: 'refused', status: 420 })
            else if (answerInMs === Number.POSITIVE_INFINITY || done === undefined) unanswered()
            else resolve(done)
          },
          giveUp: unanswered,
        },
      )
    })
  }

  const stored = (type: ResourceType, publicId: string): StoredAsset | undefined => {
    const assetId = assets.get(keyOf(type, publicId))
    if (assetId === undefined) return undefined
    return {
      resourceType: type,
      publicId,
      assetId,
      url: `https://${publicId}`,
      width: null,
      height: null,
      bytes: 1,
    }
  }

  return {
    of: (instance) => ({
      rename: (type, from, to, timeoutMs) =>
        call(instance, `rename ${type} ${from} → ${to}`, timeoutMs, () => {
          const asset = stored(type, from)
          if (!asset) return { kind: 'source-missing' as const }
          if (stored(type, to)) return { kind: 'target-exists' as const }
          take(type, from, `renamed to ${to}`)
          assets.set(keyOf(type, to), asset.assetId)
          return { kind: 'renamed' as const, asset: { ...asset, publicId: to } }
        }),
      find: (type, publicId, timeoutMs) =>
        call(instance, `find ${type} ${publicId}`, timeoutMs, () => {
          const asset = stored(type, publicId)
          return asset ? { kind: 'found' as const, asset } : { kind: 'missing' as const }
        }),
      destroy: (type, publicId, timeoutMs) =>
        call(instance, `destroy ${type} ${publicId}`, timeoutMs, () => {
          if (!stored(type, publicId)) return { kind: 'missing' as const }
          take(type, publicId, 'destroyed')
          return { kind: 'destroyed' as const }
        }),
    }),
    upload(type, publicId) {
      const assetId = `asset ${uploaded.size + 1}`
      uploaded.add(assetId)
      assets.set(keyOf(type, publicId), assetId)
      world.note?.('client', `uploads ${assetId} as ${type} ${publicId}`)
    },
    at: (type, publicId) => assets.get(keyOf(type, publicId)),
    list: () =>
      [...assets].map(([key, assetId]) => {
        const at = key.indexOf(':')
        return { type: key.slice(0, at) as ResourceType, publicId: key.slice(at + 1), assetId }
      }),
    uploaded,
  }
}
