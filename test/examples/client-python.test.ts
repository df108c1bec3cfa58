import { join } from 'node:path'
import t, { type Test } from 'tap'
import { repeatedCodes } from '../../examples/client.ts'
import { type RefusalCode, refusals } from '../../schemas/refusal.ts'
import { type ClientProxy, startClientProxy } from '../support/client/proxy.ts'
import { type Conversation, converse, findGenerator, findPython, python } from '../support/client/python.ts'
import { type Person, tokenOf } from '../support/people.ts'
import { root } from '../support/root.ts'
import { startService } from '../support/service.ts'

// Clients in Python: examples/client.py, and one that is generated from openapi.yaml.

const examples = join(root, 'examples')
const document = join(root, 'openapi.yaml')
const alone = await findPython()
const withGenerator = await findGenerator()
const service = await startService(t)

/** Speaks of each wait, and goes on when it is told to; then of the outcome. */
const exampleProgram = `
import json, sys, client

def tell(value):
    print(json.dumps(value))

def wait(seconds):
    tell({"wait": seconds})
    sys.stdin.readline()

tell({"codes": sorted(client.REPEATED_CODES), "statuses": sorted(client.REPEATED_STATUSES)})
for line in sys.stdin:
    asked = json.loads(line)
    tokens = iter(asked["tokens"])
    outcome = client.send(
        asked["url"], lambda state: next(tokens), asked["to"], asked["draft"], asked["key"], asked["deadline"], wait
    )
    tell(outcome._asdict())
`

/** What its author writes: every name and type is the generator's, and checked by mypy. */
const generatedProgram = `
import json, sys
from generated import AuthenticatedClient, Client
from generated.api.messages import send_private_message
from generated.models import MediaReference, Refusal, RefusalCode, SendMessageBody, SendMessageBodyType
from generated.models import SendMessageResponse
from generated.types import UNSET

def send(url: str, token: str, to: str, content: str, media: list[str], key: str | None) -> dict[str, object]:
    body = SendMessageBody(content, SendMessageBodyType.IMAGE, [MediaReference(each) for each in media])
    client: AuthenticatedClient | Client = AuthenticatedClient(url, token) if token else Client(url)
    answer = send_private_message.sync_detailed(to, client=client, body=body, idempotency_key=key or UNSET)
    result: dict[str, object] = {"status": answer.status_code.value, "replayed": answer.headers.get("Idempotent-Replayed")}
    if isinstance(answer.parsed, SendMessageResponse):
        message = answer.parsed.data
        sizes: list[int | None] = [item.width for item in message.media]
        result |= {"id": message.field_id, "sizes": sizes, "year": message.created_at.year}
    if isinstance(answer.parsed, Refusal):
        code: RefusalCode = answer.parsed.code
        result |= {"code": code.value, "faults": [fault.path for fault in answer.parsed.errors or []]}
    return result

for line in sys.stdin:
    print(json.dumps(send(**json.loads(line))))
`

/** mypy has to find each: it complains of an \`ignore\` that nothing needs. */
const mistakes = `
from generated.models import MediaReference, Refusal, SendMessageBody, SendMessageBodyType
TEXT = SendMessageBodyType.TEXT
SendMessageBody(type_=TEXT)  # type: ignore[call-arg]
SendMessageBody(content="")  # type: ignore[call-arg]
SendMessageBody(content=42, type_=TEXT)  # type: ignore[arg-type]
SendMessageBody(content="", type_="audio")  # type: ignore[arg-type]
SendMessageBody(content="", type_=TEXT, colour="red")  # type: ignore[call-arg]
SendMessageBody(content="", type_=TEXT, media=["x"])  # type: ignore[list-item]
MediaReference(url="")  # type: ignore[call-arg]
def read(refusal: Refusal) -> object:
    return refusal.data  # type: ignore[attr-defined]
`

interface Example extends Conversation {
  proxy: ClientProxy
  alice: Person
  bob: Person
  /** Sends a text from Alice to Bob by the proxy. */
  send(content: string, options?: { tokens?: string[]; deadline?: number; key?: string }): void
}

/** The example in a process of its own. What it repeats at all is the first that is heard. */
async function startExample(t: Test, via = service): Promise<Example> {
  const [alice, bob] = [await via.person(), await via.person()]
  const proxy = await startClientProxy(t, via.url)
  const conversation = converse(t, exampleProgram, [examples])
  const to = bob.id.toHexString()
  return {
    ...conversation,
    proxy,
    alice,
    bob,
    send: (content, { tokens = [alice.token], deadline = 60, key = 'k' } = {}) =>
      conversation.say({ url: proxy.url, to, draft: { content, type: 'text' }, key, deadline, tokens }),
  }
}

t.test('the example repeats the same codes and statuses as that in TypeScript', alone, async (t) => {
  const example = await startExample(t)

  const { codes, statuses } = await example.hear()

  t.strictSame(codes, [...repeatedCodes].sort())
  t.strictSame(statuses, [408, 409, 429, 500, 502, 503, 504])
})

