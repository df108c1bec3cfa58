import type { Page } from 'playwright-core'

/**
 * The texts of the page that are hard to read: below 4.5 to 1 (WCAG 2.2, 1.4.3), with the figure. Runs in the page, thus as
 * a text: the tests' types know no document.
 */
export async function hardToRead(page: Page): Promise<string[]> {
  // Colours fade in and out, for 0.3 s.
  await page.addStyleTag({ content: '* { transition: none !important; animation: none !important }' })
  return await page.evaluate<string[]>(program)
}

const program = `(() => {
  const channels = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number)
    return { r, g, b, a }
  }
  const over = (front, back) => {
    const mixed = (name) => front[name] * front.a + back[name] * (1 - front.a)
    return { r: mixed('r'), g: mixed('g'), b: mixed('b'), a: 1 }
  }
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) =>
      value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const background = (element) => {
    const own = channels(getComputedStyle(element).backgroundColor)
    return over(own, element.parentElement ? background(element.parentElement) : { r: 255, g: 255, b: 255, a: 1 })
  }
  const found = new Set()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const { data, parentElement: element } = walker.currentNode
    if (!data.trim() || element.tagName === 'SCRIPT' || !element.checkVisibility()) continue
    const back = background(element)
    const front = over(channels(getComputedStyle(element).color), back)
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b)
    const ratio = (high + 0.05) / (low + 0.05)
    if (ratio < 4.5) found.add(ratio.toFixed(1) + ' ' + element.className + ': ' + data.trim().slice(0, 30))
  }
  return [...found]
})()`
