import type { ServerResponse } from 'node:http'
import { type Answer, jsonAnswer } from './answer.ts'
import type { CallSubject } from './call.ts'

/** Whether what was asked for has been done when the fault strikes. */
export type When = 'before' | 'after'

export type Fault =
  /** Another status; `before` unless told, so nothing is done. */
  | { kind: 'status'; status: number; body?: unknown; when?: When }
  /** 200 with a body that is no JSON. */
  | { kind: 'invalid-json'; when?: When }
  /** 200 with any JSON. */
  | { kind: 'wrong-answer'; body: unknown; when?: When }
  /** Never answers. */
  | { kind: 'hang' }
  | { kind: 'hang-after' }
  /**
   * Done; the answer comes a byte at a time, so that no idle time-out ever fires. With `before` nothing is done, and the
   * answer never ends: blanks, which JSON allows in front of a value.
   */
  | { kind: 'drip'; everyMs: number; when?: When }
  /** The connection is reset. */
  | { kind: 'reset-before' }
  | { kind: 'reset-after' }
  /** Goes on once the test lets it: with the deed and the answer, or with the answer only. */
  | { kind: 'hold'; until: Promise<void>; when: When }

export type Matcher = (subject: CallSubject) => boolean

export interface Faults {
  /** Of several that match, the first one set strikes. Returns a function that removes it. */
  on(matcher: Matcher, fault: Fault, options?: { times?: number }): () => void
  clear(): void
}

export interface FaultPlan extends Faults {
  take(subject: CallSubject): Fault | undefined
}

export function makeFaults(): FaultPlan {
  const rules = new Set<{ matcher: Matcher; fault: Fault; timesLeft: number }>()
  return {
    on(matcher, fault, { times = Number.POSITIVE_INFINITY } = {}) {
      const rule = { matcher, fault, timesLeft: times }
      rules.add(rule)
      return () => {
        rules.delete(rule)
      }
    },
    clear: () => rules.clear(),
    take(subject) {
      const rule = [...rules].find(({ matcher, timesLeft }) => timesLeft > 0 && matcher(subject))
      if (rule === undefined) return undefined
      rule.timesLeft -= 1
      if (rule.timesLeft === 0) rules.delete(rule)
      return rule.fault
    },
  }
}

/** The fault decides whether, and when, the deed is done and answered. A client that left changes neither. */
export async function strike(fault: Fault, deed: () => Answer, response: ServerResponse): Promise<void> {
  switch (fault.kind) {
    case 'status':
      if (fault.when === 'after') deed()
      return send(response, jsonAnswer(fault.body ?? errorBody(fault.status), fault.status))
    case 'invalid-json':
      if (fault.when === 'after') deed()
      return send(response, { status: 200, contentType: 'text/html', body: '<html>Bad gateway</html>' })
    case 'wrong-answer':
      if (fault.when === 'after') deed()
      return send(response, jsonAnswer(fault.body))
    case 'hang':
      return
    case 'hang-after':
      deed()
      return
    case 'drip':
      return drip(response, fault.when === 'before' ? undefined : deed(), fault.everyMs)
    case 'reset-before':
      response.socket?.resetAndDestroy()
      return
    case 'reset-after':
      deed()
      response.socket?.resetAndDestroy()
      return
    case 'hold': {
      if (fault.when === 'before') await fault.until
      const answer = deed()
      await fault.until
      return send(response, answer)
    }
  }
}

function errorBody(status: number): unknown {
  return { error: { message: `status ${status}` } }
}

export function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

/** Without an answer: for ever. */
function drip(response: ServerResponse, answer: Answer | undefined, everyMs: number): void {
  if (response.destroyed) return
  const { status = 200, contentType = 'application/json; charset=utf-8' } = answer ?? {}
  const bytes = answer && Buffer.from(answer.body)
  let sent = 0
  response.writeHead(status, { 'content-type': contentType })
  response.flushHeaders()
  const timer = setInterval(() => {
    response.write(bytes ? bytes.subarray(sent, sent + 1) : ' ')
    sent += 1
    if (bytes && sent >= bytes.length) response.end()
  }, everyMs)
  response.once('close', () => clearInterval(timer))
}
