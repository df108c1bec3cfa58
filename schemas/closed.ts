import {
  type ObjectOptions,
  type Static,
  type TObject,
  type TProperties,
  type TSchema,
  Type,
} from '@sinclair/typebox'

/** An object that takes no field but its own: an unknown one is refused, never dropped in silence. */
export function closed<P extends TProperties>(properties: P, options: ObjectOptions = {}): TObject<P> {
  return Type.Object(properties, { ...options, additionalProperties: false })
}

/** A reference by `$id`, which becomes `#/components/schemas/<$id>` in the document. */
export function ref<S extends TSchema>(schema: S): ReturnType<typeof Type.Unsafe<Static<S>>> {
  return Type.Unsafe<Static<S>>({ $ref: `${schema.$id}#` })
}

/** A string of a fixed set, as JSON Schema's `enum`: TypeBox's own union of literals becomes an `anyOf`. */
export function oneOf<const V extends string>(
  values: readonly V[],
  options: { description?: string } = {},
): ReturnType<typeof Type.Unsafe<V>> {
  return Type.Unsafe<V>({ type: 'string', enum: [...values], ...options })
}
