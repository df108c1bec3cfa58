import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'

/** The page may load and call this service, and nothing else. Its library sets styles on elements, hence `unsafe-inline`. */
const contentSecurityPolicy = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data:",
  'font-src': "'self'",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
}

/** `/docs`: a page to read the interface and try it, made of the service's own files: nothing comes from elsewhere. */
export default fp(
  async (app) => {
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: contentSecurityPolicy,
      uiConfig: { docExpansion: 'list', deepLinking: true, displayRequestDuration: true },
      theme: { title: 'Private messages' },
      logLevel: 'warn',
    })
  },
  { name: 'docs', dependencies: ['openapi'] },
)
