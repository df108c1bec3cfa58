import { isUtf8 } from 'node:buffer'
import type { onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { InvalidJson, UnsupportedMediaType } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** `onRequest`: refuses whatever is not `application/json` in UTF-8, before a byte of the body is read. */
    requireJson: onRequestHookHandler
  }
}

// RFC 9110, section 8.3.1: the type and parameter names in any case, the value perhaps quoted, empty parameters allowed.
const jsonMediaType = /^application\/json[ \t]*(?:;[ \t]*(?:charset=(?:utf-8|"utf-8")[ \t]*)?)*$/i

/** The only body that the service takes. Fastify would take `text/plain`, other charsets, and bytes that are not UTF-8. */
export default fp(
  async (app) => {
    app.decorate('requireJson', (request, _reply, done) => {
      const { 'content-type': mediaType, 'content-encoding': encoding } = request.headers
      if (mediaType === undefined || encoding !== undefined || !jsonMediaType.test(mediaType)) {
        return done(new UnsupportedMediaType())
      }
      request.headers['content-type'] = 'application/json'
      done()
    })

    const parse = app.getDefaultJsonParser('error', 'error')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      if (!isUtf8(body) || startsWithByteOrderMark(body)) return done(new InvalidJson())
      parse(request, body.toString(), (error, value) =>
        error ? done(new InvalidJson({ cause: error })) : done(null, value),
      )
    })
  },
  { name: 'json-body' },
)

/** RFC 8259, section 8.1 forbids to send one; Fastify's parser would drop it in silence. */
function startsWithByteOrderMark(body: Buffer): boolean {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf
}