t.test('nobody is there, then a connection is cut three times: it is sent once', alone, async (t) => {
  const example = await startExample(t)
  example.proxy.next({ kind: 'cut', when: 'before' }, { kind: 'cut', when: 'after' }, { kind: 'half' })
  await example.hear()
  await example.proxy.close()

  example.send('Once')
  const away = await example.hear()
  await example.proxy.open()
  example.say('go on')
  const first = await example.hear()
  example.say('go on')
  const second = await example.hear()
  example.say('go on')
  const third = await example.hear()
  example.say('go on')
  const outcome = await example.hear()

  const [stored, ...others] = await example.alice.sentTo(example.bob)
  t.strictSame(others, [])
  t.match(outcome, { kind: 'sent', replayed: true, message: { _id: stored?._id.toHexString() } })
  t.strictSame(example.proxy.keys, Array(4).fill('k'))
  const waits = [away, first, second, third].map(({ wait }) => Number(wait))
  t.strictSame(
    waits.map((seconds, index) => seconds >= 0.125 * 2 ** index && seconds <= 0.25 * 2 ** index),
    Array(4).fill(true),
  )
})

t.test('a 429 is waited for, as long as it says', alone, async (t) => {
  const limited = await startService(t, { env: { RATE_LIMIT_MAX: '1', RATE_LIMIT_WINDOW_MS: '3600000' } })
  const example = await startExample(t, limited)
  await example.hear()

  example.send('The first', { key: '1' })
  const first = await example.hear()
  example.send('The second', { key: '2', deadline: 4000 })
  const { wait } = await example.hear()

  t.match(first, { kind: 'sent', message: { content: 'The first' } })
  t.ok(Number(wait) > 3000)
})

t.test(
  'a token is renewed once, a refusal is final, and at the deadline it does not know',
  alone,
  async (t) => {
    const example = await startExample(t)
    const { alice, bob, proxy } = example
    const expired = tokenOf({ sub: alice.id.toHexString(), deviceId: alice.deviceId.toHexString(), exp: 1 })
    await example.hear()

    example.send('In time', { tokens: [expired, alice.token], key: '1' })
    const renewed = await example.hear()
    example.send('Too late', { tokens: [expired, expired], key: '2' })
    const late = await example.hear()
    await bob.blocks(alice)
    example.send('Are you there?', { key: '3' })
    const blocked = await example.hear()
    proxy.next({ kind: 'answer', status: 502, body: '<html>Bad gateway</html>' })
    example.send('Hello', { key: '4', deadline: 0.1 })
    const unknown = await example.hear()
    proxy.next({ kind: 'answer', status: 403, body: '<html>Forbidden</html>' })
    example.send('Hello', { key: '5' })
    const forbidden = await example.hear()

    t.match(renewed, { kind: 'sent', replayed: false })
    t.match(late, { kind: 'refused', status: 401, refusal: { code: 'TOKEN_EXPIRED' } })
    t.match(blocked, { kind: 'refused', status: 400, refusal: { code: 'BLOCKED_RELATIONSHIP' } })
    t.match(unknown, { kind: 'unknown', refusal: null })
    t.match(forbidden, { kind: 'refused', status: 403, refusal: null })
    t.strictSame(proxy.keys, ['1', '1', '2', '2', '3', '4', '5'])
  },
)

t.test('the example is run by hand, too', alone, async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]

  const ran = await python([join(examples, 'client.py'), bob.id.toHexString(), 'From a shell'], {
    SERVICE_URL: service.url,
    TOKEN: alice.token,
  })

  t.match(ran, { kind: 'done', stdout: '"kind": "sent"' })
  t.strictSame(
    (await alice.sentTo(bob)).map(({ content }) => content),
    ['From a shell'],
  )
})

interface Generated {
  send(sending: Sending): Promise<Record<string, unknown>>
}

interface Sending {
  token: string
  to: string
  content?: string
  media?: string[]
  key?: string
  url?: string
}

t.test('a client is generated, and is right by its types', withGenerator, async (t) => {
  const folder = await generate(t)

  const compiled = await python(['-m', 'compileall', '-q', folder])
  const strict = ['--strict', '--warn-unused-ignores', '--cache-dir', join(folder, 'cache')]
  const files = ['program.py', 'mistakes.py'].map((name) => join(folder, name))
  const checked = await python(['-m', 'mypy', ...strict, ...files, join(examples, 'client.py')], {
    PYTHONPATH: withGenerator.packages,
    MYPYPATH: folder,
  })

  t.match(compiled, { kind: 'done', stdout: '' })
  t.match(checked, { kind: 'done', stdout: 'Success: no issues found in 3 source files' })
})

