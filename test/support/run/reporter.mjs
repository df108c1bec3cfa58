import { Transform } from 'node:stream'
import { Parser } from 'tap-parser'

/**
 * tap's report: one line a file, each failure in full, and at the end `N passed, N failed`. JavaScript, because tap loads
 * it without the loader that it gives to the tests.
 */
export default class Reporter extends Transform {
  #root = new Parser()
  #counts = { passed: 0, failed: 0, skipped: 0 }

  constructor() {
    super({ encoding: 'utf8' })
    this.#follow(this.#root, [])
    this.#root.on('bailout', (reason) => this.push(`Bail out! ${reason}\n`))
  }

  _transform(chunk, _encoding, done) {
    this.#root.write(chunk)
    done()
  }

  _flush(done) {
    this.#root.on('complete', () => {
      const { passed, failed, skipped } = this.#counts
      if (skipped > 0) this.push(`${skipped} skipped\n`)
      this.push(`${passed} passed, ${failed} failed\n`)
      done()
    })
    this.#root.end()
  }

  /** Counts what is asserted itself; a subtest's own result only where it failed without a failed assertion in it. */
  #follow(parser, names) {
    let before = { ...this.#counts }
    parser.on('child', (child) => this.#follow(child, [...names, child.name]))
    parser.on('extra', (text) => this.push(text))
    parser.on('assert', (result) => {
      const { passed, failed } = this.#counts
      if (!result.closingTestPoint) this.#count(result, names)
      else if (!result.ok && failed === before.failed) this.#count(result, names)
      if (names.length === 0)
        this.push(fileLine(result, passed - before.passed, this.#counts.failed - before.failed))
      before = { ...this.#counts }
    })
  }

  #count(result, names) {
    if (result.skip || result.todo) {
      this.#counts.skipped += 1
      const reason = [result.skip, result.todo].find((each) => typeof each === 'string') ?? 'no reason given'
      this.push(`skipped: ${[...names, result.name].join(' > ')}: ${reason}\n`)
    } else if (result.ok) {
      this.#counts.passed += 1
    } else {
      this.#counts.failed += 1
      this.push(failureText(result, names))
    }
  }
}

function fileLine({ name, ok, time }, passed, failed) {
  const seconds = ((time ?? 0) / 1000).toFixed(1)
  return `${ok ? '✓' : '✗'} ${name}: ${passed} passed${failed > 0 ? `, ${failed} failed` : ''} in ${seconds} s\n`
}

function failureText({ name, tapError, diag }, names) {
  const { diff, stack, source, at, ...rest } = diag ?? {}
  const details = [
    tapError,
    diff,
    stack ?? placeOf(at),
    source,
    Object.keys(rest).length > 0 && readable(rest),
  ]
  const text = details.filter(Boolean).join('\n')
  return `\n✗ ${[...names, name].join(' > ')}\n${text.replace(/^(?=.)/gm, '    ')}\n\n`
}

function placeOf(at) {
  return at && `${at.fileName}:${at.lineNumber}:${at.columnNumber}`
}

function readable(values) {
  return JSON.stringify(values, undefined, 2)
}
