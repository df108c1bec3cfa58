import { Agent } from 'node:http'
import type { Test } from 'tap'
import {
  type CloudinaryOptions,
  type CloudinaryStandIn,
  startCloudinary,
} from '../../src/dev/cloudinary/server.ts'
import { sign } from '../../src/dev/cloudinary/signature.ts'

export async function start(t: Test, options: CloudinaryOptions = {}) {
  const standIn = await startCloudinary(options)
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => {
    agent.destroy()
    return standIn.close()
  })
  const credentials = { cloud_name: 'demo', api_key: 'key', api_secret: 'secret' }
  return {
    standIn,
    account: { upload_prefix: standIn.baseUrl, ...credentials, agent, resource_type: 'image' as const },
  }
}

// The SDK rejects with plain objects, so what comes is looked at as it is.
export async function refusal(call: Promise<unknown>): Promise<{ http_code?: number; message?: string }> {
  return await call.then(
    (answer) => {
      throw new Error(`resolved with ${JSON.stringify(answer)}`)
    },
    (error) => error,
  )
}

export async function post(standIn: CloudinaryStandIn, path: string, params: Record<string, string>) {
  const response = await fetch(`${standIn.baseUrl}/v1_1/demo/${path}`, signed(params))
  const body = (await response.json()) as Record<string, unknown>
  return { status: response.status, body }
}

export function signed(params: Record<string, string>): { method: string; body: URLSearchParams } {
  const sent = new Map(Object.entries({ timestamp: String(Math.floor(Date.now() / 1000)), ...params }))
  const body = new URLSearchParams([...sent, ['api_key', 'key'], ['signature', sign(sent, 'secret')]])
  return { method: 'POST', body }
}

export function dataUri(bytes: Buffer): string {
  return `data:application/octet-stream;base64,${bytes.toString('base64')}`
}
