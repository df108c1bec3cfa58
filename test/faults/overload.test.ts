import t from 'tap'
import { answerIn } from './support/overload-answers.ts'
import { countOverload } from './support/overload-count.ts'
import { crowdBars, type Figures, type Measured, missed, recoverySeconds } from './support/overload-judge.ts'
import type { LoadResult } from './support/overload-load.ts'
import { contentOf, numberIn, renumber, requestOf } from './support/overload-requests.ts'
import { type Summary, summaryOf } from './support/overload-times.ts'

// What judges the overload must itself be able to fail: each test changes one thing that must not be.

const id = '0123456789abcdef01234567'

t.test('an answer is one once the whole of it is there', async (t) => {
  const body = `{"success":true,"data":{"conversationId":"c","_id":"${id}","updatedAt":"u"}}`
  const answer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`

  t.same(answerIn(answer), { status: 200, code: 'OK', id, isLast: false })
  t.equal(answerIn(answer.slice(0, -1)), undefined)
  t.equal(answerIn(answer.slice(0, 40)), undefined)
})

t.test('a refusal is known by its code, and whether the connection ends with it', async (t) => {
  const body = '{"success":false,"code":"REQUEST_TIMEOUT","message":"m"}'
  const answer = `HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`

  t.same(answerIn(answer), { status: 408, code: 'REQUEST_TIMEOUT', id: undefined, isLast: true })
})

t.test('a request carries the number that it is given, and its content tells it', async (t) => {
  const request = requestOf({ token: 'a.b.c', receiverId: id }, 'mark')
  const lengthBefore = request.bytes.length
  renumber(request, 4711)

  const [head = '', body = ''] = request.bytes.toString().split('\r\n\r\n')
  t.equal(request.bytes.length, lengthBefore)
  t.match(head, `Content-Length: ${body.length}`)
  t.equal(JSON.parse(body).content, contentOf('mark', 4711))
  t.equal(numberIn(contentOf('mark', 4711), 'mark'), 4711)
  t.equal(numberIn(contentOf('mark', 4711), 'mar'), undefined)
  t.equal(numberIn('mark-of something else', 'mark'), undefined)
})

const loads = [{ mark: 'one', ids: [id, null, null], unknown: [2] }]

async function counted(stored: { id: string; content: string }[]) {
  async function* all() {
    yield* stored
  }
  return await countOverload(loads, all())
}

t.test('every 200 once, and what nobody can know', async (t) => {
  const stored = [0, 2].map((number) => ({ id, content: contentOf('one', number) }))

  t.same(await counted(stored), { acknowledged: 1, found: 2, lost: 0, doubled: 0, broken: [] })
})

t.test('a message that is lost, doubled, refused or foreign is told', async (t) => {
  const first = { id, content: contentOf('one', 0) }
  const broken = async (...stored: (typeof first)[]) => (await counted(stored)).broken

  t.same(await broken(), ['1 acknowledged and lost'])
  t.same(await broken({ ...first, id: id.replace('0', 'f') }), ['1 acknowledged and lost'])
  t.same(await broken(first, first), ['1 stored twice'])
  t.same(await broken(first, { id, content: contentOf('one', 1) }), ['1 stored, and refused to the end'])
  t.same(await broken(first, { id, content: contentOf('one', 3) }), ['1 stored, and sent by nobody'])
  t.same(await broken(first, { id, content: contentOf('two', 0) }), ['1 stored, and sent by nobody'])
})

t.test('times are told as a whole and by the second', async (t) => {
  const times = { atMs: [100, 200, 1_900], tookMs: [30, 10, 20] }

  t.same(summaryOf(times, 3_000), {
    count: 3,
    p50Ms: 20,
    p99Ms: 30,
    maxMs: 30,
    longestGapMs: 1_700,
    seconds: [
      { count: 2, p99Ms: 30 },
      { count: 1, p99Ms: 20 },
      { count: 0, p99Ms: 0 },
    ],
  })
})

function summary(more: Partial<Summary> = {}): Summary {
  const seconds = Array.from({ length: 10 }, () => ({ count: 100, p99Ms: 20 }))
  return { count: 1_000, p50Ms: 10, p99Ms: 20, maxMs: 30, longestGapMs: 10, seconds, ...more }
}

function measured(more: Partial<LoadResult> = {}, cpuS = 10): Measured {
  const figures = {
    accepted: summary(),
    refused: summary(),
    answers: { '200 OK': 1_000, '503 OVERLOADED': 1_000 },
  }
  const rest = {
    durationMs: 10_000,
    connectMs: 0,
    ids: [],
    unknown: [],
    cut: 0,
    lagP99Ms: 0,
    lagMaxMs: 0,
    cpuS: 1,
  }
  return { load: { mark: 'm', ...figures, ...rest, ...more }, cpuS }
}

function figures(more: Partial<Figures> = {}): Figures {
  const polite = { politeBefore: summary(), politeAfter: summary() }
  return {
    peak: [measured()],
    beside: [measured()],
    overload: measured(),
    ...polite,
    rssMostMb: 500,
    ...more,
  }
}

t.test('an overload that holds has missed nothing', async (t) => {
  t.same(missed(figures(), crowdBars), [])
})

t.test('each bar can be missed', async (t) => {
  const told = (more: Partial<LoadResult>) => missed(figures({ overload: measured(more) }), crowdBars).join()

  t.match(
    told({ answers: { '408 REQUEST_TIMEOUT': 3 } }),
    '3 answers of the overload were 408 REQUEST_TIMEOUT',
  )
  t.match(told({ cut: 2 }), '2 connections were cut')
  t.match(
    told({ refused: summary({ p99Ms: crowdBars.refusedP99Ms + 1 }) }),
    'p99 of the refused: 201 ms, over 200',
  )
  t.match(told({ refused: summary({ count: 5_001 }) }), 'refused: 5001 times, over 5000')
  t.match(told({ accepted: summary({ p99Ms: 2_001 }) }), 'p99 of the accepted: 2001 ms, over 2000')
  t.match(told({ accepted: summary({ count: 690 }) }), 'goodput: 69 % of its peak, under 70 %')
  t.match(
    missed(figures({ overload: measured({}, 13) }), crowdBars).join(),
    'goodput per CPU second: 77 % of that beside the same others, under 90 %',
  )
  t.match(missed(figures({ rssMostMb: 1_281 }), crowdBars).join(), 'memory: 1281 MB, over 1280')
})

t.test('normal again is the first of three seconds in a row that are as before', async (t) => {
  const good = { count: 80, p99Ms: 100 }
  const slow = { count: 100, p99Ms: 101 }
  const few = { count: 79, p99Ms: 20 }
  const back = (...seconds: (typeof good)[]) => recoverySeconds(summary(), summary({ seconds }))
  const slowBefore = summary({ seconds: Array(10).fill({ count: 100, p99Ms: 60 }) })
  const backTo = (p99Ms: number) =>
    recoverySeconds(slowBefore, summary({ seconds: Array(3).fill({ count: 100, p99Ms }) }))

  t.equal(back(good, good, good), 0)
  t.equal(back(slow, few, good, good, good, slow), 2)
  t.equal(back(good, good, slow, good, good), undefined)
  t.equal(backTo(120), 0)
  t.equal(backTo(121), undefined)
  const late = summary({ seconds: [slow, slow, slow, slow, slow, slow, good, good, good] })
  t.match(
    missed(figures({ politeAfter: late }), crowdBars).join(),
    'normal again: 6 s after the overload, over 5',
  )
  const never = summary({ seconds: [slow, slow, slow] })
  t.match(missed(figures({ politeAfter: never }), crowdBars).join(), 'it was never normal again')
})
