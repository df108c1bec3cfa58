import { STATUS_CODES } from 'node:http'
import { curlLine, type HttpRequest } from './curl.ts'
import type { Paint } from './paint.ts'
import type { Expectation, Step } from './steps.ts'

export interface ShowDeps {
  serviceUrl: string
  say(line: string): void
  paint: Paint
  stopping: AbortSignal
}

interface Answer extends Expectation {
  body: unknown
  /** The message's id; a refusal has none. */
  messageId: unknown
}

/** Sends and shows the steps, one after another. Gives a sentence for each that was not answered as it should be. */
export async function showSteps(deps: ShowDeps, steps: readonly Step[]): Promise<string[]> {
  const faults: string[] = []
  let before: Answer | undefined
  for (const [index, step] of steps.entries()) {
    const request = requestOf(deps.serviceUrl, step)
    introduce(deps, `${index + 1}/${steps.length}`, step, request)
    const answer = await send(request, deps.stopping)
    const fault = faultOf(step.expects, answer, before)
    present(deps, answer, fault)
    if (fault !== undefined) faults.push(`${step.title}: ${fault}.`)
    before = answer
  }
  return faults
}

function requestOf(serviceUrl: string, { receiver, token, key, body }: Step): HttpRequest {
  return {
    url: `${serviceUrl}/message/send/${receiver.userId}`,
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
    },
    body: JSON.stringify(body),
  }
}

function introduce({ say, paint }: ShowDeps, number: string, step: Step, request: HttpRequest): void {
  say('')
  say(paint.title(`── ${number}  ${step.title} → ${outcome(step.expects)}`))
  say(paint.dim(`   ${step.why}`))
  say('')
  say(curlLine(request))
  say('')
}

async function send({ url, headers, body }: HttpRequest, stopping: AbortSignal): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', headers, body, signal: stopping })
  const answer = JSON.parse(await response.text()) as { code?: string; data?: { _id?: unknown } }
  return {
    status: response.status,
    code: answer.code ?? 'OK',
    ...(response.headers.get('idempotent-replayed') === 'true' ? { replay: true } : {}),
    body: answer,
    messageId: answer.data?._id,
  }
}

function faultOf(expected: Expectation, answer: Answer, before: Answer | undefined): string | undefined {
  if (outcome(expected) !== outcome(answer)) {
    return `expected ${outcome(expected)}, the answer was ${outcome(answer)}`
  }
  if (expected.replay && answer.messageId !== before?.messageId)
    return 'expected the message of the step before'
  return undefined
}

function present({ say, paint }: ShowDeps, answer: Answer, fault: string | undefined): void {
  const headline = `HTTP ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`.trimEnd()
  say(fault === undefined ? paint.good(headline) : paint.bad(headline))
  if (answer.replay) say('Idempotent-Replayed: true')
  say(JSON.stringify(answer.body, null, 2))
  if (fault !== undefined) say(paint.bad(`✗ ${fault}`))
}

function outcome({ status, code, replay }: Expectation): string {
  return `${status} ${code}${replay ? ', replayed' : ''}`
}
