/** What Cloudinary would not do, as it says so: `{"error":{"message":"…"}}` with this status. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
