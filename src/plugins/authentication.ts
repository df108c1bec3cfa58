import jwt from '@fastify/jwt'
import type { FastifyRequest, onRequestAsyncHookHandler, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { Refusal, TokenExpired, TokenInvalid, TokenMissing } from '../errors.ts'
import { createJwks } from './jwks.ts'

/** Who sends, from the token alone: ids of 24 hexadecimal digits in lower case. Nothing of it is looked up yet. */
export interface Sender {
  readonly userId: string
  readonly deviceId: string
}

declare module 'fastify' {
  interface FastifyInstance {
    /** `onRequest`: checks the token and sets `request.sender`, or refuses with one of the `TOKEN_…` codes. */
    authenticate: onRequestHookHandler | onRequestAsyncHookHandler
  }
  interface FastifyRequest {
    /** Set on the routes that have `app.authenticate`, and on no others. */
    sender: Sender
  }
}

const mongoId = /^[0-9a-f]{24}$/i

// A signature costs 5 µs (HS256), 26 (RS256) or 105 (EdDSA) of CPU, a look into the cache 2. One entry is about 1 KB. A token is
// forgotten at its own `exp`; ten minutes bound what a clock that was set back could do.
const verifiedTokens = { cache: 10_000, cacheTTL: 600_000 }

// As those of JWT_PUBLIC_KEY, by each key.
const keyAlgorithms = ['RS256', 'ES256', 'EdDSA'] as const

/** Registers @fastify/jwt for one kind of key, and the hook that routes put first. */
export default fp<Config['token']>(
  async (app, { keys, issuer, audience }) => {
    const verify = {
      ...verifiedTokens,
      requiredClaims: ['sub', 'deviceId', 'exp', ...(issuer ? ['iss'] : []), ...(audience ? ['aud'] : [])],
      ...(issuer ? { allowedIss: issuer } : {}),
      ...(audience ? { allowedAud: audience } : {}),
    }

    if (keys.kind === 'jwks') {
      const jwks = createJwks(keys.url, { algorithms: keyAlgorithms, log: app.log })
      app.addHook('onClose', () => jwks.close())
      await app.register(jwt, {
        // The types know only of keys; that the public one may be asked for is documented.
        secret: {
          public: (_request: unknown, token: { header: { alg?: unknown } }) => jwks.pemFor(token.header),
        } as never,
        decode: { complete: true },
        verify: {
          ...verify,
          algorithms: [...keyAlgorithms],
          extractToken: bearerToken,
        },
      })
      app.decorate('authenticate', async (request: FastifyRequest) => {
        request.sender = await request.jwtVerify().then(senderOf, refuseToken)
      })
      return
    }

    await app.register(
      jwt,
      keys.kind === 'secret'
        ? {
            secret: keys.secret,
            verify: { ...verify, algorithms: ['HS256'] },
            // The service signs nothing; but the plugin makes a signer, and without this takes a secret that looks like a key for one.
            sign: { algorithm: 'HS256' },
          }
        : {
            secret: { public: keys.pem },
            verify: { ...verify, algorithms: [keys.algorithm] },
          },
    )
    const authenticate: onRequestHookHandler = (request, _reply, done) => {
      // The synchronous way: `request.jwtVerify` costs a quarter of a core more at full load.
      try {
        request.sender = senderOf(app.jwt.verify(bearerToken(request)))
      } catch (error) {
        return done(asTokenRefusal(error))
      }
      done()
    }
    app.decorate('authenticate', authenticate)
  },
  { name: 'authentication' },
)

/** RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1). */
function bearerToken({ headers }: FastifyRequest): string {
  const [scheme = '', token, ...rest] = (headers.authorization ?? '').trim().split(/ +/)
  if (scheme.toLowerCase() !== 'bearer' || token === undefined) throw new TokenMissing()
  if (rest.length > 0) throw new TokenInvalid()
  return token
}

/** fast-jwt checks that the claims are there, not what they are. */
function senderOf(claims: unknown): Sender {
  const { sub, deviceId } = claims as { sub?: unknown; deviceId?: unknown }
  if (
    typeof sub !== 'string' ||
    typeof deviceId !== 'string' ||
    !mongoId.test(sub) ||
    !mongoId.test(deviceId)
  ) {
    throw new TokenInvalid()
  }
  return { userId: sub.toLowerCase(), deviceId: deviceId.toLowerCase() }
}

function refuseToken(error: unknown): never {
  throw asTokenRefusal(error)
}

/** Whatever else @fastify/jwt throws for a forged token (some of it with status 500), the token is what is wrong. */
function asTokenRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const code = (error as { code?: unknown }).code
  const expired = code === 'FAST_JWT_EXPIRED' || code === 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED'
  return expired ? new TokenExpired({ cause: error }) : new TokenInvalid({ cause: error })
}