t.test('the generated client sends text and media, and repeats with a key', withGenerator, async (t) => {
  const [alice, bob] = [await service.person(), await service.person()]
  const { send } = await startGenerated(t)
  const fromAlice = { token: alice.token, to: bob.id.toHexString() }
  const media = [alice.uploads('image'), alice.uploads('file')]

  const text = await send(fromAlice)
  const first = await send({ ...fromAlice, media, key: 'k' })
  const repeat = await send({ ...fromAlice, media, key: 'k' })

  const ids = (await alice.sentTo(bob)).map(({ _id }) => _id.toHexString())
  t.strictSame([text.id, first.id], ids)
  t.match(first, { status: 200, sizes: [60, null], replayed: null, year: new Date().getUTCFullYear() })
  t.strictSame(repeat, { ...first, replayed: 'true' })
})

t.test('the generated client reads refusals by their codes', withGenerator, async (t) => {
  const limited = await startService(t, { env: { RATE_LIMIT_MAX: '1' } })
  const [alice, bob, dave] = [
    await service.person(),
    await service.person(),
    await service.person({ status: 'suspended' }),
  ]
  const [inactive, untrusted] = [
    await service.person({ status: 'inactive' }),
    await service.person({ trusted: false }),
  ]
  const blocked = await service.person()
  await bob.blocks(blocked)
  const used = alice.uploads('image')
  const { send } = await startGenerated(t)
  const ask = (sending: Partial<Sending>): Promise<Record<string, unknown>> =>
    send({ token: alice.token, to: bob.id.toHexString(), ...sending })
  await ask({ media: [used], key: 'k' })
  await ask({ url: limited.url, token: (await limited.person()).token })
  const claims = { sub: alice.id.toHexString(), deviceId: alice.deviceId.toHexString() }
  const { token } = await limited.person()
  await ask({ url: limited.url, token })

  await reads(t, {
    INVALID_USER_ID: ask({ to: 'x' }),
    INVALID_BODY: ask({ content: ' ' }),
    INVALID_IDEMPOTENCY_KEY: ask({ key: 'with a space' }),
    BODY_TOO_LARGE: ask({ content: 'x'.repeat(70_000) }),
    ROUTE_NOT_FOUND: ask({ url: `${service.url}/v2` }),
    TOKEN_MISSING: ask({ token: '' }),
    TOKEN_INVALID: ask({ token: 'no-token' }),
    TOKEN_EXPIRED: ask({ token: tokenOf({ ...claims, exp: 1 }) }),
    ACCOUNT_SUSPENDED: ask({ token: dave.token }),
    ACCOUNT_INACTIVE: ask({ token: inactive.token }),
    DEVICE_NOT_TRUSTED: ask({ token: untrusted.token }),
    MESSAGE_TO_SELF: ask({ to: alice.id.toHexString() }),
    RECEIVER_NOT_FOUND: ask({ to: '0123456789abcdef01234567' }),
    BLOCKED_RELATIONSHIP: ask({ token: blocked.token }),
    INVALID_MEDIA_REFERENCE: ask({ media: ['temp/nobody/x'] }),
    MEDIA_ALREADY_USED: ask({ media: [used] }),
    MEDIA_PROMOTION_FAILED: ask({ media: [`temp/user_${alice.id.toHexString()}/never-uploaded`] }),
    IDEMPOTENCY_KEY_REUSED: ask({ key: 'k' }),
    RATE_LIMITED: ask({ url: limited.url, token }),
  })
  t.match(await ask({ media: [used] }), { faults: ['/media/0'] })
})

async function reads(
  t: Test,
  asked: Partial<Record<RefusalCode, Promise<Record<string, unknown>>>>,
): Promise<void> {
  const codes = Object.keys(asked) as RefusalCode[]
  const answers = await Promise.all(Object.values(asked))
  t.strictSame(
    answers.map(({ status, code }) => `${status} ${code}`),
    codes.map((code) => `${refusals[code].status} ${code}`),
  )
}

/** A folder with the client, what uses it rightly, and what does not. */
async function generate(t: Test): Promise<string> {
  const folder = t.testdir({
    'program.py': generatedProgram,
    'mistakes.py': mistakes,
    // By default it has itself formatted.
    'config.yaml': 'post_hooks: []\n',
  })
  const to = ['--path', document, '--output-path', join(folder, 'generated'), '--meta', 'none']
  const ran = await python(
    ['-m', 'openapi_python_client', 'generate', ...to, '--config', join(folder, 'config.yaml')],
    {
      PYTHONPATH: withGenerator.packages,
    },
  )
  t.match(ran, { kind: 'done' })
  t.notMatch(ran, { stdout: /warning|error/i })
  return folder
}

/** One question after the other: they are answered in the order in which they were asked. */
async function startGenerated(t: Test): Promise<Generated> {
  const folder = await generate(t)
  const { hear, say } = converse(t, generatedProgram, [folder, withGenerator.packages])
  return {
    async send({ url = service.url, token, to, content = 'Hello there', media = [], key }) {
      say({ url, token, to, content, media, key: key ?? null })
      return await hear()
    },
  }
}
