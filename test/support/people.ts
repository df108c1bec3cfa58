import { createSigner } from 'fast-jwt'
import { type Db, ObjectId } from 'mongodb'
import type { SendMessageResponse } from '../../schemas/message.ts'
import type { Refusal } from '../../schemas/refusal.ts'
import type { BlockDocument, DeviceDocument, MessageDocument, UserDocument } from '../../src/collections.ts'
import type { CloudinaryStandIn } from '../../src/dev/cloudinary/server.ts'
import { picturePng, textFile, tinyVideo } from '../../src/dev/media-samples.ts'
import { conversationIdOf, pairOf } from '../../src/send-message/conversation.ts'
import type { Conformance } from './conformance.ts'
import { jwtSecret } from './service.ts'

export interface Answer {
  status: number
  /** `OK` for 200, else the refusal's code. */
  code: string
  /** Parsed; `data` where it is a message, `code` and `errors` where it is a refusal. */
  body: Omit<SendMessageResponse, 'success'> & Omit<Refusal, 'success'> & { success: boolean }
  headers: Headers
}

export interface SendOptions {
  key?: string
  token?: string
  headers?: Record<string, string>
  /** Instead of the receiver's id. */
  userId?: string
  /** The address of another instance. */
  via?: string
}

export interface Person {
  id: ObjectId
  deviceId: ObjectId
  token: string
  /** Sends to somebody; a string is a text. */
  sends(receiver: Pick<Person, 'id'>, message: unknown, options?: SendOptions): Promise<Answer>
  blocks(other: Person): Promise<void>
  becomes(status: UserDocument['status']): Promise<void>
  /** Puts an upload into the temporary storage, and gives its public id. */
  uploads(kind: 'image' | 'video' | 'file', name?: string): string
  /** The messages that are stored from this person to the other, oldest first. */
  sentTo(other: Pick<Person, 'id'>): Promise<MessageDocument[]>
}

export interface People {
  person(options?: { status?: UserDocument['status']; trusted?: boolean }): Promise<Person>
  /** Any request to the service, its answer checked against the document. */
  request(path: string, init?: RequestInit): Promise<Answer>
}

interface PeopleDeps {
  url: string
  db: Db
  storage: CloudinaryStandIn
  conformance: Conformance
}

/** A token that the service takes, unless the claims say otherwise. `exp` is in an hour. */
export function tokenOf(claims: Record<string, unknown>, secret: string = jwtSecret): string {
  const exp = Math.floor(Date.now() / 1000) + 3600
  return createSigner({ key: secret, algorithm: 'HS256' })({ exp, ...claims })
}

export function createPeople({ url, db, storage, conformance }: PeopleDeps): People {
  const resourceTypes = { image: 'image', video: 'video', file: 'raw' } as const
  const samples = { image: () => picturePng(60, 40), video: () => tinyVideo(), file: () => textFile() }

  async function request(path: string, init: RequestInit = {}, base: string = url): Promise<Answer> {
    const response = await fetch(base + path, init)
    const text = await response.text()
    const body = text === '' ? undefined : JSON.parse(text)
    if (init.method !== 'HEAD') {
      conformance.check(init.method ?? 'GET', path.split('?')[0] ?? path, {
        status: response.status,
        headers: response.headers,
        body,
      })
    }
    return { status: response.status, code: body?.code ?? 'OK', body, headers: response.headers }
  }

  async function person({
    status = 'active',
    trusted = true,
  }: Parameters<People['person']>[0] = {}): Promise<Person> {
    const id = new ObjectId()
    const deviceId = new ObjectId()
    await db.collection<UserDocument>('users').insertOne({ _id: id, status })
    await db.collection<DeviceDocument>('devices').insertOne({ _id: deviceId, userId: id, trusted })
    const token = tokenOf({ sub: id.toHexString(), deviceId: deviceId.toHexString() })
    return {
      id,
      deviceId,
      token,
      sends: (receiver, message, options = {}) =>
        request(
          `/message/send/${options.userId ?? receiver.id.toHexString()}`,
          {
            method: 'POST',
            headers: {
              authorization: `Bearer ${options.token ?? token}`,
              'content-type': 'application/json',
              ...(options.key === undefined ? {} : { 'idempotency-key': options.key }),
              ...options.headers,
            },
            body: JSON.stringify(typeof message === 'string' ? { content: message, type: 'text' } : message),
          },
          options.via,
        ),
      async blocks(other) {
        const block = { _id: new ObjectId(), blockerId: id, blockedId: other.id }
        await db.collection<BlockDocument>('blocks').insertOne(block, { writeConcern: { w: 'majority' } })
      },
      async becomes(next) {
        await db
          .collection('users')
          .updateOne({ _id: id }, { $set: { status: next } }, { writeConcern: { w: 'majority' } })
      },
      uploads(kind, name = new ObjectId().toHexString()) {
        const publicId = `temp/user_${id.toHexString()}/${name}`
        storage.put({ publicId, resourceType: resourceTypes[kind], bytes: samples[kind]() })
        return publicId
      },
      sentTo: (other) =>
        db
          .collection<MessageDocument>('messages')
          .find({ conversationId: conversationIdOf(pairOf(id, other.id)), senderId: id })
          .sort({ _id: 1 })
          .toArray(),
    }
  }

  return { person, request }
}
