import assert from 'node:assert/strict'
import { crc32, deflateSync } from 'node:zlib'

export type Rgb = readonly [red: number, green: number, blue: number]

// A side of this length is 48 MiB of pixels: more is a mistake, not a sample.
const sideMax = 4096

/** A real picture: a gradient from one colour at the left to another at the right, darker below. */
export function picturePng(
  width: number,
  height: number,
  { from = [255, 138, 76], to = [76, 105, 255] }: { from?: Rgb; to?: Rgb } = {},
): Buffer {
  assert(isSide(width) && isSide(height), `sides are 1 to ${sideMax} long`)
  const rowBytes = 1 + width * 3 // Each row begins with its filter; 0 is none.
  const pixels = Buffer.alloc(rowBytes * height)
  for (let y = 0; y < height; y += 1) {
    const light = 1 - (0.5 * y) / height
    for (let x = 0; x < width; x += 1) pixels.set(mixed(from, to, x / width, light), y * rowBytes + 1 + x * 3)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2], 8) // 8 bits a channel, RGB; then the only compression, filtering and interlacing: 0.
  const magic = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([
    magic,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** The frame of an mp4: what tools read the size from. There is no picture in it, so players show nothing. */
export function tinyVideo({ width = 320, height = 240 }: { width?: number; height?: number } = {}): Buffer {
  const brands = Buffer.from('isom\x00\x00\x02\x00isommp42', 'latin1')
  return Buffer.concat([
    box('ftyp', brands),
    box('moov', movieHeader(), box('trak', trackHeader(width, height))),
  ])
}

/** A raw file: at Cloudinary its id includes the extension. */
export function textFile(text = 'A plain text file.\n'): Buffer {
  return Buffer.from(text)
}

function isSide(length: number): boolean {
  return Number.isInteger(length) && length >= 1 && length <= sideMax
}

function mixed(from: Rgb, to: Rgb, share: number, light: number): number[] {
  return [0, 1, 2].map((channel) => {
    const [a, b] = [from[channel] ?? 0, to[channel] ?? 0]
    return Math.round((a + (b - a) * share) * light)
  })
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([uint32(data.length), body, uint32(crc32(body))])
}

function box(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([uint32(8 + body.length), Buffer.from(type, 'latin1'), body])
}

// Times of 1904, a thousand units a second, none of them played; normal speed, full volume, identity matrix.
function movieHeader(): Buffer {
  const times = Buffer.concat([uint32(0), uint32(0), uint32(1000), uint32(0)])
  const speedAndVolume = Buffer.concat([uint32(0x00010000), Buffer.from([1, 0]), Buffer.alloc(10)])
  const nextTrackId = uint32(2)
  return box('mvhd', uint32(0), times, speedAndVolume, identity(), Buffer.alloc(24), nextTrackId)
}

// Flags 3: enabled, and part of the movie. The size ends the box, as 16.16 fixed-point numbers.
function trackHeader(width: number, height: number): Buffer {
  const trackId = uint32(1)
  const times = Buffer.concat([uint32(0), uint32(0), trackId, uint32(0), uint32(0)])
  return box(
    'tkhd',
    uint32(3),
    times,
    Buffer.alloc(16),
    identity(),
    uint32(width * 65_536),
    uint32(height * 65_536),
  )
}

function identity(): Buffer {
  return Buffer.concat([0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000].map(uint32))
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
