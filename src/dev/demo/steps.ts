import type { SendMessageBody } from '../../../schemas/message.ts'
import type { Cast, Person } from './people.ts'

export interface Step {
  title: string
  /** What is expected, and why. */
  why: string
  token: string
  receiver: Person
  body: SendMessageBody & Record<string, unknown>
  key?: string
  expects: Expectation
}

export interface Expectation {
  status: number
  /** `OK` for 200. */
  code: string
  /** The message of the step before, not a new one. */
  replay?: true
}

const ok: Expectation = { status: 200, code: 'OK' }
const refused = (status: number, code: string): Expectation => ({ status, code })
const text = (content: string): Step['body'] => ({ content, type: 'text' })

/** The show, in order. */
export function stepsOf(cast: Cast): Step[] {
  return [...deliveries(cast), ...repeats(cast), ...refusedPeople(cast), ...refusedRequests(cast)]
}

/** Those with media have a key, so that their lines, pasted, are answered as they were here. */
function deliveries({ alice, bob, uploads }: Cast): Step[] {
  const fromAlice = { token: alice.token, receiver: bob }
  return [
    {
      title: 'A text',
      why: 'Stored by a majority of the database before it is answered.',
      ...fromAlice,
      body: text("Hi Bob, it's Alice 👋"),
      expects: ok,
    },
    {
      title: 'A picture',
      why: 'Uploaded under temp/ before; sending moves it to messages/. The answer has the url to open.',
      ...fromAlice,
      key: 'picture-1',
      body: { content: 'The view from here', type: 'image', media: [{ publicId: uploads.picture }] },
      expects: ok,
    },
    {
      title: 'A video',
      why: 'Nobody says which kind of asset it is: the service finds out.',
      ...fromAlice,
      key: 'video-1',
      body: { content: 'And how it moves', type: 'video', media: [{ publicId: uploads.video }] },
      expects: ok,
    },
    {
      title: 'A file',
      why: 'A file has no size in pixels: height and width are null.',
      ...fromAlice,
      key: 'file-1',
      body: { content: 'What to bring', type: 'file', media: [{ publicId: uploads.file }] },
      expects: ok,
    },
  ]
}

function repeats({ alice, bob }: Cast): Step[] {
  const fromAlice = { token: alice.token, receiver: bob, key: 'dinner-1' }
  const dinner = text('Dinner at eight?')
  return [
    {
      title: 'A text with a key',
      why: 'With an Idempotency-Key it can be repeated safely, say after a lost connection.',
      ...fromAlice,
      body: dinner,
      expects: ok,
    },
    {
      title: 'The same key again',
      why: 'The stored message is the answer, with Idempotent-Replayed: true; Bob gets it once.',
      ...fromAlice,
      body: dinner,
      expects: { ...ok, replay: true },
    },
    {
      title: 'The same key with another text',
      why: 'A key stands for one message; another one is refused, not dropped in silence.',
      ...fromAlice,
      body: text('Dinner at nine?'),
      expects: refused(422, 'IDEMPOTENCY_KEY_REUSED'),
    },
  ]
}

function refusedPeople({ alice, bob, carol, dave, tabletToken }: Cast): Step[] {
  return [
    {
      title: 'To herself',
      why: 'A private message has two people.',
      token: alice.token,
      receiver: alice,
      body: text('Note to self'),
      expects: refused(400, 'MESSAGE_TO_SELF'),
    },
    {
      title: 'Blocked',
      why: 'Carol has blocked Alice. The answer would be the same the other way round.',
      token: alice.token,
      receiver: carol,
      body: text('Are you there?'),
      expects: refused(400, 'BLOCKED_RELATIONSHIP'),
    },
    {
      title: 'Suspended',
      why: "Dave's token is valid, his account is not: it is read anew for every request.",
      token: dave.token,
      receiver: bob,
      body: text('It was not me'),
      expects: refused(401, 'ACCOUNT_SUSPENDED'),
    },
    {
      title: 'From a device that is not trusted',
      why: "Alice's account and token are fine, her tablet is not trusted.",
      token: tabletToken,
      receiver: bob,
      body: text('Sent from my tablet'),
      expects: refused(401, 'DEVICE_NOT_TRUSTED'),
    },
  ]
}

function refusedRequests({ alice, bob, uploads }: Cast): Step[] {
  const fromAlice = { token: alice.token, receiver: bob }
  return [
    {
      title: 'An unknown field',
      why: 'Refused by its name rather than removed in silence.',
      ...fromAlice,
      body: { ...text('Look at me'), priority: 'high' },
      expects: refused(400, 'INVALID_BODY'),
    },
    {
      title: "Somebody else's upload",
      why: 'Alice names a picture that Bob has uploaded.',
      ...fromAlice,
      body: { content: 'My garden', type: 'image', media: [{ publicId: uploads.bobsPicture }] },
      expects: refused(400, 'INVALID_MEDIA_REFERENCE'),
    },
    {
      title: 'An upload that was sent before',
      why: 'An upload belongs to one message.',
      ...fromAlice,
      body: { content: 'The view again', type: 'image', media: [{ publicId: uploads.picture }] },
      expects: refused(400, 'MEDIA_ALREADY_USED'),
    },
  ]
}
