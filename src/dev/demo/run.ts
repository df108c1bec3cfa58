import { randomBytes } from 'node:crypto'
import type { DestinationStream } from 'pino'
import { buildApp } from '../../app.ts'
import { loadConfig } from '../../config.ts'
import { showClosing } from './closing.ts'
import { openDocsPage } from './docs-page.ts'
import { demoNameOf, useGivenDatabase } from './given-database.ts'
import { startOwnDatabase } from './own-database.ts'
import type { Paint } from './paint.ts'
import { createCast } from './people.ts'
import { checkPort, listen } from './port.ts'
import { readSettings, type Settings } from './settings.ts'
import { showSteps } from './show.ts'
import type { Stage } from './stage.ts'
import { stepsOf } from './steps.ts'
import { createUploader, openStorage } from './storage.ts'

export interface Run extends Stage {
  paint: Paint
  logTo: DestinationStream
  /** Waits for Ctrl-C. */
  untilStopped(): Promise<void>
}

/** The demo from its variables to its end. Gives a sentence for each request that was not answered as it should be. */
export async function runDemo(run: Run): Promise<string[]> {
  const settings = readSettings(run.env)
  announce(settings, run.say)
  await checkPort(settings)
  const storage = await openStorage(settings.cloudinaryUrl, run)
  const mongodbUri = settings.mongodb
    ? await useGivenDatabase(settings.mongodb, run)
    : await startOwnDatabase(run)
  run.stopping.throwIfAborted()

  const config = loadConfig({
    MONGODB_URI: mongodbUri,
    CLOUDINARY_URL: storage.cloudinaryUrl,
    JWT_SECRET: randomBytes(32).toString('hex'),
    // One line a request would drown the show.
    LOG_LEVEL: 'warn',
  })
  const upload = await createUploader(storage.cloudinaryUrl, config.cloudinary, run)
  const docsPage = openDocsPage()
  const app = await buildApp(config, { logTo: run.logTo })
  run.atEnd('the service', () => app.close())
  const cast = await createCast(app, upload)
  docsPage.show(cast)
  const serviceUrl = await listen(app, settings)
  run.say(`Service: ${serviceUrl}`)

  const faults = await showSteps({ ...run, serviceUrl }, stepsOf(cast))
  for (const fault of faults) run.say(run.paint.bad(fault))
  if (settings.exits) return faults

  showClosing({ ...run, app, cast, serviceUrl, mongodbUri, storage: storage.described })
  await run.untilStopped()
  return faults
}

/** First of all: whoever has variables set should know at once what is done with them. */
function announce({ mongodb, cloudinaryUrl }: Settings, say: Run['say']): void {
  say(
    mongodb
      ? `MongoDB: MONGODB_URI is set; of its server only the database ${demoNameOf(mongodb)} is used, and removed at the end.`
      : 'MongoDB: a real mongod as a replica set, started here, and removed with its data at the end.',
  )
  say(
    cloudinaryUrl
      ? `Cloudinary: CLOUDINARY_URL is set; of its cloud only folders of the demo's people are used, and removed at the end.`
      : 'Cloudinary: a stand-in for it, started here.',
  )
}
