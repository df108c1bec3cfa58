import swaggerUi from '@fastify/swagger-ui'
import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import { RouteNotFound } from '../errors.ts'

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

/** Without it a phone would lay the page out for a desk, and show it in letters that nobody can read. */
const viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'

// The bar asks for another document's address, and the list of servers has one entry: this service. The bar stays in the
// page, unseen, because its script is the one that follows the system's light or dark. Some of the library's colours are
// too pale to be read (below 4.5 to 1), and its tables and dialogs are wider than a phone.
const styles = `
.swagger-ui .topbar,
.swagger-ui .scheme-container .schemes > .schemes-server-container,
.swagger-ui .responses-table .response-col_links { display: none; }
.swagger-ui .scheme-container .schemes { justify-content: flex-end; }

html:not(.dark-mode) .swagger-ui .info a,
html:not(.dark-mode) .swagger-ui .info .url { color: #1a5fb4; }
html:not(.dark-mode) .swagger-ui .info .title small { background: #5c6370; }
html:not(.dark-mode) .swagger-ui .info .title small.version-stamp { background: #4b7300; }
html:not(.dark-mode) .swagger-ui .btn.authorize { border-color: #12784d; color: #12784d; }
html:not(.dark-mode) .swagger-ui .btn.authorize svg { fill: #12784d; }
html:not(.dark-mode) .swagger-ui .btn.execute { background: #1a5fb4; border-color: #1a5fb4; }
html:not(.dark-mode) .swagger-ui .btn.cancel { border-color: #b3261e; color: #b3261e; }
html:not(.dark-mode) .swagger-ui .opblock-post .opblock-summary-method { background: #12784d; }
html:not(.dark-mode) .swagger-ui .opblock-get .opblock-summary-method { background: #1a5fb4; }
html:not(.dark-mode) .swagger-ui .parameter__name.required span,
html:not(.dark-mode) .swagger-ui .parameter__name.required::after { color: #b3261e; }
html:not(.dark-mode) .swagger-ui .parameter__in,
html:not(.dark-mode) .swagger-ui .json-schema-2020-12-expand-deep-button { color: #50555f; }
html:not(.dark-mode) .swagger-ui .json-schema-2020-12__constraint--string { background: #8a5300; color: #fff; }
.dark-mode body { background: #1c2022; }
.dark-mode .swagger-ui .examples-select__section-label,
.dark-mode .swagger-ui .responses-table .headers .header-col { color: #e4e6e6; }
.dark-mode .swagger-ui .opblock .opblock-section-header .btn.try-out__btn.cancel { border-color: #ff8a80; color: #ff8a80; }

@media (max-width: 640px) {
  .swagger-ui .info { margin: 30px 0; }
  .swagger-ui .info .title { font-size: 28px; }
  .swagger-ui .dialog-ux .modal-ux { min-width: 0; width: calc(100vw - 20px); }
  .swagger-ui .dialog-ux .modal-ux-content { padding: 15px; }
  .swagger-ui .dialog-ux .auth-container input { width: 100%; }
  .swagger-ui .opblock .opblock-summary-path { word-break: break-word; }
  .swagger-ui .parameters-container table thead,
  .swagger-ui .responses-table > thead { display: none; }
  .swagger-ui .parameters-container table tr,
  .swagger-ui .parameters-container table td,
  .swagger-ui .responses-table > tbody > tr,
  .swagger-ui .responses-table > tbody > tr > td:not(.response-col_links) {
    display: block; width: auto; max-width: none; padding-left: 0;
  }
  .swagger-ui .parameters-col_description input { width: 100%; max-width: none; }
  .swagger-ui .headers-wrapper { overflow-x: auto; }
}
`

/** `/docs`: a page to read the interface and try it, made of the service's own files: nothing comes from elsewhere. */
export default fp(
  async (app) => {
    await app.register(async (page) => {
      page.addHook('onSend', async (_request, reply, payload) => {
        // Not the library's files, which are streams.
        const isPage =
          typeof payload === 'string' && String(reply.getHeader('content-type')).startsWith('text/html')
        return isPage ? payload.replace('<head>', `<head>${viewport}`) : payload
      })
      page.addHook('onRequest', async ({ headers }) => {
        // A part of a file, or a file on a condition, would be refused in ways that no client of this service knows.
        for (const name of ['range', 'if-match', 'if-unmodified-since']) delete headers[name]
      })
      // What the library says of a path that leads nowhere, whatever it says.
      page.setErrorHandler<FastifyError>((error) => {
        throw (error.statusCode ?? 500) < 500 ? new RouteNotFound({ cause: error }) : error
      })
      await page.register(swaggerUi, {
        routePrefix: '/docs',
        staticCSP: contentSecurityPolicy,
        uiConfig: { docExpansion: 'list', deepLinking: true, displayRequestDuration: true },
        theme: { title: 'Private messages', css: [{ filename: 'page.css', content: styles }] },
        logLevel: 'warn',
      })
    })
  },
  { name: 'docs', dependencies: ['openapi'] },
)
