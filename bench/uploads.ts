import { personAt } from './people.ts'

/** Temporary uploads for a load, through the storage's own interface. */
export async function makeUploads(
  cloudinaryUrl: string,
  { count, people, mark }: { count: number; people: number; mark: string },
): Promise<{ publicId: string; sender: number }[]> {
  process.env.CLOUDINARY_URL = cloudinaryUrl
  const { v2: cloudinary } = await import('cloudinary')
  // A picture of one pixel.
  const pixel = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
  const uploads = Array.from({ length: count }, (_, index) => {
    const sender = index % people
    return { publicId: `temp/user_${personAt(sender).userId}/${mark}-${index}`, sender }
  })
  const queue = uploads.values()
  const work = async (): Promise<void> => {
    for (const { publicId } of queue) await cloudinary.uploader.upload(pixel, { public_id: publicId })
  }
  await Promise.all(Array.from({ length: 16 }, work))
  return uploads
}
