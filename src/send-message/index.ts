import type { FastifyPluginAsync } from 'fastify'
import { Overloaded } from '../errors.ts'
import { monotonicMs } from '../lib/deadline.ts'
import { createGate } from '../lib/gate.ts'
import { within } from '../lib/within.ts'
import { createAdmission } from './admission.ts'
import { createAfterwards } from './afterwards.ts'
import { type Committed, createCommitter } from './commit.ts'
import type { Draft } from './draft.ts'
import { createKnownChats } from './known-chats.ts'
import { createMediaRecords } from './media-records.ts'
import { createMeters } from './meters.ts'
import { refuseExcess } from './refuse-excess.ts'
import { registerRoute } from './route.ts'
import { type SendMessageDeps, sendMessage } from './send-message.ts'
import { keepSweeping, sweepIntervalMs } from './sweep-media.ts'
import { createTurns } from './turns.ts'

// Texts and media apart, so that a storage that hangs costs texts no place. The contract: never fewer than 2,048. More texts,
// because so many can come before `turns` has seen the first answer. The largest of all (`bytesOf`) are 107 MB and 141 MB.
const textsMax = 6_144
const mediaMax = 2_048

// Of the 20 s in which a stopped process must have ended, what the last answers may leave.
const stopTimeoutMs = 500

export interface FeatureOptions {
  /** Milliseconds between two looks of the media sweeper, instead of its own. */
  sweepIntervalMs?: number
}

/** The feature: wires its steps, registers the route, sweeps, and waits on close for what it holds. */
const sendMessageFeature: FastifyPluginAsync<FeatureOptions> = async (app, options) => {
  const { client, db, transactionReadConcern, primary } = app.mongo
  const { log, isClosing } = app
  const texts = createGate(textsMax)
  const media = createGate(mediaMax)
  const turns = createTurns({ inFlight: () => texts.inside, isClosing })
  const meters = createMeters(app.metrics, turns)
  const knownChats = createKnownChats()
  const records = createMediaRecords(db)
  const now = (): Date => new Date()
  const afterwards = createAfterwards()
  const deps: SendMessageDeps = {
    storage: app.storage,
    records,
    clock: monotonicMs,
    onPromotion: meters.onPromotion,
    afterwards: afterwards.add,
    ...createAdmission({ db }),
    ...createCommitter({
      client,
      db,
      knownChats,
      primary,
      readConcern: transactionReadConcern,
      now,
      onBatch: meters.onBatch,
    }),
  }

  const sendIfRoom = async (draft: Draft): Promise<Committed> => {
    const leave = (draft.mediaIds.length > 0 ? media : texts).enter()
    if (!leave) throw new Overloaded()
    try {
      return await sendMessage(deps, draft)
    } finally {
      leave()
    }
  }
  registerRoute(app, { turns, refuseExcess: refuseExcess(texts), send: sendIfRoom })
  // Not by media: a hanging storage would take every instance from its texts.
  app.addReadinessCheck(() => (texts.isFull ? new Overloaded() : undefined))

  const sweeping = { intervalMs: options.sweepIntervalMs ?? sweepIntervalMs, isStopping: isClosing }
  const sweeper = keepSweeping(deps, { onSweep: meters.onSweep, log }, sweeping)
  app.addHook('onClose', async () => {
    // What does not end in time is what a killed process leaves: any instance's sweeper goes on with it.
    await within(stopTimeoutMs, Promise.all([turns.stop(), sweeper.stop(), afterwards.stop()]))
  })
}

export default sendMessageFeature
