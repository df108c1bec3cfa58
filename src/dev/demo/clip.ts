import assert from 'node:assert/strict'

// A real Cloudinary takes no video that it cannot decode, and browsers play H.264. An encoder is out of place here;
// its simplest macroblock, I_PCM, carries the samples as they are.

const macroblockSide = 16
const framesPerSecond = 4

/** An mp4 that plays anywhere: a bright bar wanders over two colours, once from left to right. */
export function clipMp4({ width = 160, height = 96, frames = 8 } = {}): Buffer {
  assert(width % macroblockSide === 0 && height % macroblockSide === 0, 'whole macroblocks')
  const samples = Array.from({ length: frames }, (_, index) =>
    lengthPrefixed(frame({ width, height, index, frames })),
  )
  const fileType = box('ftyp', Buffer.from('isom\0\0\x02\0isomavc1mp41', 'latin1'))
  const firstSampleAt = fileType.length + 8
  return Buffer.concat([
    fileType,
    box('mdat', ...samples),
    movie({ width, height, sampleBytes: samples.map(({ length }) => length), firstSampleAt }),
  ])
}

interface Frame {
  width: number
  height: number
  index: number
  frames: number
}

/** ITU-T H.264, 7.3.3: every frame is an IDR picture of one slice. */
function frame({ width, height, index, frames }: Frame): Buffer {
  // first_mb, slice_type I, PPS 0, frame_num, idr_pic_id, no prior output, no long term, QP delta, no deblocking.
  const header = [ue(0), ue(7), ue(0), '0000', ue(index % 2), '0', '0', ue(0), ue(1)].join('')
  const [columns, rows] = [width / macroblockSide, height / macroblockSide]
  const barAt = Math.floor((index * columns) / frames)
  const blocks = Array.from({ length: columns * rows }, (_, at) => {
    const column = at % columns
    const luma = column === barAt ? 210 : 70 + Math.floor((60 * column) / columns)
    return macroblock(luma, Math.floor(at / columns) < rows / 2 ? [110, 180] : [170, 100])
  })
  const pcm = ue(25)
  const between = bits(pcm)
  // The first macroblock's type shares its bytes with the header; all others begin on a byte.
  const body = blocks.flatMap((block, at) => [at === 0 ? bits(header + pcm) : between, block])
  return Buffer.concat([Buffer.from([0x65]), ...body, Buffer.from([0x80])])
}

/** Samples are never 0, so that no start code can arise among them. */
function macroblock(luma: number, [blue, red]: readonly [number, number]): Buffer {
  return Buffer.concat([Buffer.alloc(256, luma), Buffer.alloc(64, blue), Buffer.alloc(64, red)])
}

interface Movie {
  width: number
  height: number
  sampleBytes: readonly number[]
  firstSampleAt: number
}

/** ISO/IEC 14496-12: one track, its samples in one chunk; a time unit is a frame. */
function movie({ width, height, sampleBytes, firstSampleAt }: Movie): Buffer {
  const frames = sampleBytes.length
  const sizes = box('stsz', u32(0, 0, frames, ...sampleBytes))
  const durations = box('stts', u32(0, 1, frames, 1))
  const chunks = [box('stsc', u32(0, 1, 1, frames, 1)), box('stco', u32(0, 1, firstSampleAt))]
  const table = box('stbl', sampleDescription(width, height), durations, ...chunks, sizes)
  const reference = box('dinf', box('dref', u32(0, 1), box('url ', u32(1))))
  const information = box('minf', box('vmhd', u32(1, 0, 0)), reference, table)
  const handler = box('hdlr', u32(0, 0), Buffer.from('vide'), u32(0, 0, 0), Buffer.from('video\0'))
  // 0x55c4 is the language: undetermined.
  const header = box('mdhd', u32(0, 0, 0, framesPerSecond, frames, 0x55c40000))
  const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
  const trackHeader = box(
    'tkhd',
    u32(3, 0, 0, 1, 0, frames, 0, 0, 0, 0),
    matrix,
    u32(width * 0x10000, height * 0x10000),
  )
  const movieHeader = box(
    'mvhd',
    u32(0, 0, 0, framesPerSecond, frames, 0x10000, 0x1000000, 0, 0),
    matrix,
    u32(0, 0, 0, 0, 0, 0, 2),
  )
  return box('moov', movieHeader, box('trak', trackHeader, box('mdia', header, handler, information)))
}

function sampleDescription(width: number, height: number): Buffer {
  const size = Buffer.from([width >> 8, width & 255, height >> 8, height & 255])
  // 72 dots an inch, one frame a sample, no compressor's name, 24 bits, no colour table.
  const entry = [u32(0, 1, 0, 0, 0, 0), size, u32(0x480000, 0x480000, 0), Buffer.from([0, 1])]
  const rest = [Buffer.alloc(32), Buffer.from([0, 24, 255, 255])]
  return box('stsd', u32(0, 1), box('avc1', ...entry, ...rest, decoderConfiguration(width, height)))
}

/** ISO/IEC 14496-15: the parameter sets, and that sample lengths have four bytes. */
function decoderConfiguration(width: number, height: number): Buffer {
  const [columns, rows] = [width / macroblockSide, height / macroblockSide]
  // No reference frames, order as decoded, whole frames, no cropping; the constrained baseline profile, level 4.0.
  const sequence = [ue(0), ue(0), ue(2), ue(0), '0', ue(columns - 1), ue(rows - 1), '1', '1', '0', '0', '1']
  const profile = [66, 0xc0, 40]
  const sps = Buffer.concat([Buffer.from([0x67, ...profile]), bits(sequence.join(''))])
  // CAVLC, one slice group, QP 26, and a say for each slice on deblocking.
  const picture = [
    ue(0),
    ue(0),
    '0',
    '0',
    ue(0),
    ue(0),
    ue(0),
    '0',
    '00',
    ue(0),
    ue(0),
    ue(0),
    '1',
    '0',
    '0',
    '1',
  ]
  const pps = Buffer.concat([Buffer.from([0x68]), bits(picture.join(''))])
  const counted = (set: Buffer): Buffer => Buffer.concat([Buffer.from([0, set.length]), set])
  return box('avcC', Buffer.from([1, ...profile, 0xff, 0xe1]), counted(sps), Buffer.from([1]), counted(pps))
}

/** An Exp-Golomb code; the signed one of 0 is the same. */
function ue(value: number): string {
  const binary = (value + 1).toString(2)
  return binary.padStart(2 * binary.length - 1, '0')
}

/** Bits as bytes, the last one filled up with zeros. */
function bits(text: string): Buffer {
  const bytes = text.match(/.{1,8}/g) ?? []
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)))
}

function box(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([u32(8 + body.length), Buffer.from(type, 'latin1'), body])
}

function lengthPrefixed(unit: Buffer): Buffer {
  return Buffer.concat([u32(unit.length), unit])
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, 4 * at)
  return bytes
}
