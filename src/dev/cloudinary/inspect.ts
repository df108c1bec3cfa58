export type ResourceType = 'image' | 'video' | 'raw'

export interface MediaFacts {
  resourceType: ResourceType
  format?: string
  width?: number
  height?: number
}

/** What the bytes themselves say: the kind Cloudinary would file them under, and the size of the picture. */
export function inspect(bytes: Buffer): MediaFacts {
  const found = signatures.find(({ at, magic }) => bytes.subarray(at, at + magic.length).equals(magic))
  if (found === undefined) return { resourceType: 'raw' }
  const { resourceType, format } = found
  return { resourceType, format, ...found.size?.(bytes) }
}

interface Size {
  width: number
  height: number
}

interface Signature {
  at: number
  magic: Buffer
  resourceType: ResourceType
  format: string
  size?: (bytes: Buffer) => Size | undefined
}

// Audio is `video` and a PDF is `image` at Cloudinary. What is not listed here is a raw file.
const signatures: readonly Signature[] = [
  { at: 0, magic: latin1('\x89PNG\r\n\x1a\n'), resourceType: 'image', format: 'png', size: sizeOfPng },
  { at: 0, magic: latin1('\xff\xd8\xff'), resourceType: 'image', format: 'jpg', size: sizeOfJpeg },
  { at: 0, magic: latin1('GIF8'), resourceType: 'image', format: 'gif', size: sizeOfGif },
  { at: 0, magic: latin1('%PDF-'), resourceType: 'image', format: 'pdf' },
  { at: 4, magic: latin1('ftyp'), resourceType: 'video', format: 'mp4', size: sizeOfMp4 },
  { at: 0, magic: latin1('\x1a\x45\xdf\xa3'), resourceType: 'video', format: 'webm' },
  { at: 0, magic: latin1('ID3'), resourceType: 'video', format: 'mp3' },
  { at: 0, magic: latin1('\xff\xfb'), resourceType: 'video', format: 'mp3' },
  { at: 0, magic: latin1('OggS'), resourceType: 'video', format: 'ogg' },
  { at: 8, magic: latin1('WAVE'), resourceType: 'video', format: 'wav' },
]

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function sizeOfPng(bytes: Buffer): Size | undefined {
  if (bytes.length < 24) return undefined
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
}

function sizeOfGif(bytes: Buffer): Size | undefined {
  if (bytes.length < 10) return undefined
  return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) }
}

// The size stands in the frame header (C0 to CF without C4, C8 and CC), after any number of other segments.
function sizeOfJpeg(bytes: Buffer): Size | undefined {
  let at = 2
  while (at + 9 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes.readUInt8(at + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) }
    at += 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}

// moov > trak > tkhd ends with width and height as 16.16 fixed-point numbers; for an audio track both are 0.
function sizeOfMp4(bytes: Buffer): Size | undefined {
  const headers = boxes(bytes, 'moov').flatMap((moov) =>
    boxes(moov, 'trak').flatMap((trak) => boxes(trak, 'tkhd')),
  )
  return headers
    .filter((header) => header.length >= 8)
    .map((header) => header.subarray(-8))
    .map((end) => ({ width: end.readUInt32BE(0) >>> 16, height: end.readUInt32BE(4) >>> 16 }))
    .find(({ width, height }) => width > 0 && height > 0)
}

// Boxes of 4 GiB and more, and a last one "to the end of the file", are not read: such files show no size.
function boxes(bytes: Buffer, type: string): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  while (at + 8 <= bytes.length) {
    const end = at + bytes.readUInt32BE(at)
    if (end < at + 8) break
    if (bytes.toString('latin1', at + 4, at + 8) === type) found.push(bytes.subarray(at + 8, end))
    at = end
  }
  return found
}
