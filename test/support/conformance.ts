import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formatsPlugin from 'ajv-formats'

export interface Conformance {
  /** Throws unless the document has this status for the path and method, and the body fits it. */
  check(method: string, path: string, answer: { status: number; headers: Headers; body: unknown }): void
}

interface Document {
  paths?: Record<
    string,
    Record<string, { responses: Record<string, { headers?: object; content?: object }> }>
  >
}

/** Every answer in every test is held against the document that the clients are written by. */
export function conformanceTo(document: unknown): Conformance {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  formatsPlugin.default(ajv)
  ajv.addSchema({ $id: 'document', ...(document as object) })
  const paths = (document as Document).paths ?? {}
  const validators = new Map<string, ValidateFunction>()

  return {
    check(method, path, { status, headers, body }) {
      const template = Object.keys(paths).find((each) => matches(each, path))
      // What the document does not have is the contract's 404, in the document's own shape of a refusal.
      const known = template !== undefined && paths[template]?.[method.toLowerCase()]
      const pointer = known
        ? `document#/paths/${pointerPart(template)}/${method.toLowerCase()}/responses/${status}/content/application~1json/schema`
        : 'document#/components/schemas/Refusal'
      if (known && !known.responses[String(status)])
        throw new Error(`${status} of ${method} ${path} is not in the document`)
      const validate = validators.get(pointer) ?? ajv.compile({ $ref: pointer })
      validators.set(pointer, validate)
      if (!validate(body))
        throw new Error(`${status} of ${method} ${path}: ${ajv.errorsText(validate.errors)}`)
      if (!headers.has('x-request-id')) throw new Error(`${status} of ${method} ${path} has no X-Request-Id`)
    },
  }
}

function matches(template: string, path: string): boolean {
  return new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]*')}$`).test(path)
}

function pointerPart(pointer: string): string {
  return encodeURIComponent(pointer.replaceAll('~', '~0').replaceAll('/', '~1'))
}
