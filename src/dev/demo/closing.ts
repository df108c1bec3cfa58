import type { FastifyInstance } from 'fastify'
import { quoted } from './curl.ts'
import type { Paint } from './paint.ts'
import type { Cast } from './people.ts'

export interface Closing {
  app: FastifyInstance
  cast: Cast
  serviceUrl: string
  mongodbUri: string
  storage: string
  paint: Paint
  say(line: string): void
}

/** What is there to play with while the demo stays up. */
export function showClosing({ app, cast, serviceUrl, mongodbUri, storage, paint, say }: Closing): void {
  const { alice, bob, carol, dave, tabletToken, uploads } = cast
  const section = (title: string, lines: readonly string[]): void => {
    say('')
    say(paint.title(title))
    for (const line of lines) say(line)
  }
  section(
    '── People',
    [alice, bob, carol, dave].map((it) => `   ${it.name.padEnd(7)}${it.userId}  ${it.about}`),
  )
  section('── Their tokens, valid for a day, and a line to paste', [
    ...[alice, bob, carol, dave].map(({ name, token }) => `export ${name.toUpperCase()}=${token}`),
    `export ALICE_TABLET=${tabletToken}`,
    '',
    `curl -sS -X POST ${quoted(`${serviceUrl}/message/send/${bob.userId}`)} \\`,
    `  -H "Authorization: Bearer $ALICE" -H 'Content-Type: application/json' \\`,
    `  -d '{"content":"Hello from my own terminal","type":"text"}'`,
    '',
    paint.dim(`   Alice has one more picture to send: "media":[{"publicId":"${uploads.spare}"}]`),
  ])
  const pages = ['/docs', '/openapi.yaml', '/metrics'].filter((url) => app.hasRoute({ method: 'GET', url }))
  section('── Addresses', [
    `   service       ${serviceUrl}`,
    ...pages.map((path) => `   ${path.padEnd(14)}${serviceUrl}${path}`),
    `   Cloudinary    ${storage}`,
    `   MongoDB       ${withoutPassword(mongodbUri)}`,
  ])
  say('')
  say(paint.title('Ctrl-C stops and removes everything.'))
}

function withoutPassword(uri: string): string {
  return uri.replace(/^([a-z+]+:\/\/[^:@/]+):[^@/]*@/, '$1:…@')
}
