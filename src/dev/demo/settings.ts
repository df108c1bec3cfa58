import { type Config, loadConfig } from '../../config.ts'

export interface Settings {
  host: string
  /** A free one is taken instead of the default; one that was asked for is used or refused. */
  port: { wanted: number; asked: boolean }
  /** Absent where the demo starts its own. */
  mongodb?: Config['mongodb']
  cloudinaryUrl?: string
  /** Stops once the requests were shown. */
  exits: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

// What an unset variable is checked as; what the demo starts itself takes its place.
const placeholders = {
  MONGODB_URI: 'mongodb://127.0.0.1/demo',
  CLOUDINARY_URL: 'cloudinary://key:secret@demo',
  JWT_SECRET: 'a secret that no token is signed with',
}

/** Throws `ConfigError`, which names every wrong variable. Variables that the demo decides itself are not read. */
export function readSettings(env: Environment): Settings {
  const { HOST, PORT, MONGODB_URI, CLOUDINARY_URL } = env
  const config = loadConfig({
    HOST,
    PORT,
    MONGODB_URI: MONGODB_URI || placeholders.MONGODB_URI,
    CLOUDINARY_URL: CLOUDINARY_URL || placeholders.CLOUDINARY_URL,
    JWT_SECRET: placeholders.JWT_SECRET,
  })
  return {
    host: config.http.host,
    port: { wanted: config.http.port, asked: Boolean(PORT) },
    ...(MONGODB_URI ? { mongodb: config.mongodb } : {}),
    ...(CLOUDINARY_URL ? { cloudinaryUrl: CLOUDINARY_URL } : {}),
    exits: env.DEMO_EXIT === '1',
  }
}
