import type { FastifySchemaValidationError, FastifyServerOptions } from 'fastify'
import { formats } from '../../schemas/formats.ts'
import { type Fault, faultsMax } from '../../schemas/refusal.ts'
import { InvalidBody, InvalidIdempotencyKey, InvalidUserId, type Refusal } from '../errors.ts'

type AjvOptions = NonNullable<FastifyServerOptions['ajv']>

/** Fastify's defaults repair what was sent: drop unknown fields, turn 42 into "42". Here what is wrong is refused. */
export const ajvOptions: AjvOptions = {
  customOptions: {
    removeAdditional: false,
    coerceTypes: false,
    useDefaults: false,
    allErrors: true,
    formats,
  },
  plugins: [
    (ajv) => {
      // AJV's own compares each pair of items, however many there are: half a second of CPU for a body of 64 KiB.
      ajv.removeKeyword('uniqueItems')
      return ajv.addKeyword({
        keyword: 'uniqueItems',
        type: 'array',
        schemaType: 'boolean',
        validate: uniqueItems,
      })
    },
  ],
}

/** What a request that breaks a schema of its route is answered with. */
export function refusalOfFaults(errors: FastifySchemaValidationError[], part: string): Refusal {
  if (part === 'params') return new InvalidUserId()
  if (part === 'headers') return new InvalidIdempotencyKey()
  // The first one only: all of them, as Fastify has it, are a message of 1 MB for 64 KiB of nonsense.
  const message = errors.slice(0, 1).map((error) => `${part}${error.instancePath} ${error.message}`)
  return new InvalidBody({ message: message.join(), faults: faultsOf(errors) })
}

/**
 * The faults of a body, one for each field. Of two in one field the later stays: a `type` that is `null` is no string, and is
 * none of the four values, which says more.
 */
function faultsOf(errors: readonly FastifySchemaValidationError[]): Fault[] {
  const faults = new Map<string, Fault>()
  for (const error of errors) {
    const fault = faultOf(error)
    faults.set(fault.path, fault)
    if (faults.size === faultsMax) break
  }
  return [...faults.values()]
}

/** With the pointer of the field at fault, where AJV names its parent. */
function faultOf({
  instancePath,
  keyword,
  params,
  message = 'is not valid',
}: FastifySchemaValidationError): Fault {
  switch (keyword) {
    case 'required':
      return { path: pointer(instancePath, params.missingProperty), message: 'is required' }
    case 'additionalProperties':
      return { path: pointer(instancePath, params.additionalProperty), message: 'is not a known field' }
    case 'enum':
      return { path: instancePath, message: `${message}: ${[params.allowedValues].flat().join(', ')}` }
    case 'pattern':
      return { path: instancePath, message: 'must contain a character other than white space' }
    case 'format':
      return { path: instancePath, message: 'must not contain U+0000 or a lone surrogate' }
    default:
      return { path: instancePath, message }
  }
}

/** RFC 6901: `~` and `/` inside a name are escaped. */
function pointer(parent: string, name: unknown): string {
  return `${parent}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

interface UniqueItemsValidator {
  (isUnique: boolean, items: unknown[], schema?: unknown, context?: { instancePath: string }): boolean
  errors?: object[]
}

/** No schema has `uniqueItems: false`, and none has it on anything but media references. */
const uniqueItems: UniqueItemsValidator = (
  _isUnique,
  items,
  _schema,
  { instancePath } = { instancePath: '' },
) => {
  const seen = new Set<string>()
  const errors: object[] = []
  for (const [index, item] of items.entries()) {
    const id = publicIdOf(item)
    if (id === undefined) continue
    if (seen.has(id)) {
      const path = `${instancePath}/${index}/publicId`
      errors.push({
        keyword: 'uniqueItems',
        instancePath: path,
        message: 'must be unique',
        params: {},
      })
    }
    seen.add(id)
  }
  uniqueItems.errors = errors
  return errors.length === 0
}

/** Items that are no references fail their own schema, and two of those need no second fault. */
function publicIdOf(item: unknown): string | undefined {
  const id = typeof item === 'object' && item !== null && 'publicId' in item ? item.publicId : undefined
  return typeof id === 'string' ? id : undefined
}
